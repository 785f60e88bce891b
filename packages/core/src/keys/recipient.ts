/** Who a data key can be wrapped for. */

import { concat, copyBytes, u16, utf8 } from '../bytes.ts'
import { badInput } from '../errors.ts'
import type { EncryptionContext } from '../format/context.ts'
import { recipientIdBytes } from '../format/header.ts'
import type { Stanza } from '../format/header.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { backend } from '../primitives/backend.ts'
import { sealBase } from '../primitives/hpke.ts'
import type { EncapsulationKey } from '../primitives/kem.ts'
import { formatRecipient } from './key-text.ts'
import { suiteOfKem } from './suite.ts'
import type { Suite, SuitesOption } from './suite.ts'
import { wrapInfo } from './wrap-info.ts'

/** What a wrap is bound to. */
export interface Bound {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  /** In canonical order. */
  readonly keyContext: EncryptionContext
}

/** Someone a data key can be wrapped for; implementations may ask a service. */
export interface Recipient {
  readonly kemId: number
  /** 16 bytes, derived from the public key (SPEC §2). */
  readonly recipientId: Uint8Array
  /**
   * Wraps a data key (SPEC §5.2).
   *
   * @param dataKey 32 bytes. Borrowed: read during the call, not kept, not wiped.
   * @returns One stanza: recipient id, encapsulated key (1,120 bytes in the default suite), wrapped data key (48).
   * @throws LongholdError `unavailable` when a service had to be asked and could not be.
   */
  wrap(dataKey: Uint8Array, bound: Bound): Promise<Stanza>
}

/** Reads what the class keeps private, for this file alone. */
let keyOf: (recipient: PublicKeyRecipient) => { suite: Suite; encapsulationKey: EncapsulationKey }

/** A recipient known by its public key; wraps locally (SPEC §1.4, §5.2). */
export class PublicKeyRecipient implements Recipient {
  readonly kemId: number
  readonly #recipientId: Uint8Array
  readonly #publicKey: Uint8Array
  readonly #suite: Suite
  readonly #encapsulationKey: EncapsulationKey

  private constructor(suite: Suite, publicKey: Uint8Array) {
    this.kemId = suite.kemId
    this.#suite = suite
    this.#publicKey = copyBytes(publicKey)
    this.#encapsulationKey = suite.kem.encapsulationKey(this.#publicKey)
    this.#recipientId = recipientIdOf(suite.kemId, publicKey)
  }

  /**
   * @param publicKey 1,216 bytes for KEM 0x647a. Checked here, before anything can be written (SPEC §1).
   * @throws LongholdError `unsupported` for an unknown KEM, `bad_key` for a key that fails its checks.
   */
  static fromPublicKey(kemId: number, publicKey: Uint8Array, options: SuitesOption = {}): PublicKeyRecipient {
    checkOptions(options, ['suites'], 'PublicKeyRecipient.fromPublicKey')
    checkBytes(publicKey, 'PublicKeyRecipient: publicKey')
    return new PublicKeyRecipient(suiteOfKem(options.suites, kemId), publicKey)
  }

  /** 16 bytes, a copy (SPEC §2). */
  get recipientId(): Uint8Array {
    return copyBytes(this.#recipientId)
  }

  /** A copy: 1,216 bytes for KEM 0x647a, 1,665 for 0x0051 (SPEC §1). */
  get publicKey(): Uint8Array {
    return copyBytes(this.#publicKey)
  }

  /** The recipient text, `lhrecipient1-…` (SPEC §7). */
  toString(): string {
    return formatRecipient(this.kemId, this.#publicKey)
  }

  /** As `toString`: the recipient text. */
  toJSON(): string {
    return this.toString()
  }

  async wrap(dataKey: Uint8Array, bound: Bound): Promise<Stanza> {
    return sealStanza(this, dataKey, bound)
  }

  static {
    keyOf = (recipient) => ({ suite: recipient.#suite, encapsulationKey: recipient.#encapsulationKey })
  }
}

/**
 * The wrap itself (SPEC §5.2). Not exported by the package: `testingRandomness` fixes the encapsulation, for
 * vectors, and the portable backend alone takes it.
 */
export function sealStanza(
  recipient: PublicKeyRecipient,
  dataKey: Uint8Array,
  { keyId, keyContext }: Bound,
  testingRandomness?: Uint8Array,
): Stanza {
  checkBytes(dataKey, 'wrap: dataKey')
  if (dataKey.length !== 32) throw badInput(`a data key has 32 bytes, not ${dataKey.length}`)
  const { suite, encapsulationKey } = keyOf(recipient)
  const { kemId, kdfId, aeadId } = suite
  const { recipientId } = recipient
  const payload = sealBase(suite, encapsulationKey, {
    info: wrapInfo(keyId, recipientId, keyContext),
    plaintext: dataKey,
    testingRandomness,
  })
  return { kemId, kdfId, aeadId, recipientId, payload }
}

const label = utf8('longhold/v1/recipient')

/** First 16 bytes of SHA-256(label ‖ u16(kem_id) ‖ public key) (SPEC §2). */
export function recipientIdOf(kemId: number, publicKey: Uint8Array): Uint8Array {
  return copyBytes(
    backend()
      .sha256(concat(label, u16(kemId), publicKey))
      .subarray(0, recipientIdBytes),
  )
}
