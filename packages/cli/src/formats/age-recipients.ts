/** Who can open an age file, and the file key for whoever can: ssh-rsa, and X25519 where its identity was given. */

import {
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  hkdfSync,
  timingSafeEqual,
} from 'node:crypto'

import type { AgeHeader, AgeStanza } from './age-header.ts'
import { decodeText } from './encodings.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { OaepParameters, PrivateKey, PrivateKeys } from './legacy-format.ts'

const fileKeyBytes = 16
const sshRsa = 'ssh-rsa'
const x25519 = 'X25519'
const oaep: OaepParameters = {
  hash: 'sha256',
  mgf1Hash: 'sha256',
  label: Buffer.from('age-encryption.org/v1/ssh-rsa'),
}

/** Known by name; what else there is comes from plug-ins. */
const knownTypes = new Set([sshRsa, 'ssh-ed25519', x25519, 'scrypt', 'mlkem768x25519', 'p256tag'])

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
  const recipients = header.stanzas.filter((stanza) => isRsa(stanza) || isX25519(stanza))
  if (recipients.length === 0) throw notOpened(header)
  let isOurs = false
  for (const stanza of recipients) {
    const fileKeys = stanza.type === sshRsa ? byRsa(stanza, keys) : byX25519(stanza, keys)
    for (const fileKey of fileKeys) {
      isOurs = true
      if (fileKey?.length === fileKeyBytes && isMacRight(header, fileKey)) return fileKey
      fileKey?.fill(0)
    }
  }
  // Whose an X25519 recipient is cannot be told from one that was altered.
  const isTried = recipients.some(isX25519) && (keys.x25519 ?? []).length > 0
  if (isOurs || isTried) throw cannotOpen()
  throw recipients.some(isRsa)
    ? new LegacyError('no_private_key', 'no private key is that of one of its ssh-rsa recipients')
    : notOpened(header)
}

/** One for each key whose tag it is; undefined where it does not unwrap. */
function byRsa({ args, body }: AgeStanza, keys: PrivateKeys): (Uint8Array | undefined)[] {
  return keys.all.filter((key) => tagOf(key) === args[0]).map((key) => key.unwrapOaep(body, oaep))
}

/** It does not say whose it is: those that open it, since its tag tells. */
function byX25519({ args: [share = ''], body }: AgeStanza, keys: PrivateKeys): Uint8Array[] {
  const theirs = decodeText(share, 'base64')
  return (keys.x25519 ?? []).flatMap((key) => {
    const secret = theirs === undefined ? undefined : key.agree(theirs)
    if (theirs === undefined || secret === undefined) return []
    const salt = Buffer.concat([theirs, key.publicKey])
    const wrapKey = new Uint8Array(hkdfSync('sha256', secret, salt, 'age-encryption.org/v1/X25519', 32))
    try {
      const decipher = createDecipheriv('chacha20-poly1305', wrapKey, Buffer.alloc(12), { authTagLength: 16 })
      decipher.setAuthTag(body.subarray(-16))
      const fileKey = decipher.update(body.subarray(0, -16))
      decipher.final()
      return [fileKey]
    } catch {
      return []
    } finally {
      secret.fill(0)
      wrapKey.fill(0)
    }
  })
}

function isRsa({ type, args: [tag = '', ...more] }: AgeStanza): boolean {
  if (type !== sshRsa) return false
  // Four bytes.
  if (more.length > 0 || decodeText(tag, 'base64')?.length !== 4) {
    throw malformed('the tag of an ssh-rsa recipient is no four bytes')
  }
  return true
}

function isX25519({ type, args: [share = '', ...more], body }: AgeStanza): boolean {
  if (type !== x25519) return false
  if (more.length > 0 || decodeText(share, 'base64')?.length !== 32 || body.length !== fileKeyBytes + 16) {
    throw malformed('an X25519 recipient has not its sizes')
  }
  return true
}

/** A passphrase stands alone. */
function notOpened({ stanzas }: AgeHeader): LegacyError {
  const types = [...new Set(stanzas.map(({ type }) => shown(type)))].slice(0, 4)
  const what = types.includes('scrypt')
    ? 'a passphrase protects it (scrypt)'
    : `it is for ${types.join(', ')}`
  return new LegacyError('unsupported', `${what}: only ssh-rsa is read, and X25519 with its AGE-SECRET-KEY`)
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
