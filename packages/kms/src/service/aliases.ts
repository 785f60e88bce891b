/** Aliases: second names of keys, for writers. Unwrapping goes by recipient id and never by a name. */

import type { AuditLog } from './audit-log.ts'
import { insert, remove, update } from './changes.ts'
import { notFound, ServiceError } from './errors.ts'
import type { Page, RowReads } from './key-store.ts'
import type { Keys } from './keys.ts'
import { maySee, mayUse, permissionDenied, requireName } from './policy.ts'
import type { Caller } from './policy.ts'
import { checking } from './rider.ts'
import type { AliasRow, Stored } from './rows.ts'

export interface AliasesOptions {
  readonly reads: RowReads
  readonly audit: AuditLog
  readonly keys: Keys
  readonly now: () => number
}

export class Aliases {
  readonly #options: AliasesOptions

  constructor(options: AliasesOptions) {
    this.#options = options
  }

  /** Those whose key he may do this with, by name. */
  async list(caller: Caller, { after, limit }: Page<string>): Promise<Stored<AliasRow>[]> {
    const found: Stored<AliasRow>[] = []
    let from = after
    for (;;) {
      const page = { after: from === undefined ? undefined : { alias: from }, limit }
      const rows = await this.#options.reads.rows('aliases', page)
      for (const row of rows) if ((await this.#rightsOver(caller, row)).mayUse) found.push(row)
      from = rows.at(-1)?.alias
      if (rows.length < limit || found.length >= limit) return found.slice(0, limit)
    }
  }

  /**
   * @throws ServiceError `not_found`, also when the caller may not see its key; `permission_denied` when he may, and what
   * the route is for is not allowed with that key.
   */
  async get(caller: Caller, alias: string): Promise<Stored<AliasRow>> {
    const row = await this.#options.reads.row('aliases', { alias })
    const rights = row && (await this.#rightsOver(caller, row))
    if (row === undefined || rights?.maySee !== true) throw notFound(`the alias ${alias}`)
    if (!rights.mayUse) throw permissionDenied(caller.permission ?? 'aliases.read')
    return row
  }

  /**
   * Points an alias at a key. Whoever wraps for the alias wraps for that key from then on.
   *
   * @throws ServiceError `not_found` for a key the caller may not see; `permission_denied` unless he may do this with the
   * name and with both keys, that of now and that of before; `invalid_state` for the name of a key.
   */
  async put(caller: Caller, alias: string, key: string): Promise<AliasRow & { generation: number }> {
    const { reads, audit, keys, now } = this.#options
    requireName(caller, 'aliases.write', alias)
    await keys.row(caller, key)
    const before = await reads.row('aliases', { alias })
    // Or he would turn the writers of another key to his own.
    if (before !== undefined && !(await this.#rightsOver(caller, before)).mayUse) {
      throw permissionDenied('aliases.write')
    }
    await this.#requireNoKey(alias)
    const at = now()
    const row = { alias, key, createdAt: before?.createdAt ?? at, changedAt: at }
    const putting = checking(caller, () => this.#requireNoKey(alias))
    const event = { action: 'alias.put' as const, caller: putting, alias, key, previousKey: before?.key }
    const change = before === undefined ? insert('aliases', row) : update('aliases', before, row)
    if ((await audit.commit(event, [change])) === 'conflict') throw changedMeanwhile(alias)
    return { ...row, generation: (before?.generation ?? 0) + 1 }
  }

  async remove(caller: Caller, alias: string): Promise<void> {
    const row = await this.get(caller, alias)
    const event = { action: 'alias.remove' as const, caller, alias, key: row.key }
    if ((await this.#options.audit.commit(event, [remove('aliases', row)])) === 'conflict') {
      throw changedMeanwhile(alias)
    }
  }

  async #requireNoKey(alias: string): Promise<void> {
    if ((await this.#options.reads.row('keys', { key: alias })) === undefined) return
    throw new ServiceError('invalid_state', `${alias} is the name of a key`, { hint: 'choose another name' })
  }

  /** With the key that an alias stands for: whether it is there for the caller, and whether he may do this with it. */
  async #rightsOver(
    { principal, permission }: Caller,
    { key }: AliasRow,
  ): Promise<{ maySee: boolean; mayUse: boolean }> {
    const labels = (await this.#options.reads.row('keys', { key }))?.labels ?? null
    const isSeen = maySee(principal, key, labels)
    const subject = { key, labels }
    return {
      maySee: isSeen,
      mayUse: isSeen && (permission === null || mayUse(principal, permission, subject)),
    }
  }
}

function changedMeanwhile(alias: string): ServiceError {
  return new ServiceError('invalid_state', `the alias ${alias} was changed meanwhile`, { hint: 'try again' })
}
