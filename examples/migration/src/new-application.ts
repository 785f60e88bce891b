/** How the application reads letters from now on: through the library, with the key service behind it. */

import { fromText, keyIdOf, toHex, unwrapDataKey } from '@longhold/core'
import type { DataKey, Identity } from '@longhold/core'
import Database from 'better-sqlite3'

import { column, revisionOf, table } from './letters.ts'

/** Opens letters; each data key is unwrapped once and kept. */
export class LetterReader {
  readonly #database: Database.Database
  readonly #identity: Identity
  readonly #dataKeys = new Map<string, DataKey>()

  constructor(path: string, identity: Identity) {
    this.#database = new Database(path, { readonly: true })
    this.#identity = identity
  }

  /** @param claimed The id that goes into the record context: the letter opens only under its own. */
  async read(id: number, claimed: number = id): Promise<string> {
    const body = this.#database.prepare(`SELECT ${column} FROM ${table} WHERE id = ?`).pluck().get(id)
    const record = fromText(String(body))
    const dataKey = await this.#dataKeyOf(record)
    const opened = dataKey.decrypt(record, { recordContext: { table, column, id: String(claimed) } })
    return new TextDecoder().decode(opened)
  }

  /** Letters that do not say what they should: none may be lost, in whatever order things happened. */
  async lost(count: number, revisions: ReadonlyMap<number, number>): Promise<number[]> {
    const lost: number[] = []
    for (let id = 1; id <= count; id++) {
      const text = await this.read(id).catch(() => '')
      if (revisionOf(id, text) !== (revisions.get(id) ?? 0)) lost.push(id)
    }
    return lost
  }

  close(): void {
    for (const dataKey of this.#dataKeys.values()) dataKey.wipe()
    this.#database.close()
  }

  async #dataKeyOf(record: Uint8Array): Promise<DataKey> {
    const keyId = keyIdOf(record)
    const known = this.#dataKeys.get(toHex(keyId))
    if (known !== undefined) return known
    const row = this.#database
      .prepare<[Uint8Array], { wrapped_key: Uint8Array; key_context: string }>(
        'SELECT wrapped_key, key_context FROM longhold_data_keys WHERE key_id = ?',
      )
      .get(keyId)
    if (row === undefined) throw new Error(`no wrapped key for ${toHex(keyId)}`)
    const keyContext = JSON.parse(row.key_context) as Record<string, string>
    const dataKey = await unwrapDataKey(row.wrapped_key, { identities: [this.#identity], keyContext })
    this.#dataKeys.set(toHex(keyId), dataKey)
    return dataKey
  }
}
