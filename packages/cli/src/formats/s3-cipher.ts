/** The wrapped key and the body of an S3 object. */

import { createDecipheriv, createHash, hkdfSync, timingSafeEqual } from 'node:crypto'

import { cbcCipherOf, gcmCipherOf, gcmTagBytes } from './aes.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { OaepHash, PrivateKey, PrivateKeys } from './legacy-format.ts'
import { cipherNames } from './s3-metadata.ts'
import type { S3Facts } from './s3-metadata.ts'

/** True when a wrong key or an altered body cannot pass. */
export function isTold({ cipher, md5 }: S3Facts): boolean {
  return cipher === 'gcm' || md5 !== undefined
}

/**
 * The data key, in a buffer that the caller wipes; of version 3 the key that is derived from it.
 *
 * @throws LegacyError `no_private_key`, `cannot_open`, `unauthenticated`
 */
export function unwrapS3Key(facts: S3Facts, keyId: string | undefined, keys: PrivateKeys): Uint8Array {
  const candidates = keys
    .candidates(keyId)
    .filter(({ modulusBytes }) => modulusBytes === facts.wrappedKey.length)
  if (keys.candidates(keyId).length === 0)
    throw new LegacyError('no_private_key', 'no private key has its key id')
  // v1.5 gives something for every key; OAEP and a commitment tell the right one.
  if (facts.wrapping === 'pkcs1' && candidates.length > 1) {
    throw new LegacyError('unauthenticated', 'several private keys could be meant: say which by key-id')
  }
  for (const key of candidates) {
    const dataKey = unwrapWith(key, facts)
    if (dataKey !== undefined) return dataKey
  }
  throw cannotOpen()
}

function unwrapWith(key: PrivateKey, facts: S3Facts): Uint8Array | undefined {
  if (facts.wrapping === 'pkcs1') return checkLength(key.unwrapPkcs1(facts.wrappedKey))
  if (facts.wrapping === 'oaep-sha256') {
    // Java's own provider means MGF1 with SHA-1 by this name, Bouncy Castle the same hash twice.
    return checkLength(oaep(key, facts, 'sha256', 'sha1') ?? oaep(key, facts, 'sha256', 'sha256'))
  }
  const dataKey = takePseudoKey(oaep(key, facts, 'sha1', 'sha1'), cipherNames(facts))
  return facts.version === 3 ? derive(facts, dataKey) : dataKey
}

function oaep(key: PrivateKey, { wrappedKey }: S3Facts, hash: OaepHash, mgf1Hash: OaepHash) {
  return key.unwrapOaep(wrappedKey, { hash, mgf1Hash, label: new Uint8Array() })
}

function checkLength(dataKey: Uint8Array | undefined): Uint8Array | undefined {
  if (dataKey === undefined || cbcCipherOf(dataKey) !== undefined) return dataKey
  dataKey.fill(0)
  return undefined
}

/** Length, key, and the cipher it is for: a body must not be opened with a weaker one than it was made with. */
function takePseudoKey(pseudo: Uint8Array | undefined, names: readonly string[]): Uint8Array | undefined {
  if (pseudo === undefined) return undefined
  try {
    const [length = 0] = pseudo
    const name = Buffer.from(pseudo.subarray(1 + length)).toString('latin1')
    return names.includes(name) ? checkLength(Uint8Array.from(pseudo.subarray(1, 1 + length))) : undefined
  } finally {
    pseudo.fill(0)
  }
}

const suiteId = Buffer.from([0x00, 0x73])

/** `key-derivation.md`: HKDF with SHA-512, salted with the message id. */
function derive({ iv, commitment }: S3Facts, dataKey: Uint8Array | undefined): Uint8Array | undefined {
  if (dataKey === undefined || commitment === undefined) return undefined
  try {
    if (dataKey.length !== 32) return undefined
    const expand = (label: string, bytes: number) =>
      new Uint8Array(hkdfSync('sha512', dataKey, iv, Buffer.concat([suiteId, Buffer.from(label)]), bytes))
    return timingSafeEqual(expand('COMMITKEY', 28), commitment) ? expand('DERIVEKEY', 32) : undefined
  } finally {
    dataKey.fill(0)
  }
}

/** Decrypts a body piece by piece. What it gives is not checked before `final`. */
export class S3Decipher {
  readonly #facts: S3Facts
  readonly #decipher
  readonly #digest
  #held: Uint8Array = new Uint8Array()
  #bytes = 0

  /** @param dataKey Borrowed. */
  constructor(facts: S3Facts, dataKey: Uint8Array) {
    this.#facts = facts
    this.#digest = facts.md5 === undefined ? undefined : createHash('md5')
    const isGcm = facts.cipher === 'gcm'
    const name = isGcm ? gcmCipherOf(dataKey) : cbcCipherOf(dataKey)
    if (name === undefined) throw cannotOpen()
    // Version 3 derives a key for each object, so that a fixed vector repeats under none.
    const iv = facts.version === 3 ? new Uint8Array(12).fill(1) : facts.iv
    this.#decipher = isGcm
      ? createDecipheriv(name as 'aes-256-gcm', dataKey, iv, { authTagLength: gcmTagBytes })
      : createDecipheriv(name, dataKey, iv)
    if (isGcm && facts.version === 3) (this.#decipher as GcmDecipher).setAAD(suiteId)
  }

  update(piece: Uint8Array): Uint8Array {
    if (this.#facts.cipher === 'cbc') return this.#passed(this.#decipher.update(piece))
    const all = Buffer.concat([this.#held, piece])
    const end = Math.max(0, all.length - gcmTagBytes)
    this.#held = Uint8Array.from(all.subarray(end))
    return this.#passed(this.#decipher.update(all.subarray(0, end)))
  }

  /** @throws LegacyError `cannot_open`, `malformed`: then nothing of it counts. */
  final(): Uint8Array {
    if (this.#facts.cipher === 'gcm') {
      if (this.#held.length < gcmTagBytes) throw malformed('it is shorter than the tag at its end')
      ;(this.#decipher as GcmDecipher).setAuthTag(this.#held)
    }
    let last: Uint8Array
    try {
      last = this.#passed(this.#decipher.final())
    } catch {
      throw cannotOpen()
    }
    const { md5, plaintextBytes } = this.#facts
    if (md5 !== undefined && this.#digest?.digest().equals(md5) !== true) throw cannotOpen()
    if (plaintextBytes !== undefined && plaintextBytes !== this.#bytes) throw cannotOpen()
    return last
  }

  #passed(plaintext: Uint8Array): Uint8Array {
    this.#bytes += plaintext.length
    this.#digest?.update(plaintext)
    return plaintext
  }
}

type GcmDecipher = ReturnType<typeof createDecipheriv> & {
  setAuthTag(tag: Uint8Array): unknown
  setAAD(aad: Uint8Array): unknown
}
