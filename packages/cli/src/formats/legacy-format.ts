/**
 * What the engine asks of a way in which data was protected with RSA. One file a format; adding one is a file and
 * a line where the worker lists them.
 */

/** A value as a column or member holds it. */
export type Cell = string | Uint8Array | bigint | number | null

/** One layout of RSA-wrapped data. Holds no state of a record; told apart from others by looking, not trying. */
export interface LegacyFormat {
  /** As reports and dead letters name it. */
  readonly name: string
  /**
   * Says whether the cells are of this format, without a key. Cells that are, but broken, are recognised: what is
   * wrong with them is told by `open`.
   *
   * @param cells In the order the format was made for, the value to be replaced first.
   */
  recognize(cells: readonly Cell[]): LegacyValue | undefined
}

/** One value of a format. */
export interface LegacyValue {
  /** The name of the RSA key, when the value carries one. Untrusted text. */
  readonly keyId: string | undefined
  /** How the data key is wrapped, say `RSA-OAEP-256`. */
  readonly wrapping: string
  /** How the body is encrypted, say `A256GCM`. */
  readonly body: string
  /** False when the body has no tag or MAC: a wrong key then yields garbage instead of an error. */
  readonly isAuthenticated: boolean
  /**
   * Unwraps the data key and decrypts the body.
   *
   * @returns The plaintext, at most 64 MiB, in a buffer that the caller owns and wipes.
   * @throws LegacyError At once, or when awaited.
   */
  open(keys: PrivateKeys): Uint8Array | Promise<Uint8Array>
}

/** The hashes as node:crypto names them. */
export type OaepHash = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** RSAES-OAEP (RFC 8017 §7.1) with everything that can differ said. */
export interface OaepParameters {
  readonly hash: OaepHash
  /** Java's `OAEPWithSHA-256AndMGF1Padding` means SHA-1 here. */
  readonly mgf1Hash: OaepHash
  readonly label: Uint8Array
}

/** What a format asks of the private keys. */
export interface PrivateKeys {
  /**
   * The keys to try for a key id, the likeliest first. More than one only when nothing says which: a format whose
   * body is not authenticated must then refuse instead of trying.
   */
  candidates(keyId: string | undefined): readonly PrivateKey[]
  /** For formats that name a key by its certificate or its public key. */
  readonly all: readonly PrivateKey[]
  /** Absent: none. */
  readonly x25519?: readonly X25519PrivateKey[]
}

/** A key of another kind that some formats know beside RSA. */
export interface X25519PrivateKey {
  /** As reports name it. */
  readonly name: string
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** @returns The shared secret, 32 bytes, which the caller wipes; undefined when the public key is none. */
  agree(theirPublicKey: Uint8Array): Uint8Array | undefined
}

export interface PrivateKey {
  /** As reports name it. */
  readonly name: string
  /** Bytes of a wrapped data key: ⌈bits / 8⌉. */
  readonly modulusBytes: number
  /** SubjectPublicKeyInfo (RFC 5280 §4.1), DER. */
  readonly publicKey: Uint8Array
  /** Of this key, as far as its file had them, DER. */
  readonly certificates: readonly Uint8Array[]
  /** @returns The unwrapped bytes, or undefined: which check failed is not told. */
  unwrapOaep(wrapped: Uint8Array, parameters: OaepParameters): Uint8Array | undefined

  /**
   * RSAES-PKCS1-v1_5 (RFC 8017 §7.2). A wrong key or an altered text mostly gives other bytes of some length, not
   * undefined: only what authenticates the body tells.
   */
  unwrapPkcs1(wrapped: Uint8Array): Uint8Array | undefined
}

/**
 * - `unrecognized`: no declared format fits
 * - `malformed`: it breaks its format
 * - `unsupported`: recognised by name, but this release does not read it
 * - `limit_exceeded`: more than 64 MiB of plaintext
 * - `no_private_key`: none of the private keys is meant
 * - `cannot_open`: anything cryptographic; never says which
 * - `unauthenticated`: nothing would tell a wrong key from the right one
 * - `foreign_reader`: somebody else reads it too, and would find a record
 */
export type LegacyCode =
  | 'unrecognized'
  | 'malformed'
  | 'unsupported'
  | 'limit_exceeded'
  | 'no_private_key'
  | 'cannot_open'
  | 'unauthenticated'
  | 'foreign_reader'

/** Why a value was not opened. The message is for people and holds nothing of the value. */
export class LegacyError extends Error {
  readonly code: LegacyCode

  constructor(code: LegacyCode, message: string) {
    super(message)
    this.name = 'LegacyError'
    this.code = code
  }
}

/** One-shot plaintext (SPEC §11). */
export const maxPlaintextBytes = 64 * 1024 * 1024

/** The one answer to every cryptographic failure. */
export function cannotOpen(): LegacyError {
  return new LegacyError('cannot_open', 'the private key is another one, or bytes were altered or cut')
}

export function malformed(what: string): LegacyError {
  return new LegacyError('malformed', what)
}

export function tooLarge(): LegacyError {
  return new LegacyError('limit_exceeded', `more than ${maxPlaintextBytes} bytes (64 MiB) of plaintext`)
}
