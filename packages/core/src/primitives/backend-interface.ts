/** What a backend must offer. Secrets come in and go out as plain bytes here; wiping is the caller's. */

export type HashName = 'sha256' | 'sha384' | 'sha512'

/** HMAC (RFC 2104) under one prepared key. */
export interface Hmac {
  /** Over the parts of a message, joined. */
  mac(...message: readonly Uint8Array[]): Uint8Array
  /** HKDF-Expand (RFC 5869 §2.3): as many bytes as `output` has, at most 255 digests. `info` in parts, which are joined. */
  expandInto(output: Uint8Array, info: readonly Uint8Array[]): void
  /** Forgets the key. Best effort. */
  wipe(): void
}

/** AES-256-GCM (SP 800-38D) under one prepared key: nonces of 12 bytes, tags of 16 at the end. */
export interface AeadKey {
  /** Writes ciphertext ‖ tag into `out`, which has room for exactly plaintext + 16 bytes. */
  seal(nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array, out: Uint8Array): void
  /** The plaintext in memory of its own, shared with nothing; `undefined`, and nothing left of it, when the tag is
   *  wrong. */
  open(nonce: Uint8Array, ciphertext: Uint8Array, aad: Uint8Array): Uint8Array<ArrayBuffer> | undefined
  /** Writes the plaintext into `out`, which has room for exactly ciphertext − 16 bytes; `false`, and nothing written, when
   *  the tag is wrong. */
  openInto(nonce: Uint8Array, ciphertext: Uint8Array, aad: Uint8Array, out: Uint8Array): boolean
  /** Forgets what was made of the key, whose bytes are the caller's to wipe. Best effort. */
  wipe(): void
}

/** ML-KEM (FIPS 203) in one parameter set. */
export interface MlKem {
  readonly publicKeyBytes: number
  readonly ciphertextBytes: number
  /** Throws when the key fails the modulus check (FIPS 203 §7.2). */
  encapsulationKey(publicKey: Uint8Array): {
    /** `testingM` replaces the 32 random bytes m; the native backend refuses it. */
    encapsulate(testingM?: Uint8Array): { sharedSecret: Uint8Array; ciphertext: Uint8Array }
  }
  /** From the 64 bytes d ‖ z. */
  decapsulationKey(seed: Uint8Array): {
    readonly publicKey: Uint8Array
    /** Never fails on a forged ciphertext: implicit rejection gives another secret (FIPS 203 §6.3). */
    decapsulate(ciphertext: Uint8Array): Uint8Array
  }
}

/** A Diffie-Hellman group with its public keys prepared (`P`). */
export interface DhGroup<P = unknown> {
  readonly publicKeyBytes: number
  readonly scalarBytes: number
  /** Throws when `bytes` are no public key of the group. */
  publicKey(bytes: Uint8Array): P
  /** Throws when the key has low order, so that every scalar gives an all-zero secret. */
  checkPublicKey(theirPublicKey: P): void
  /** Throws when `scalar` is out of range. */
  privateKey(scalar: Uint8Array): DhPrivateKey<P>
  /** A fresh key pair; `testingScalar` fixes it. */
  ephemeral(testingScalar?: Uint8Array): DhPrivateKey<P>
}

export interface DhPrivateKey<P> {
  readonly publicKey: Uint8Array
  /** The shared secret. Throws when it is all zero (RFC 7748 §6.1). */
  agree(theirPublicKey: P): Uint8Array
}

export interface Backend {
  readonly name: 'native' | 'noble'
  readonly mlKem768: MlKem
  readonly x25519: DhGroup
  aes256gcm(key: Uint8Array): AeadKey
  hmac(hash: HashName, key: Uint8Array): Hmac
  sha256(message: Uint8Array): Uint8Array
  sha3_256(message: Uint8Array): Uint8Array
  shake256(message: Uint8Array, length: number): Uint8Array
}
