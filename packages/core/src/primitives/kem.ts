/** A key encapsulation mechanism with its keys prepared: import once, use many times. Synchronous throughout. */

export interface Kem {
  /** HPKE KEM identifier. */
  readonly id: number
  readonly seedBytes: number
  readonly publicKeyBytes: number
  readonly encapsulatedKeyBytes: number
  /** Checks and prepares a public key. Throws `bad_key` when it is none. */
  encapsulationKey(publicKey: Uint8Array): EncapsulationKey
  /** Derives and prepares a key pair from its seed, which is read and not kept. */
  decapsulationKey(seed: Uint8Array): DecapsulationKey
}

export interface EncapsulationKey {
  readonly encapsulatedKeyBytes: number
  /** `testingRandomness` replaces the randomness of the encapsulation; the native backend refuses it. */
  encapsulate(testingRandomness?: Uint8Array): { sharedSecret: Uint8Array; encapsulatedKey: Uint8Array }
  /** The same, the encapsulated key written to the start of `out`; returns the shared secret. */
  encapsulateInto(out: Uint8Array, testingRandomness?: Uint8Array): Uint8Array
}

export interface DecapsulationKey {
  readonly publicKey: Uint8Array
  /** The 32-byte shared secret. Throws `cannot_open` for an encapsulated key no honest sender makes. */
  decapsulate(encapsulatedKey: Uint8Array): Uint8Array
}
