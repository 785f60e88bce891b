/**
 * The data keys of a run: each wrapped for the recipients, tried with a real identity and durable before the first
 * record is written under it, and of bounded life.
 */

import { DataKey, equalBytes, LongholdError, toHex, unwrapDataKey, wrapDataKey } from '@longhold/core'
import type { Identity, OpenKeyringKey, Recipient, Suite, UnwrapOptions } from '@longhold/core'

import { Problem } from '../sources/problem.ts'
import type { StoredDataKey } from '../sources/row-source.ts'

export interface DataKeyLife {
  readonly maxRecords: number
  readonly maxBytes: number
  readonly maxAgeMs: number
}

/** What a bounded life means when nobody says otherwise: 100,000 records, 1 GiB, 24 hours. */
export const defaultLife: DataKeyLife = {
  maxRecords: 100_000,
  maxBytes: 1024 * 1024 * 1024,
  maxAgeMs: 24 * 60 * 60 * 1000,
}

export interface DataKeySettings {
  readonly dataset: string
  readonly recipients: readonly Recipient[]
  /** Empty: data keys are not tried. */
  readonly identities: readonly Identity[]
  readonly life: DataKeyLife
  /** Of the recipients. Default: the default suite alone. */
  readonly suites?: readonly Suite[] | undefined
  /** Vouches for them (SPEC §12.1), so that keyrings with that keyring key read what is written. */
  readonly keyringKey?: Pick<OpenKeyringKey, 'tagOf'> | undefined
  /** Makes it durable. */
  readonly store: (key: StoredDataKey) => Promise<void>
}

/** A data key on loan to a batch. */
export interface LentDataKey {
  readonly keyId: string
  readonly dataKey: DataKey
  /** The same key as a real identity unwrapped it; undefined when there is none to ask. */
  readonly unwrapped: DataKey | undefined
}

interface Held extends LentDataKey {
  readonly bornMs: number
  records: number
  bytes: number
  /** Batches that are not committed yet. */
  lent: number
}

export class DataKeys {
  readonly #settings: DataKeySettings
  readonly #held = new Map<string, Held>()
  #current: Held | undefined
  #making: Promise<Held> | undefined

  constructor(settings: DataKeySettings) {
    this.#settings = settings
  }

  /** True once a data key exists. */
  get hasKey(): boolean {
    return this.#current !== undefined
  }

  /**
   * A data key with room for that many records. Return it with `giveBack` once the batch is committed.
   *
   * @throws LongholdError `unavailable` when an identity could not be asked.
   * @throws Problem when no identity opens what was wrapped for the recipients.
   */
  async take(records: number, bytes: number): Promise<LentDataKey> {
    let held = this.#current
    while (held === undefined || !this.#hasRoom(held, records, bytes)) {
      this.#making ??= this.#make().finally(() => (this.#making = undefined))
      held = await this.#making
    }
    held.records += records
    held.bytes += bytes
    held.lent++
    return held
  }

  /**
   * Counts the real size of a batch that is larger than was said: compressed values are longer than they look.
   *
   * @returns Another data key in place of one that would outgrow its life; the batch is to be done again under it.
   */
  async correct(
    lent: LentDataKey,
    { records, said, real }: { readonly records: number; readonly said: number; readonly real: number },
  ): Promise<LentDataKey> {
    const held = this.#held.get(lent.keyId)
    if (held === undefined) throw new Error('a data key that was not lent')
    held.bytes -= said
    if (held.records === records || held.bytes + real <= this.#settings.life.maxBytes) {
      held.bytes += real
      return lent
    }
    held.records -= records
    const next = await this.take(records, real)
    held.lent--
    return next
  }

  /** @returns Key ids that nothing more will be written under. */
  giveBack({ keyId }: LentDataKey): string[] {
    const held = this.#held.get(keyId)
    if (held !== undefined) held.lent--
    const done = [...this.#held.values()].filter((one) => one !== this.#current && one.lent === 0)
    return done.map((one) => this.#forget(one))
  }

  /** Forgets all of them. @returns Their key ids. */
  close(): string[] {
    this.#current = undefined
    return [...this.#held.values()].map((held) => this.#forget(held))
  }

  #hasRoom({ records, bytes, bornMs }: Held, moreRecords: number, moreBytes: number): boolean {
    const { maxRecords, maxBytes, maxAgeMs } = this.#settings.life
    // A batch larger than a whole life still gets a key of its own.
    if (records === 0) return true
    return (
      records + moreRecords <= maxRecords &&
      bytes + moreBytes <= maxBytes &&
      performance.now() - bornMs < maxAgeMs
    )
  }

  async #make(): Promise<Held> {
    const { dataset, recipients, identities, suites, keyringKey, store } = this.#settings
    const dataKey = DataKey.generate()
    const keyContext = { dataset }
    const options = { keyContext, ...(suites === undefined ? {} : { suites }) }
    const wrappedKey = await wrapDataKey(dataKey, { recipients, ...options })
    const unwrapped = await tryToUnwrap(dataKey, wrappedKey, { identities, ...options })
    const keyId = toHex(dataKey.keyId)
    const createdAt = new Date()
    const tag = keyringKey?.tagOf(dataKey, { name: dataset, keyContext, createdAt })
    const vouched = tag && { tag, createdAt: createdAt.toISOString() }
    await store({
      keyId,
      wrappedKey,
      keyContext,
      name: dataset,
      state: 'writing',
      messages: 0,
      bytes: 0,
      vouched,
    })
    const held: Held = { keyId, dataKey, unwrapped, bornMs: performance.now(), records: 0, bytes: 0, lent: 0 }
    this.#held.set(keyId, held)
    this.#current = held
    return held
  }

  #forget({ keyId, dataKey, unwrapped }: Held): string {
    this.#held.delete(keyId)
    dataKey.wipe()
    unwrapped?.wipe()
    return keyId
  }
}

/** Records that nobody can open would be lost: the wrap is tried before anything is written under it. */
async function tryToUnwrap(
  dataKey: DataKey,
  wrappedKey: Uint8Array,
  options: UnwrapOptions,
): Promise<DataKey | undefined> {
  if (options.identities.length === 0) return undefined
  let unwrapped: DataKey
  try {
    unwrapped = await unwrapDataKey(wrappedKey, options)
  } catch (error) {
    if (!(error instanceof LongholdError) || error.code === 'unavailable') throw error
    throw new Problem('wrong', `no identity that was given opens what the recipients can: ${error.message}`, {
      hint: 'give the identity of one of the recipients, or leave --identity out',
      cause: error,
    })
  }
  if (dataKey.use((a) => unwrapped.use((b) => equalBytes(a, b)))) return unwrapped
  throw new Error('an identity unwrapped another data key than was wrapped')
}
