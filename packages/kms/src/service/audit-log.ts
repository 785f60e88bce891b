/**
 * Writes the audit chain, and every change together with its entry. One transaction is under way at a time; what
 * arrives meanwhile goes into the next one together (group commit). Nobody gets an answer before his entry is
 * durable, and nobody waits longer than the deadline.
 */

import { extend } from './audit-chain.ts'
import type { Chain } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import type { AuditEvent } from './audit-entry.ts'
import type { Change } from './changes.ts'
import { Deadlines } from './deadlines.ts'
import { auditUnavailable, ServiceError } from './errors.ts'
import type { Ledger, LedgerOutcome } from './ledger.ts'
import type { Caller } from './policy.ts'
import { checkAll, planAll, ridersOf } from './rider.ts'
import type { AuditHeadRow } from './rows.ts'

export interface AuditLogOptions {
  readonly ledger: Ledger
  readonly chain: Chain
  readonly now: () => number
  /** How long an answer waits for its entry. */
  readonly deadlineMs?: number
  /** Whether a change may be written that was decided a while ago; if not, it is a conflict. Default: any. */
  readonly accepts?: (change: Change) => boolean
}

interface Job {
  readonly bodies: readonly string[]
  /** Absent: an entry alone. */
  readonly changes: readonly Change[] | undefined
  /** In whose request the changes are made. */
  readonly caller: Caller | undefined
  readonly settle: (result: LedgerOutcome | ServiceError) => void
  isOver: boolean
}

const maxGroup = 256
const maxWaiting = 10_000
const maxPlans = 20

export class AuditLog {
  readonly #ledger: Ledger
  readonly #chain: Chain
  readonly #now: () => number
  readonly #deadlineMs: number
  readonly #deadlines: Deadlines
  readonly #accepts: (change: Change) => boolean
  readonly #waiting: Job[] = []
  #head: AuditHeadRow | undefined
  /** After a failed write only the store knows where the chain ends. */
  #headIsKnown = true
  #running: Promise<void> | undefined

  constructor({ ledger, chain, now, deadlineMs = 5000, accepts = () => true }: AuditLogOptions) {
    this.#ledger = ledger
    this.#chain = chain
    this.#now = now
    this.#deadlineMs = deadlineMs
    this.#deadlines = new Deadlines(deadlineMs)
    this.#accepts = accepts
  }

  /**
   * Returns once the entry is durable.
   *
   * @throws ServiceError `audit_unavailable` when it could not be written in time. It may still be written later.
   */
  async record(event: AuditEvent): Promise<void> {
    await this.#enqueue([event], undefined)
  }

  /**
   * Makes changes and their entry durable, or neither; and with them what travels with the request (`rider.ts`).
   *
   * @returns Whether the rows were as the changes expect.
   * @throws ServiceError `audit_unavailable` when that took too long: the change may still be made;
   * `storage_unavailable`: it was not.
   */
  async commit(event: AuditEvent, changes: readonly Change[]): Promise<'done' | 'conflict'> {
    if (event.caller?.isDryRun === true) return await this.#ledger.check(changes)
    if (!changes.every(this.#accepts)) return 'conflict'
    const outcome = await this.#enqueue([event], changes, event.caller)
    if (outcome === 'chain_moved') throw auditUnavailable()
    return outcome
  }

  /**
   * Makes durable what a request owes and has not paid with a change.
   *
   * @throws ServiceError `permission_denied` when it cannot be paid; as `commit` does.
   */
  async settle(caller: Caller): Promise<void> {
    if (caller.isDryRun === true || !ridersOf(caller).some(({ isDue }) => isDue)) return
    if ((await this.#enqueue([], [], caller)) !== 'done') throw auditUnavailable()
  }

  /**
   * Makes changes durable that are no event by themselves: none that decides what somebody may do. Throws as `commit`
   * does.
   */
  async keep(changes: readonly Change[]): Promise<'done' | 'conflict'> {
    const outcome = await this.#enqueue([], changes)
    if (outcome === 'chain_moved') throw auditUnavailable()
    return outcome
  }

  /** Waits until nothing is under way, for no longer than the deadline. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<'over'>((resolve) => {
      timer = setTimeout(() => resolve('over'), this.#deadlineMs)
    })
    while (this.#running !== undefined) {
      if ((await Promise.race([this.#running, deadline])) === 'over') break
    }
    clearTimeout(timer)
  }

  async #enqueue(
    events: readonly AuditEvent[],
    changes: readonly Change[] | undefined,
    caller?: Caller,
  ): Promise<LedgerOutcome> {
    if (this.#waiting.length >= maxWaiting) throw auditUnavailable()
    const bodies = this.#encode(events)
    return await new Promise<LedgerOutcome>((resolve, reject) => {
      const settle = (result: LedgerOutcome | ServiceError): void => {
        if (job.isOver) return
        job.isOver = true
        end()
        if (result instanceof ServiceError) reject(result)
        else resolve(result)
      }
      const job: Job = { bodies, changes, caller, settle, isOver: false }
      const end = this.#deadlines.begin(() => settle(auditUnavailable()))
      this.#waiting.push(job)
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    for (;;) {
      // One turn of the event loop: what is decided in it is written together.
      await new Promise((resolve) => setImmediate(resolve))
      const group = this.#nextGroup()
      if (group.length === 0) break
      const result = await this.#writeGroup(group)
      for (const job of group) job.settle(result)
    }
    this.#running = undefined
  }

  /** Entries alone, as many as wait; a change by itself, since it may be refused. */
  #nextGroup(): Job[] {
    const group: Job[] = []
    for (;;) {
      const job = this.#waiting[0]
      if (job === undefined || group.length === maxGroup) return group
      if (job.changes !== undefined && group.length > 0 && !job.isOver) return group
      this.#waiting.shift()
      // Whoever stopped waiting was told that nothing was done.
      if (job.isOver) continue
      group.push(job)
      if (job.changes !== undefined) return group
    }
  }

  async #writeGroup(group: readonly Job[]): Promise<LedgerOutcome | ServiceError> {
    const [{ changes, caller } = {}] = group
    try {
      if (!this.#headIsKnown) {
        this.#head = await this.#ledger.row('audit_heads', { run: this.#chain.run })
        this.#headIsKnown = true
      }
      const bodies = group.flatMap((job) => job.bodies)
      if (changes === undefined) {
        // An entry alone expects nothing but its place in the chain.
        return (await this.#write([], bodies)) === 'done' ? 'done' : auditUnavailable()
      }
      return caller === undefined
        ? await this.#write(changes, bodies)
        : await this.#writeFor(caller, changes, bodies)
    } catch (error) {
      this.#headIsKnown = false
      if (!(error instanceof ServiceError)) return auditUnavailable()
      const isFrozen = error.code === 'integrity_violation' || error.code === 'rollback_detected'
      return changes === undefined && !isFrozen ? auditUnavailable() : error
    }
  }

  /** With what travels with the request, which is planned anew as long as it is what was in the way. */
  async #writeFor(
    caller: Caller,
    changes: readonly Change[],
    bodies: readonly string[],
  ): Promise<LedgerOutcome> {
    const riders = ridersOf(caller)
    for (let plans = 1; ; plans++) {
      const beside = await planAll(riders)
      const uses = beside.uses.map(({ principal: subject, grant }): AuditEvent => {
        return { action: 'grant.use', caller, subject, grant }
      })
      const all = [...bodies, ...this.#encode(uses)]
      // Somebody else paid meanwhile: there is nothing to say.
      if (all.length === 0) return 'done'
      const outcome = await this.#write([...changes, ...beside.changes], all, () => checkAll(riders))
      if (outcome === 'done') for (const rider of riders) rider.arrived()
      if (outcome !== 'conflict' || beside.changes.length === 0 || plans === maxPlans) return outcome
      if ((await this.#ledger.check(beside.changes)) === 'done') return outcome
    }
  }

  async #write(
    changes: readonly Change[],
    bodies: readonly string[],
    check?: () => Promise<void>,
  ): Promise<LedgerOutcome> {
    const audit = extend(this.#chain, this.#head, bodies)
    const outcome = await this.#ledger.commit(changes, audit, { check })
    if (outcome === 'done') this.#head = audit.head
    if (outcome === 'chain_moved') this.#headIsKnown = false
    return outcome
  }

  #encode(events: readonly AuditEvent[]): string[] {
    return events.map((event) => encodeEvent(event, this.#now()))
  }
}
