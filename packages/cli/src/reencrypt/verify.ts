/** Opens every record with real identities, as a reader would, and counts what is not longhold's yet. */

import { setImmediate } from 'node:timers/promises'

import { decrypt, fromText, LongholdError, unwrapDataKey } from '@longhold/core'
import type { DataKey, Identity, Suite } from '@longhold/core'

import type { RowReader, SourceRow } from '../sources/row-source.ts'
import { isEmpty, longholdValue } from './longhold-value.ts'
import type { LongholdValue } from './longhold-value.ts'

export interface VerifySettings {
  readonly reader: RowReader
  readonly identities: readonly Identity[]
  readonly suites: readonly Suite[]
  readonly onProgress: (values: number) => void
  /** Called between pages; throws to stop. */
  readonly checkStop: () => void
}

export interface Verification {
  readonly values: number
  readonly empty: number
  readonly opened: number
  /** Not in longhold's form. */
  readonly remaining: number
  readonly failures: ReadonlyMap<string, VerifyFailure>
  readonly dataKeys: number
}

export interface VerifyFailure {
  readonly count: number
  readonly examples: readonly string[]
}

const pageLimits = { maxRows: 1000, maxBytes: 16 * 1024 * 1024 }
const maxExamples = 5
/** Data keys kept unwrapped. Records of one run lie together, so few are in use at a time. */
const maxCachedKeys = 1000

/** @throws LongholdError `unavailable` when the holder of an identity could not be asked. */
export async function verify(settings: VerifySettings): Promise<Verification> {
  const verifier = new Verifier(settings)
  try {
    let after: string | undefined
    for (;;) {
      // A turn of the event loop, so that Ctrl-C is heard.
      await setImmediate()
      settings.checkStop()
      const page = await settings.reader.read(after, pageLimits)
      after = page.position
      for (const row of page.rows) {
        const pending = verifier.look(row)
        if (pending !== undefined) await pending
      }
      settings.onProgress(verifier.values + verifier.empty)
      if (page.isLast) return verifier.result()
    }
  } finally {
    verifier.close()
  }
}

class Verifier {
  values = 0
  empty = 0
  readonly #settings: VerifySettings
  readonly #keys = new Map<string, DataKey | Refused>()
  readonly #keysSeen = new Set<string>()
  readonly #failures = new Map<string, { count: number; examples: string[] }>()
  #opened = 0
  #remaining = 0

  constructor(settings: VerifySettings) {
    this.#settings = settings
  }

  /** @returns A promise only where somebody must be asked: most records open at once. */
  look(row: SourceRow): Promise<void> | undefined {
    if (isEmpty(row, this.#settings.reader.target.ownColumns)) {
      this.empty++
      return undefined
    }
    this.values++
    const [cell] = row.cells
    const value = longholdValue(cell)
    if (value === undefined) {
      this.#remaining++
      return undefined
    }
    const key = this.#keys.get(value.keyId)
    if (value.kind === 'record' && key !== undefined) {
      this.#open(row, key)
      return undefined
    }
    return this.#lookSlowly(row, value)
  }

  result(): Verification {
    return {
      values: this.values,
      empty: this.empty,
      opened: this.#opened,
      remaining: this.#remaining,
      failures: this.#failures,
      dataKeys: this.#keysSeen.size,
    }
  }

  close(): void {
    for (const key of this.#keys.values()) if (!('code' in key)) key.wipe()
    this.#keys.clear()
  }

  async #lookSlowly(row: SourceRow, { kind, keyId }: LongholdValue): Promise<void> {
    if (kind === 'record') {
      if (this.#keys.size >= maxCachedKeys) this.close()
      const key = await this.#unwrap(keyId)
      this.#keys.set(keyId, key)
      if (!('code' in key)) this.#keysSeen.add(keyId)
      this.#open(row, key)
      return
    }
    try {
      const { identities, suites } = this.#settings
      const plaintext = await decrypt(bytesOf(row), { identities, suites, context: this.#contextOf(row) })
      plaintext.fill(0)
      this.#opened++
    } catch (error) {
      this.#fail(row, refusal(error))
    }
  }

  async #unwrap(keyId: string): Promise<DataKey | Refused> {
    const { reader, identities, suites } = this.#settings
    const stored = await reader.dataKey(keyId)
    if (stored === undefined) return { code: 'no_data_key' }
    try {
      const { wrappedKey, keyContext } = stored
      return await unwrapDataKey(wrappedKey, { identities, suites, keyContext })
    } catch (error) {
      return refusal(error)
    }
  }

  #open(row: SourceRow, key: DataKey | Refused): void {
    if ('code' in key) return this.#fail(row, key)
    try {
      key.decrypt(bytesOf(row), { recordContext: this.#contextOf(row) }).fill(0)
      this.#opened++
    } catch (error) {
      this.#fail(row, refusal(error))
    }
  }

  #contextOf({ id }: SourceRow): Record<string, string> {
    const { table, column } = this.#settings.reader.target
    return { table, column, id }
  }

  #fail({ locator }: SourceRow, { code }: Refused): void {
    const failure = this.#failures.get(code) ?? { count: 0, examples: [] }
    failure.count++
    if (failure.examples.length < maxExamples) failure.examples.push(locator)
    this.#failures.set(code, failure)
  }
}

/** A code of core's, or `no_data_key`: the record's data key is not stored beside it. */
interface Refused {
  readonly code: string
}

function bytesOf({ cells: [cell] }: SourceRow): Uint8Array {
  if (typeof cell === 'string') return fromText(cell)
  return cell instanceof Uint8Array ? cell : new Uint8Array()
}

/** A refusal of this value; anything else, and a service that cannot be reached, ends the verification. */
function refusal(error: unknown): Refused {
  if (error instanceof LongholdError && error.code !== 'unavailable') return error
  throw error
}
