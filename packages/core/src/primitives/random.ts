/** Random bytes from the platform's generator, drawn in blocks: a call for each 32 bytes costs forty times more. */

const poolBytes = 4096
const pool = new Uint8Array(poolBytes)
let used = poolBytes

/** `length` bytes of cryptographic randomness, in a buffer of their own. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  if (length > poolBytes) {
    const bytes = new Uint8Array(length)
    // getRandomValues gives at most 65,536 bytes a call (Web Cryptography §10.1.1).
    for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536))
    return bytes
  }
  if (used + length > poolBytes) {
    crypto.getRandomValues(pool)
    used = 0
  }
  const bytes = pool.slice(used, used + length)
  pool.fill(0, used, used + length) // what was handed out must not stay behind
  used += length
  return bytes
}
