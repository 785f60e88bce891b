/** What a keyring may write and read, beyond what is cryptographically possible. */

import { LongholdError, badInput } from '../errors.ts'
import { checkOptions } from '../options.ts'
import type { LocalIdentity } from './identity.ts'
import type { Recipient } from './recipient.ts'
import { suiteIdText, suiteTable } from './suite.ts'
import type { Suite, SuiteTable } from './suite.ts'
import { checkRecipients } from './wrapped-key.ts'

/** What a keyring writes and reads, narrower than what it could. */
export interface KeyringPolicy {
  /**
   * Suites for which data keys are wrapped; among the keyring's `suites`, and by default those. A data key that is also
   * wrapped with another one is not used for new records.
   */
  readonly writeSuites?: readonly Suite[]
  /**
   * Data keys that were made longer ago are not opened any more: at least `limits.maxAgeMs`, for which they are written
   * under. By default none is too old to read.
   */
  readonly maxReadAgeMs?: number
  /**
   * With a keyring key: open data keys that it does not vouch for too, say those of `longhold reencrypt` while it runs.
   * Nothing is written under them. Default false.
   */
  readonly readUnvouched?: boolean
}

export class Policy {
  /** What may be met when reading. */
  readonly readable: SuiteTable
  readonly #writable: SuiteTable
  /** May be infinite. */
  readonly maxReadAgeMs: number
  /** Whether data keys may be read under that the keyring key does not vouch for. */
  readonly readsUnvouched: boolean

  /** @throws LongholdError `bad_input` for suites to write that could not be read, or an age that is none. */
  constructor(suites: readonly Suite[] | undefined, options: KeyringPolicy = {}) {
    checkOptions(options, ['writeSuites', 'maxReadAgeMs', 'readUnvouched'], 'policy')
    const { writeSuites = suites, maxReadAgeMs = Number.POSITIVE_INFINITY, readUnvouched = false } = options
    if (typeof maxReadAgeMs !== 'number' || !(maxReadAgeMs > 0))
      throw badInput('policy: maxReadAgeMs must be a number above 0')
    if (typeof readUnvouched !== 'boolean') throw badInput('policy: readUnvouched must be true or false')
    this.readsUnvouched = readUnvouched
    this.readable = suiteTable(suites)
    this.#writable = suiteTable(writeSuites)
    this.maxReadAgeMs = maxReadAgeMs
    for (const suite of writeSuites ?? []) {
      if (this.readable.of(suite) === undefined)
        throw badInput(`policy: writeSuites has a suite that "suites" has not (${suiteIdText(suite)})`)
    }
  }

  /**
   * Refuses recipients before anything is written.
   *
   * @throws LongholdError `bad_input` for none, one twice or more than 32; `unsupported` for a suite that may not be
   * written.
   */
  checkRecipients(recipients: readonly Recipient[]): void {
    checkRecipients(recipients, this.#writable)
  }

  /**
   * Refuses identities that could open nothing. Those that ask a service say so themselves, when they are asked.
   *
   * @throws LongholdError `unsupported` for one of a suite that may not be read.
   */
  checkIdentities(identities: readonly Partial<LocalIdentity>[]): void {
    for (const { kemId } of identities) {
      if (kemId !== undefined && this.readable.ofKem(kemId) === undefined)
        throw new LongholdError(
          'unsupported',
          `an identity is of KEM 0x${kemId.toString(16)}, which no one of "suites" has`,
        )
    }
  }

  /** @throws LongholdError `limit_exceeded` when the data key is too old to be read. */
  checkReadAge(ageMs: number): void {
    if (ageMs <= this.maxReadAgeMs) return
    throw new LongholdError(
      'limit_exceeded',
      `the data key was made ${Math.floor(ageMs)} ms ago, at most ${this.maxReadAgeMs} are allowed`,
      { hint: 'policy.maxReadAgeMs of the keyring says so' },
    )
  }
}
