/** Who can unwrap a data key. */

import { equalBytes } from '../bytes.ts'
import { badInput, cannotOpen } from '../errors.ts'
import { stanzaPrefixBytes } from '../format/header.ts'
import type { Stanza } from '../format/header.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { openBase } from '../primitives/hpke.ts'
import type { DecapsulationKey } from '../primitives/kem.ts'
import { randomBytes } from '../primitives/random.ts'
import { Secret } from '../secret.ts'
import { formatIdentity } from './key-text.ts'
import { PublicKeyRecipient } from './recipient.ts'
import type { Bound } from './recipient.ts'
import { defaultSuite, suiteOfKem, suiteTable } from './suite.ts'
import type { Suite, SuitesOption } from './suite.ts'
import { wrapInfo } from './wrap-info.ts'

/** Someone who can unwrap data keys; implementations may ask a service. */
export interface Identity {
  /**
   * Whether a stanza with these two ids is addressed to this identity.
   *
   * @param recipientId 16 bytes (SPEC §2).
   * @throws LongholdError `unavailable` when the holder of the key could not be asked.
   */
  owns(kemId: number, recipientId: Uint8Array): boolean | Promise<boolean>
  /**
   * Opens a stanza addressed to this identity (`owns` said so; SPEC §5.3 step 7).
   *
   * @returns The data key, 32 bytes; the caller wipes it.
   * @throws LongholdError `cannot_open` when it does not open, `unavailable` when the holder of the key could
   * not be asked.
   */
  unwrap(stanza: Stanza, bound: Bound): Promise<Secret>
}

/** An identity whose seed, 32 bytes, is in this process (SPEC §1). */
export class LocalIdentity implements Identity {
  readonly kemId: number
  /** The public half: what others encrypt to. */
  readonly recipient: PublicKeyRecipient
  readonly #seed: Secret
  readonly #suite: Suite
  #decapsulationKey: DecapsulationKey | undefined

  private constructor(suite: Suite, seed: Uint8Array) {
    this.kemId = suite.kemId
    this.#suite = suite
    this.#decapsulationKey = suite.kem.decapsulationKey(seed)
    this.#seed = Secret.copyOf(seed)
    this.recipient = PublicKeyRecipient.fromPublicKey(suite.kemId, this.#decapsulationKey.publicKey, {
      suites: [suite],
    })
  }

  /**
   * A new identity, of the default suite unless said otherwise.
   *
   * @throws LongholdError `bad_input` for what is no suite.
   */
  static generate(suite: Suite = defaultSuite): LocalIdentity {
    suiteTable([suite]) // refuses what is no suite
    const seed = randomBytes(suite.kem.seedBytes)
    try {
      return new LocalIdentity(suite, seed)
    } finally {
      seed.fill(0)
    }
  }

  /**
   * @param seed 32 bytes, copied. It belongs to one KEM and to longhold alone (SPEC §1).
   * @throws LongholdError `unsupported` for an unknown KEM, `bad_key` for a seed that gives no key.
   */
  static fromSeed(
    seed: Uint8Array,
    kemId: number = defaultSuite.kemId,
    options: SuitesOption = {},
  ): LocalIdentity {
    checkOptions(options, ['suites'], 'LocalIdentity.fromSeed')
    checkBytes(seed, 'LocalIdentity: seed')
    return new LocalIdentity(suiteOfKem(options.suites, kemId), seed)
  }

  /** 16 bytes (SPEC §2). */
  get recipientId(): Uint8Array {
    return this.recipient.recipientId
  }

  /**
   * Lends the seed, 32 bytes, for whoever stores it. Borrowed: not to be changed or kept.
   *
   * @throws LongholdError `bad_input` after `wipe`.
   */
  useSeed<T>(read: (seed: Uint8Array) => T): T {
    return this.#seed.use(read)
  }

  /**
   * The identity text, `LONGHOLD-IDENTITY-1-…` (SPEC §7), 71 characters: a secret, for a file only its owner reads.
   *
   * @throws LongholdError `bad_input` after `wipe`.
   */
  exportText(): string {
    return this.#seed.use((seed) => formatIdentity(this.kemId, seed))
  }

  owns(kemId: number, recipientId: Uint8Array): boolean {
    return kemId === this.kemId && equalBytes(recipientId, this.recipientId)
  }

  async unwrap(stanza: Stanza, { keyId, keyContext }: Bound): Promise<Secret> {
    if (this.#decapsulationKey === undefined) throw badInput('this identity was wiped')
    const suite = this.#suite
    const { stanzaLength } = suiteTable([suite])
    if (!this.owns(stanza.kemId, stanza.recipientId)) throw cannotOpen()
    if (stanzaPrefixBytes + stanza.payload.length !== stanzaLength(stanza)) throw cannotOpen()
    const enc = suite.kem.encapsulatedKeyBytes
    const dataKey = openBase(suite, this.#decapsulationKey, {
      encapsulatedKey: stanza.payload.subarray(0, enc),
      info: wrapInfo(keyId, stanza.recipientId, keyContext),
      ciphertext: stanza.payload.subarray(enc),
    })
    if (dataKey === undefined) throw cannotOpen()
    return Secret.take(dataKey)
  }

  /** Forgets the seed and the prepared key; the identity cannot unwrap any more. Best effort. */
  wipe(): void {
    this.#seed.wipe()
    this.#decapsulationKey = undefined
  }

  /** For `using`: as `wipe`. */
  [Symbol.dispose](): void {
    this.wipe()
  }

  /** Whose identity it is, by its recipient text: nothing of the seed. */
  toString(): string {
    return `[identity of ${this.recipient.toString()}]`
  }

  /** As `toString`: whose identity it is, and nothing of the seed. */
  toJSON(): string {
    return this.toString()
  }
}
