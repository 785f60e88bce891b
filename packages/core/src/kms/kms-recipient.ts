/** A key of the service as a recipient: it wraps here, and asks the service again within a day. */

import type { Stanza } from '../format/header.ts'
import type { Bound, PublicKeyRecipient, Recipient } from '../keys/recipient.ts'
import { suiteTable } from '../keys/suite.ts'
import type { SuitesOption } from '../keys/suite.ts'
import { checkOptions } from '../options.ts'
import { recipientOf } from './bundle-keys.ts'
import type { KmsClient } from './client.ts'

/** No bundle is good for longer, whatever it says. */
const maxLifeMs = 24 * 60 * 60 * 1000

interface Current {
  readonly recipient: PublicKeyRecipient
  readonly version: number
  readonly notAfterMs: number
}

/**
 * The primary version of a key. It wraps in this process, without the service, as long as what the service said of the
 * key is good: a day at most. Then it asks again, so that a rotation takes effect within that time.
 */
export class KmsRecipient implements Recipient {
  readonly #fetch: () => Promise<Current>
  #current: Current
  #fetching: Promise<Current> | undefined

  private constructor(fetch: () => Promise<Current>, current: Current) {
    this.#fetch = fetch
    this.#current = current
  }

  /** As `kmsRecipient`. */
  static async of(client: KmsClient, key: string, suites: SuitesOption): Promise<KmsRecipient> {
    const fetch = async (): Promise<Current> => {
      const askedAtMs = Date.now()
      const bundle = await client.publicKey(key)
      const notAfterMs = Date.parse(bundle.not_after)
      // By their difference too: the two clocks need not agree to the minute.
      const lifeMs = Math.min(maxLifeMs, notAfterMs - Date.parse(bundle.issued_at))
      const recipient = recipientOf(client, bundle, suites)
      return { recipient, version: bundle.version, notAfterMs: Math.min(notAfterMs, askedAtMs + lifeMs) }
    }
    return new KmsRecipient(fetch, await fetch())
  }

  /** Of the suite of the key, which never changes. */
  get kemId(): number {
    return this.#current.recipient.kemId
  }

  /** 16 bytes, a copy: of the version that is primary as far as is known here. */
  get recipientId(): Uint8Array {
    return this.#current.recipient.recipientId
  }

  /** A copy: 1,216 bytes for KEM 0x647a, 1,665 for 0x0051 (SPEC §1). */
  get publicKey(): Uint8Array {
    return this.#current.recipient.publicKey
  }

  /** The number of that version, 1 and up. */
  get version(): number {
    return this.#current.version
  }

  /** Until when it wraps without asking, milliseconds since 1970. */
  get notAfterMs(): number {
    return this.#current.notAfterMs
  }

  /** The recipient text of that version, `lhrecipient1-…` (SPEC §7). */
  toString(): string {
    return this.#current.recipient.toString()
  }

  /** As `toString`: the recipient text. */
  toJSON(): string {
    return this.toString()
  }

  /**
   * Wraps a data key (SPEC §5.2), for another version than before when the key was rotated meanwhile.
   *
   * @throws LongholdError `unavailable` when the service had to be asked and could not be, or says what is not good.
   */
  async wrap(dataKey: Uint8Array, bound: Bound): Promise<Stanza> {
    if (Date.now() >= this.#current.notAfterMs) await this.refresh()
    return await this.#current.recipient.wrap(dataKey, bound)
  }

  /**
   * Asks now, for whoever knows of a rotation.
   *
   * @throws LongholdError as `kmsRecipient`; what was known stays.
   */
  async refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined
    })
    this.#current = await this.#fetching
  }
}

/**
 * The primary version of a key as a recipient.
 *
 * @param key Its name, or an alias.
 * @throws LongholdError `bad_input` when the service has no such key, `unsupported` when it is of none of the suites,
 * `unavailable`.
 */
export async function kmsRecipient(
  client: KmsClient,
  key: string,
  options: SuitesOption = {},
): Promise<KmsRecipient> {
  checkOptions(options, ['suites'], 'kmsRecipient')
  suiteTable(options.suites) // refuses what is none
  return await KmsRecipient.of(
    client,
    key,
    options.suites === undefined ? {} : { suites: [...options.suites] },
  )
}
