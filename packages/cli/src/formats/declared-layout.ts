/** What the declaration of a layout can say. Plain data, so that it can go to a worker. */

import type { PartPlace } from './declared-parts.ts'
import type { OaepParameters } from './legacy-format.ts'

/** Several: one for each recipient, by a key id that the declaration knows or that the data brings as names of members. */
export type WrappedKeyPlace =
  | PartPlace
  | readonly { readonly keyId: string; readonly place: PartPlace }[]
  | { readonly byKeyId: PartPlace }

/**
 * `front`: the first 12 bytes of the ciphertext part, 16 for CBC and CTR. `wrapped`: RSA-encrypted like the data key. `none`:
 * the cipher brings its own.
 */
export type IvPlace = PartPlace | 'front' | 'none' | { readonly wrapped: PartPlace }
/** `end`: the last bytes of the ciphertext part. `none`: the cipher has no tag. */
export type TagPlace = PartPlace | 'end' | 'none'

export type AadPart = PartPlace | { readonly bytes: Uint8Array }

export type MacPart = 'aad' | 'iv' | 'ciphertext'

/** HMAC over parts of the value, encrypt-then-MAC. */
export interface Mac {
  readonly hash: 'sha1' | 'sha256' | 'sha384' | 'sha512'
  /** Where its key stands beside the encryption key in what is unwrapped; `same`: that very key. */
  readonly key: 'behind' | 'front' | 'same'
  /** Of a key of its own. */
  readonly keyBytes: number
  /** `end`: the last bytes of the ciphertext part. */
  readonly place: PartPlace | 'end'
  /** Of the value: fewer than the hash has when it was cut. */
  readonly bytes: number
  readonly covers: readonly MacPart[]
}

/** `openssl enc`: what is unwrapped is a file whose first line is the password; the ciphertext begins with `Salted__`. */
export interface PasswordLine {
  readonly digest: 'md5' | 'sha1' | 'sha256' | 'sha512'
  /** Of PBKDF2; undefined: EVP_BytesToKey, which runs once. */
  readonly iterations: number | undefined
}

/** A bare digest of the plaintext, as old applications keep it. */
export type DigestName = 'md5' | 'sha1' | 'sha256' | 'sha512'

/** What tells a right plaintext from a wrong one where the cipher does not. */
export type Witness =
  | { readonly kind: DigestName; readonly place: PartPlace }
  | { readonly kind: 'starts-with'; readonly bytes: Uint8Array }
  | { readonly kind: 'json' }
  | { readonly kind: 'text' }

export type CipherMode = 'gcm' | 'cbc' | 'ctr' | 'fernet' | 'rsa'

interface CipherFacts {
  readonly mode: CipherMode
  readonly keyBytes: number
}

const ciphers = {
  'aes-128-gcm': { mode: 'gcm', keyBytes: 16 },
  'aes-192-gcm': { mode: 'gcm', keyBytes: 24 },
  'aes-256-gcm': { mode: 'gcm', keyBytes: 32 },
  'aes-128-cbc': { mode: 'cbc', keyBytes: 16 },
  'aes-192-cbc': { mode: 'cbc', keyBytes: 24 },
  'aes-256-cbc': { mode: 'cbc', keyBytes: 32 },
  'aes-128-ctr': { mode: 'ctr', keyBytes: 16 },
  'aes-192-ctr': { mode: 'ctr', keyBytes: 24 },
  'aes-256-ctr': { mode: 'ctr', keyBytes: 32 },
  // Its own MAC, AES-128-CBC, and two keys of 16 bytes.
  fernet: { mode: 'fernet', keyBytes: 32 },
  // No data key: RSA encrypts the data.
  rsa: { mode: 'rsa', keyBytes: 0 },
} as const satisfies Record<string, CipherFacts>

export type BodyCipher = keyof typeof ciphers

export const cipherNames: readonly string[] = Object.keys(ciphers)

/** What a layout must say beside it follows from its mode. */
export function modeOf(cipher: string): CipherMode | undefined {
  return Object.hasOwn(ciphers, cipher) ? ciphers[cipher as BodyCipher].mode : undefined
}

export interface DeclaredLayout {
  readonly name: string
  /** Undefined: RSA encrypts the data itself. */
  readonly wrappedKey: WrappedKeyPlace | undefined
  readonly iv: IvPlace
  readonly ciphertext: PartPlace
  readonly tag: TagPlace
  /** Undefined: 16. Shorter ones are named, never found. */
  readonly tagBytes?: number | undefined
  readonly keyId: PartPlace | undefined
  readonly padding: OaepParameters | 'pkcs1'
  /** How the data key is spelt in what is unwrapped. Undefined: as bytes. */
  readonly dataKeyEncoding?: 'base64' | 'base64url' | 'hex' | undefined
  readonly cipher: BodyCipher
  readonly password?: PasswordLine | undefined
  readonly mac?: Mac | undefined
  readonly witness: Witness | undefined
  /** Joined without anything between. Empty: none. */
  readonly aad: readonly AadPart[]
}

/** In bytes. */
export function keyBytesOf({ cipher }: DeclaredLayout): number {
  return ciphers[cipher].keyBytes
}

export function layoutMode({ cipher }: DeclaredLayout): CipherMode {
  return ciphers[cipher].mode
}

/** SP 800-38D appendix C allows 4 and 8 bytes for special cases: too few to tell a wrong key from many. */
const tellingTagBytes = 12

/** True when a wrong key or an altered body cannot pass. RSA-OAEP over the data tells by itself. */
export function isTold(layout: DeclaredLayout): boolean {
  const { witness, mac, padding, tagBytes = 16 } = layout
  // A vector that no MAC covers can be altered, and the first block with it.
  if (witness !== undefined || mac?.covers.includes('iv') === true) return true
  const mode = layoutMode(layout)
  if (mode === 'gcm') return tagBytes >= tellingTagBytes
  return mode === 'fernet' || (mode === 'rsa' && padding !== 'pkcs1')
}

export function wrappedKeyPlaces(place: WrappedKeyPlace | undefined): readonly PartPlace[] {
  if (place === undefined) return []
  if ('byKeyId' in place) return [place.byKeyId]
  return 'column' in place ? [place] : place.map((one) => one.place)
}

/** The parts that a value has itself, besides the wrapped keys of recipients. */
export function ownPlaces({ ciphertext, iv, tag, mac }: DeclaredLayout): readonly PartPlace[] {
  const places: PartPlace[] = [ciphertext]
  if (typeof iv !== 'string') places.push('wrapped' in iv ? iv.wrapped : iv)
  if (typeof tag !== 'string') places.push(tag)
  if (mac !== undefined && mac.place !== 'end') places.push(mac.place)
  return places
}

/** The columns that a layout occupies, which are replaced, and those that it only reads. */
export function layoutColumns(layout: DeclaredLayout): { own: readonly string[]; read: readonly string[] } {
  const [ciphertext, ...others] = ownPlaces(layout)
  const places = [ciphertext, ...wrappedKeyPlaces(layout.wrappedKey), ...others]
  const own = new Set(places.flatMap((place) => (place === undefined ? [] : [place.column])))
  const read = layout.aad.flatMap((part) => ('column' in part ? [part.column] : []))
  if (layout.keyId !== undefined) read.push(layout.keyId.column)
  if (layout.witness !== undefined && 'place' in layout.witness) read.push(layout.witness.place.column)
  return { own: [...own], read: [...new Set(read)].filter((column) => !own.has(column)) }
}
