/** What the stores of wrapped keys say they hold, by version of a key; see `destroy-verdict.ts`. */

import type { AuditLog } from './audit-log.ts'
import { insert, remove, update } from './changes.ts'
import { notFound, ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import type { Keys } from './keys.ts'
import { requireBeside } from './policy.ts'
import type { Caller, Principal } from './policy.ts'
import type { CensusRow, Stored } from './rows.ts'

export interface CensusOptions {
  readonly reads: RowReads
  readonly audit: AuditLog
  readonly keys: Keys
  readonly now: () => number
}

/** Of one key. */
const maxConsumers = 1000

type Owner = Pick<CensusRow, 'principal' | 'token'>
type Assignee = { readonly principal: string } | { readonly token: string }

export interface NewCensus {
  /** Versions and wrapped keys, no version twice; null: he counts later; undefined: as before. */
  readonly counts?: CensusRow['counts'] | undefined
  /** Who speaks for the consumer from now on; default: who did, or whoever registers it. */
  readonly assignTo?: Assignee | undefined
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
   * Takes a count, and registers whoever counted: from then on no version is safe to destroy without him. Only he, by
   * the same principal, or the same token where that has none, says another; or whoever has `census.assign`.
   *
   * @throws ServiceError `permission_denied` for somebody else's consumer, `malformed_request` for a version there is not.
   */
  async put(
    caller: Caller,
    key: string,
    consumer: string,
    { counts, assignTo }: NewCensus,
  ): Promise<CensusRow> {
    const { reads, audit, keys, now } = this.#options
    const keyRow = await keys.row(caller, key)
    const beyond = counts?.find(([version]) => version > keyRow.latestVersion)
    if (beyond !== undefined) {
      throw new ServiceError('malformed_request', `the key ${key} has no version ${beyond[0]}`)
    }
    const before = await reads.row('census', { key, consumer })
    if (before === undefined) await this.#requireRoom(key)
    const isHis = before === undefined || speaksFor(caller.principal, before)
    if (!isHis || assignTo !== undefined) requireBeside(caller, 'census.assign', keyRow)
    const { name, token } = caller.principal
    const owner =
      assignTo === undefined ? (before ?? { principal: name, token }) : await this.#owner(caller, assignTo)
    const counted =
      counts === undefined
        ? { counts: before?.counts ?? null, takenAt: before?.takenAt ?? null }
        : { counts, takenAt: counts === null ? null : now() }
    const row = { key, consumer, ...counted, principal: owner.principal, token: owner.token }
    const change = before === undefined ? insert('census', row) : update('census', before, row)
    const wrappedKeys = row.counts?.reduce((sum, [, count]) => sum + count, 0)
    const assigned =
      assignTo === undefined ? {} : { subject: owner.principal ?? undefined, token: owner.token }
    const event = { action: 'census.put' as const, caller, key, consumer, wrappedKeys, ...assigned }
    if ((await audit.commit(event, [change])) === 'conflict') throw changedMeanwhile(consumer)
    return row
  }

  /** Each one counts before a version can go. */
  async #requireRoom(key: string): Promise<void> {
    const known = await this.#options.reads.rows('census', { within: { key }, limit: maxConsumers })
    if (known.length < maxConsumers) return
    throw new ServiceError(
      'invalid_state',
      `the key ${key} has ${maxConsumers} consumers, and takes no more`,
      {
        hint: 'end some that hold nothing any more',
      },
    )
  }

  /** @throws ServiceError `not_found`. */
  async #owner({ principal: { token } }: Caller, to: Assignee): Promise<Owner> {
    const { reads } = this.#options
    if ('principal' in to) {
      if ((await reads.row('principals', to)) === undefined) throw notFound(`the principal ${to.principal}`)
      return { principal: to.principal, token }
    }
    const row = await reads.row('tokens', to)
    if (row === undefined) throw notFound('the token')
    return { principal: row.principal, token: row.token }
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

/** A consumer is a principal's, whichever token he uses. */
function speaksFor({ name, token }: Principal, owner: Owner): boolean {
  return owner.principal === null ? name === null && token === owner.token : name === owner.principal
}

function changedMeanwhile(consumer: string): ServiceError {
  return new ServiceError('invalid_state', `the census of ${consumer} was changed meanwhile`, {
    hint: 'count again',
  })
}
