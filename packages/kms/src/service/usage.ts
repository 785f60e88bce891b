/** Uses of versions, counted and kept (`usage-counts.ts`), and the log's entries of them. */

import type { AuditEvent } from './audit-entry.ts'
import type { AuditLog } from './audit-log.ts'
import { insert, update } from './changes.ts'
import type { Change } from './changes.ts'
import { auditUnavailable, ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import type { UsageRow } from './rows.ts'
import { addUsage, dayOf, noUsage, UsageCounts } from './usage-counts.ts'
import type { Usage } from './usage-counts.ts'

const maxAttempts = 5
const maxKnown = 100_000
/** Rows of one write: other writers wait for it. */
const maxRows = 500

/** So many uses of one version. */
export interface Uses {
  readonly key: string
  readonly version: number
  readonly uses: number
}

export interface UsageLogOptions {
  readonly reads: RowReads
  readonly audit: AuditLog
  readonly now: () => number
}

export class UsageLog {
  readonly #options: UsageLogOptions
  readonly #counts = new UsageCounts()
  /** The day on which a version's row says it was used. */
  readonly #days = new Map<string, number>()

  constructor(options: UsageLogOptions) {
    this.#options = options
  }

  /**
   * Returns once the entry is durable, and with it that each version was used today.
   *
   * @throws ServiceError `audit_unavailable`, as for any entry; also where the rows cannot be written.
   */
  async record(event: AuditEvent, uses: readonly Uses[]): Promise<void> {
    const { audit, now } = this.#options
    const at = now()
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const fresh = uses.filter(({ key, version }) => this.#days.get(nameOf(key, version)) !== dayOf(at))
      if (fresh.length === 0) {
        // What it owes is a change, and those wait for each other.
        if (event.caller?.principal.tab.isDue !== true) await audit.record(event)
        else if ((await this.#commit(event, [])) !== 'done') continue
        for (const { key, version, uses: count } of uses) this.#counts.count(key, version, at, count)
        return
      }
      const changes = await Promise.all(
        fresh.map((one) => this.#change(one.key, one.version, usageOf(one, at))),
      )
      if ((await this.#commit(event, changes)) === 'done') {
        if (this.#days.size > maxKnown) this.#days.clear()
        for (const { key, version } of fresh) this.#days.set(nameOf(key, version), dayOf(at))
        for (const one of uses) {
          if (!fresh.includes(one)) this.#counts.count(one.key, one.version, at, one.uses)
        }
        return
      }
    }
    throw auditUnavailable()
  }

  /** What is known of one version; absent for one that was never used. */
  async of(key: string, version: number): Promise<Usage> {
    return addUsage(await this.#kept(key, version), this.#counts.of(key, version))
  }

  /** Of the versions after one, as many as there may be up to `last`. */
  async within(key: string, after: number | undefined, last: number): Promise<ReadonlyMap<number, Usage>> {
    const from = after === undefined ? undefined : { key, version: after }
    const limit = last - (after ?? 0)
    const rows =
      limit < 1 ? [] : await this.#options.reads.rows('usage', { within: { key }, after: from, limit })
    const found = rows.filter(({ version }) => version <= last)
    return new Map(
      found.map((row) => [row.version, addUsage(usageIn(row), this.#counts.of(key, row.version))]),
    )
  }

  /** Counts that are not in the database yet, as changes of its rows; and what to do when they could not be made. */
  async take(): Promise<{ changes: Change[]; putBack: () => void }> {
    const taken = this.#counts.take()
    const [now, later] = [taken.slice(0, maxRows), taken.slice(maxRows)]
    this.#counts.putBack(later)
    try {
      const changes = await Promise.all(
        now.map(({ key, version, usage }) => this.#change(key, version, usage)),
      )
      return { changes, putBack: () => this.#counts.putBack(now) }
    } catch (error) {
      this.#counts.putBack(now)
      throw error
    }
  }

  /** The entry matters to whoever waits, so that is what is said to be missing. */
  async #commit(event: AuditEvent, changes: readonly Change[]): Promise<'done' | 'conflict'> {
    try {
      return await this.#options.audit.commit(event, changes)
    } catch (error) {
      throw error instanceof ServiceError && error.code === 'storage_unavailable' ? auditUnavailable() : error
    }
  }

  async #change(key: string, version: number, more: Usage): Promise<Change> {
    const row = await this.#options.reads.row('usage', { key, version })
    if (row === undefined) return insert('usage', { key, version, ...more })
    return update('usage', row, addUsage(usageIn(row), more))
  }

  async #kept(key: string, version: number): Promise<Usage> {
    const row = await this.#options.reads.row('usage', { key, version })
    return row === undefined ? noUsage : usageIn(row)
  }
}

/** Uses of a batch, by version. */
export function countUses(rows: Iterable<{ readonly key: string; readonly version: number }>): Uses[] {
  const counts = new Map<string, { key: string; version: number; uses: number }>()
  for (const { key, version } of rows) {
    const known = counts.get(nameOf(key, version))
    if (known === undefined) counts.set(nameOf(key, version), { key, version, uses: 1 })
    else known.uses += 1
  }
  return [...counts.values()]
}

function usageOf({ uses }: Uses, at: number): Usage {
  return { total: uses, lastUsedAt: at, days: [[dayOf(at), uses]] }
}

function usageIn({ total, lastUsedAt, days }: UsageRow): Usage {
  return { total, lastUsedAt, days }
}

function nameOf(key: string, version: number): string {
  return `${key}/${version}`
}
