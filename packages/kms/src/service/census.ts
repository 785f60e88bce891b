/** What the stores of wrapped keys say they hold, by version of a key; see `destroy-verdict.ts`. */

import type { AuditLog } from './audit-log.ts'
import { insert, remove, update } from './changes.ts'
import { notFound, ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import type { Keys } from './keys.ts'
import type { Caller } from './policy.ts'
import type { CensusRow, Stored } from './rows.ts'

export interface CensusOptions {
  readonly reads: RowReads
  readonly audit: AuditLog
  readonly keys: Keys
  readonly now: () => number
}

export class Census {
  readonly #options: CensusOptions

  constructor(options: CensusOptions) {
    this.#options = options
  }

  /** @throws ServiceError `not_found`. */
  async get(caller: Caller, key: string, consumer: string): Promise<Stored<CensusRow>> {
    await this.#options.keys.row(caller, key)
    const row = await this.#options.reads.row('census', { key, consumer })
    if (row === undefined) throw notFound(`a census of ${consumer} for the key ${key}`)
    return row
  }

  /**
   * Takes a count, and registers whoever counted: from then on no version is safe to destroy without him.
   *
   * @param counts Versions and wrapped keys, no version twice; null: he counts later.
   */
  async put(caller: Caller, key: string, consumer: string, counts: CensusRow['counts']): Promise<CensusRow> {
    const { reads, audit, keys, now } = this.#options
    const { latestVersion } = await keys.row(caller, key)
    const beyond = counts?.find(([version]) => version > latestVersion)
    if (beyond !== undefined) {
      throw new ServiceError('malformed_request', `the key ${key} has no version ${beyond[0]}`)
    }
    const before = await reads.row('census', { key, consumer })
    const row = { key, consumer, counts, takenAt: counts === null ? null : now() }
    const change = before === undefined ? insert('census', row) : update('census', before, row)
    const wrappedKeys = counts?.reduce((sum, [, count]) => sum + count, 0)
    const event = { action: 'census.put' as const, caller, key, consumer, wrappedKeys }
    if ((await audit.commit(event, [change])) === 'conflict') throw changedMeanwhile(consumer)
    return row
  }

  /** For a consumer that is no more. */
  async remove(caller: Caller, key: string, consumer: string): Promise<void> {
    const row = await this.get(caller, key, consumer)
    const event = { action: 'census.remove' as const, caller, key, consumer }
    if ((await this.#options.audit.commit(event, [remove('census', row)])) === 'conflict') {
      throw changedMeanwhile(consumer)
    }
  }
}

function changedMeanwhile(consumer: string): ServiceError {
  return new ServiceError('invalid_state', `the census of ${consumer} was changed meanwhile`, {
    hint: 'count again',
  })
}
