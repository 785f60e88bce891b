/**
 * Writes the audit chain, and every change together with its entry. One transaction is under way at a time; what
 * arrives meanwhile goes into the next one together (group commit). Nobody gets an answer before his entry is
 * durable, and nobody waits longer than the deadline.
 */

import { extend } from './audit-chain.ts'
import type { Chain } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import type { AuditEvent } from './audit-entry.ts'
import { ServiceError } from './errors.ts'
import type { AuditAppend, AuditHead, KeyStore, Outcome } from './key-store.ts'

export interface AuditLogOptions {
  readonly store: KeyStore
  readonly chain: Chain
  readonly now: () => number
  /** How long an answer waits for its entry. */
  readonly deadlineMs?: number
}

/** A change that carries `audit` into its transaction. */
export type Write = (audit: AuditAppend) => Promise<Outcome>

interface Job {
  readonly body: string
  /** Absent: an entry alone. */
  readonly write: Write | undefined
  readonly settle: (result: Outcome | ServiceError) => void
  isOver: boolean
}

const maxGroup = 256
const maxWaiting = 10_000

export class AuditLog {
  readonly #store: KeyStore
  readonly #chain: Chain
  readonly #now: () => number
  readonly #deadlineMs: number
  readonly #waiting: Job[] = []
  #head: AuditHead | undefined
  /** After a failed write only the store knows where the chain ends. */
  #headIsKnown = true
  #running: Promise<void> | undefined

  constructor({ store, chain, now, deadlineMs = 5000 }: AuditLogOptions) {
    this.#store = store
    this.#chain = chain
    this.#now = now
    this.#deadlineMs = deadlineMs
  }

  /**
   * Returns once the entry is durable.
   *
   * @throws ServiceError `audit_unavailable` when it could not be written in time. It may still be written later.
   */
  async record(event: AuditEvent): Promise<void> {
    await this.#enqueue(event, undefined)
  }

  /**
   * Makes a change and its entry durable, or neither.
   *
   * @returns Whether the store was in the state the change expects.
   * @throws ServiceError `audit_unavailable` when that took too long: the change may still be made;
   * `storage_unavailable`: it was not.
   */
  async commit(event: AuditEvent, write: Write): Promise<'done' | 'conflict'> {
    const outcome = await this.#enqueue(event, write)
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

  async #enqueue(event: AuditEvent, write: Write | undefined): Promise<Outcome> {
    if (this.#waiting.length >= maxWaiting) throw auditUnavailable()
    const body = encodeEvent(event, this.#now())
    return await new Promise<Outcome>((resolve, reject) => {
      const settle = (result: Outcome | ServiceError): void => {
        if (job.isOver) return
        job.isOver = true
        clearTimeout(deadline)
        if (result instanceof ServiceError) reject(result)
        else resolve(result)
      }
      const job: Job = { body, write, settle, isOver: false }
      const deadline = setTimeout(() => settle(auditUnavailable()), this.#deadlineMs)
      this.#waiting.push(job)
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    // One turn of the event loop: what is decided in it is written together.
    await new Promise((resolve) => setImmediate(resolve))
    for (let group = this.#nextGroup(); group.length > 0; group = this.#nextGroup()) {
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
      if (job.write !== undefined && group.length > 0 && !job.isOver) return group
      this.#waiting.shift()
      // Whoever stopped waiting was told that nothing was done.
      if (job.isOver) continue
      group.push(job)
      if (job.write !== undefined) return group
    }
  }

  async #writeGroup(group: readonly Job[]): Promise<Outcome | ServiceError> {
    const write = group[0]?.write
    try {
      if (!this.#headIsKnown) {
        this.#head = await this.#store.auditHead(this.#chain.run)
        this.#headIsKnown = true
      }
      const bodies = group.map((job) => job.body)
      const audit = extend(this.#chain, this.#head, bodies)
      const outcome = write === undefined ? await this.#store.append(audit) : await write(audit)
      if (outcome === 'done') this.#head = audit.head
      if (outcome === 'chain_moved') this.#headIsKnown = false
      // An entry alone expects nothing but its place in the chain.
      return write === undefined && outcome !== 'done' ? auditUnavailable() : outcome
    } catch (error) {
      this.#headIsKnown = false
      if (write === undefined || !(error instanceof ServiceError)) return auditUnavailable()
      return error
    }
  }
}

function auditUnavailable(): ServiceError {
  return new ServiceError('audit_unavailable', 'the audit log cannot be written, so there is no answer', {
    hint: 'see to the disk and the database of the key service, then try again',
  })
}
