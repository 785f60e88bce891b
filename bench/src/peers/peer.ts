/** What every competitor offers to the benchmark; what it cannot do it leaves out. */

import { strict as assert } from 'node:assert'

import { ml_kem768_x25519 } from '@noble/post-quantum/hybrid.js'

export type Operation = 'generate' | 'encapsulate' | 'decapsulate' | 'seal' | 'open'

export interface Peer {
  /** As printed; the package and what of it is used. */
  readonly name: string
  readonly kind: 'ours' | 'floor' | 'peer'
  /** What is timed where that is not the plain operation. */
  readonly notes?: Partial<Record<Operation, string>>
  /** Called before each slot, outside the clock. */
  readonly before?: () => void
  /** Each is the complete call, keys prepared beforehand; it may return a promise. */
  readonly operations: Partial<Record<Operation, () => unknown>>
}

/** The same keys and messages for everybody. */
export interface Inputs {
  /** 32 bytes: the secret key of MLKEM768-X25519. */
  readonly seed: Uint8Array
  readonly publicKey: Uint8Array
  /** One encapsulation to `publicKey` and the secret that it must give. */
  readonly encapsulatedKey: Uint8Array
  readonly sharedSecret: Uint8Array
  /** What is sealed: 32 bytes. */
  readonly dataKey: Uint8Array
  /** HPKE info as long as ours is for an empty context: 51 bytes. */
  readonly info: Uint8Array
}

export function makeInputs(): Inputs {
  const seed = crypto.getRandomValues(new Uint8Array(32))
  const { publicKey } = ml_kem768_x25519.keygen(seed)
  const { cipherText: encapsulatedKey, sharedSecret } = ml_kem768_x25519.encapsulate(publicKey)
  return {
    seed,
    publicKey,
    encapsulatedKey,
    sharedSecret,
    dataKey: crypto.getRandomValues(new Uint8Array(32)),
    info: crypto.getRandomValues(new Uint8Array(51)),
  }
}

/** Throws unless both are the same bytes. A peer that does not compute the same thing is not timed. */
export function expectBytes(
  actual: Uint8Array | ArrayBuffer | null | undefined,
  expected: Uint8Array,
  what: string,
): void {
  assert.ok(actual, `${what}: nothing came back`)
  assert.deepEqual(Buffer.from(actual as Uint8Array), Buffer.from(expected), what)
}

/** Throws unless noble opens what the peer encapsulated. */
export function expectEncapsulation(
  { seed }: Inputs,
  made: { encapsulatedKey: Uint8Array; sharedSecret: Uint8Array },
  peer: string,
): void {
  const { encapsulatedKey, sharedSecret } = made
  expectBytes(sharedSecret, ml_kem768_x25519.decapsulate(encapsulatedKey, seed), `${peer} encapsulates`)
}
