/** Who can open an age file, and the file key for whoever can: ssh-rsa of age's own SSH recipients. */

import { createHash, createHmac, createPublicKey, hkdfSync, timingSafeEqual } from 'node:crypto'

import type { AgeHeader, AgeStanza } from './age-header.ts'
import { decodeText } from './encodings.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { OaepParameters, PrivateKey, PrivateKeys } from './legacy-format.ts'

const fileKeyBytes = 16
const sshRsa = 'ssh-rsa'
const oaep: OaepParameters = {
  hash: 'sha256',
  mgf1Hash: 'sha256',
  label: Buffer.from('age-encryption.org/v1/ssh-rsa'),
}

/** Known by name; what else there is comes from plug-ins. */
const knownTypes = new Set([sshRsa, 'ssh-ed25519', 'X25519', 'scrypt', 'mlkem768x25519', 'p256tag'])

/** What is said of a file without a key. */
export interface AgeDescription {
  readonly keyId: string | undefined
  readonly wrapping: string
}

export function describeRecipients({ stanzas }: AgeHeader): AgeDescription {
  const rsa = stanzas.find(isRsa)
  const wrapping = rsa?.type ?? shown(stanzas.find(({ type }) => knownTypes.has(type))?.type)
  return { keyId: rsa === undefined ? undefined : `ssh-rsa ${rsa.args[0] ?? ''}`, wrapping }
}

/**
 * @returns The file key, 16 bytes, which the caller wipes. The MAC of the header was checked with it.
 * @throws LegacyError
 */
export function unwrapFileKey(header: AgeHeader, keys: PrivateKeys): Uint8Array {
  const recipients = header.stanzas.filter(isRsa)
  if (recipients.length === 0) throw notForRsa(header)
  if (keys.all.length === 0) throw new LegacyError('no_private_key', 'no private key was given')
  let isOurs = false
  for (const { args, body } of recipients) {
    for (const key of keys.all) {
      if (tagOf(key) !== args[0]) continue
      isOurs = true
      const fileKey = key.unwrapOaep(body, oaep)
      if (fileKey === undefined) continue
      if (fileKey.length === fileKeyBytes && isMacRight(header, fileKey)) return fileKey
      fileKey.fill(0)
    }
  }
  throw isOurs
    ? cannotOpen()
    : new LegacyError('no_private_key', 'no private key is that of one of its ssh-rsa recipients')
}

function isRsa({ type, args: [tag = '', ...more] }: AgeStanza): boolean {
  if (type !== sshRsa) return false
  // Four bytes.
  if (more.length > 0 || decodeText(tag, 'base64')?.length !== 4) {
    throw malformed('the tag of an ssh-rsa recipient is no four bytes')
  }
  return true
}

/** A passphrase stands alone; an X25519 key is a target of who records today, and no RSA. */
function notForRsa({ stanzas }: AgeHeader): LegacyError {
  const types = [...new Set(stanzas.map(({ type }) => shown(type)))].slice(0, 4)
  const what = types.includes('scrypt')
    ? 'a passphrase protects it (scrypt)'
    : `it is for ${types.join(', ')}`
  return new LegacyError('unsupported', `${what}: only files with an ssh-rsa recipient are read`)
}

function isMacRight({ covered, mac }: AgeHeader, fileKey: Uint8Array): boolean {
  const macKey = new Uint8Array(hkdfSync('sha256', fileKey, new Uint8Array(), 'header', 32))
  const expected = createHmac('sha256', macKey).update(covered).digest()
  macKey.fill(0)
  return timingSafeEqual(expected, mac)
}

const tags = new WeakMap<PrivateKey, string>()

/** The first four bytes of SHA-256 over the public key as SSH writes it (RFC 4253 §6.6). */
function tagOf(key: PrivateKey): string {
  const known = tags.get(key)
  if (known !== undefined) return known
  const publicKey = createPublicKey({ key: Buffer.from(key.publicKey), format: 'der', type: 'spki' })
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  const wire = Buffer.concat([sshRsa, sshInteger(e), sshInteger(n)].map(sshString))
  const tag = createHash('sha256').update(wire).digest().subarray(0, 4).toString('base64').replaceAll('=', '')
  tags.set(key, tag)
  return tag
}

/** Two's complement (RFC 4251 §5): a zero in front of a high bit. */
function sshInteger(base64url: string): Buffer {
  const bytes = Buffer.from(base64url, 'base64url')
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes
}

function sshString(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Names come from the data: only those that are known are repeated. */
function shown(type: string | undefined): string {
  return type !== undefined && knownTypes.has(type) ? type : 'unknown'
}
