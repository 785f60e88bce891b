/**
 * Opens the service for whoever has what opens a slot, and closes it again. One attempt is under way at a time; a
 * wrong one makes the next wait, twice as long each time. A wrong secret changes nothing, ever: what is stored is only
 * read before the root key is there.
 */

import type {
  AcceptRollbackRequest,
  InitAnswer,
  InitRequest,
  RollbackAnswer,
  SealStatus,
  UnsealRequest,
} from '@longhold/core/kms'

import type { Gate } from '../http/gate.ts'
import type { Rollback } from '../service/accept-rollback.ts'
import { ServiceError } from '../service/errors.ts'
import { RateLimited } from '../service/rate-limited.ts'
import type { Service } from '../service/service.ts'
import type { SlotKind, SlotOpener } from '../service/slot-opener.ts'
import { ShareBox } from './share-box.ts'
import { openerOf } from './slot-openers.ts'
import type { SealService } from './slot-openers.ts'

const firstWaitMs = 1000
const maxWaitMs = 60_000

export interface GateOptions {
  /** What opens, as the database says. */
  readonly slots: () => Promise<readonly { readonly kind: SlotKind; readonly sealedSecret: Uint8Array }[]>
  /** @param failures How many attempts were wrong before; for the audit log. */
  readonly open: (opener: SlotOpener, failures: number) => Promise<Service>
  /** Accepts the database as it is, if these are its epochs. */
  readonly accept: (opener: SlotOpener, epochs: string | undefined) => Promise<Rollback | undefined>
  /** Sets the service up; default: it is. */
  readonly init?: ((request: InitRequest) => Promise<{ answer: InitAnswer; opener: SlotOpener }>) | undefined
  readonly sealService?: SealService | undefined
  /** Never goes back. */
  readonly nowMs?: () => number
}

/** A service that is open, and how many requests it is answering. */
interface Open {
  readonly service: Service
  underWay: number
  /** Set when it is to be closed after the last of them. */
  onIdle: (() => void) | undefined
}

export class ServiceGate implements Gate {
  readonly #options: GateOptions
  readonly #nowMs: () => number
  readonly #shares = new ShareBox()
  #open: Open | undefined
  #attempt: Promise<unknown> | undefined
  /** Of a service that was sealed while it answered. */
  #closing: Promise<void> = Promise.resolve()
  #failures = 0
  #waitUntilMs = 0

  constructor(options: GateOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? (() => performance.now())
  }

  /** Absent while sealed. */
  get service(): Service | undefined {
    return this.#open?.service
  }

  async status(): Promise<SealStatus> {
    const slots = await this.#options.slots()
    const kinds = [...new Set(slots.map(({ kind }) => kind))].toSorted()
    // None once it is open, but for a rollback that several accept.
    const shares = this.#shares.progress(sharesOf(slots))
    const initialised = slots.length > 0 || this.#options.init === undefined
    return { sealed: this.#open === undefined, initialised, kinds, shares: shares ?? null }
  }

  async init(request: InitRequest): Promise<InitAnswer> {
    const { init } = this.#options
    const made: InitAnswer[] = []
    await this.#oneAtATime(async () => {
      if (init === undefined || (await this.status()).initialised) {
        throw new ServiceError('invalid_state', 'this key service is set up already', {
          hint: 'nothing was changed',
        })
      }
      const { answer, opener } = await init(request)
      made.push(answer)
      await this.#openWith(opener)
    })
    const [answer] = made
    if (answer === undefined) throw new TypeError('set up, and nothing was made')
    return answer
  }

  async unseal(attempt: UnsealRequest): Promise<SealStatus> {
    if ('forget_shares' in attempt) this.#shares.forget()
    else if (this.#open === undefined) await this.#oneAtATime(() => this.#try(attempt))
    return await this.status()
  }

  async acceptRollback({ epochs, ...attempt }: AcceptRollbackRequest): Promise<RollbackAnswer> {
    const service = this.#open?.service
    let found: Rollback | undefined
    if (service === undefined || service.fault !== undefined) {
      await this.#oneAtATime(async () => {
        const opener = await this.#openerOf(attempt)
        if (opener !== undefined) found = await this.#accept(opener, epochs)
      })
    }
    const { shares } = await this.status()
    return {
      accepted: found?.isAccepted ?? false,
      what: found?.what ?? null,
      database_epoch: found?.databaseEpoch ?? null,
      anchor_epoch: found?.anchorEpoch ?? null,
      shares,
    }
  }

  /** What was configured, at the start. Wrong ones count like others. */
  async unsealWith(opener: SlotOpener): Promise<void> {
    await this.#oneAtATime(() => this.#openWith(opener))
  }

  async seal(): Promise<SealStatus> {
    this.#turnToSealed()
    return await this.status()
  }

  /** Runs a request of the open service, which is not closed before it ends. */
  async during<T>(service: Service, request: () => Promise<T> | T): Promise<T> {
    const open = this.#open
    if (open?.service !== service) return await request()
    open.underWay += 1
    try {
      return await request()
    } finally {
      open.underWay -= 1
      if (open.underWay === 0) open.onIdle?.()
    }
  }

  /** Forgets all secrets once the requests under way are answered. */
  async close(): Promise<void> {
    await this.#attempt?.catch(() => undefined)
    this.#shares.forget()
    this.#turnToSealed()
    await this.#closing
  }

  #turnToSealed(): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    const others = this.#closing
    this.#closing = (async () => {
      await others
      if (open.underWay > 0) await new Promise<void>((resolve) => (open.onIdle = resolve))
      await open.service.close()
    })()
  }

  async #oneAtATime(attempt: () => Promise<void>): Promise<void> {
    if (this.#attempt !== undefined)
      throw new RateLimited('another attempt to unseal is under way', firstWaitMs)
    const waitMs = this.#waitUntilMs - this.#nowMs()
    if (waitMs > 0) throw new RateLimited('the attempts before were wrong', waitMs)
    this.#attempt = attempt()
    try {
      await this.#attempt
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'wrong_secret') this.#countFailure()
      throw error
    } finally {
      this.#attempt = undefined
    }
  }

  #countFailure(): void {
    const waitMs = Math.min(maxWaitMs, firstWaitMs * 2 ** Math.min(this.#failures, 10))
    this.#failures += 1
    this.#waitUntilMs = this.#nowMs() + waitMs
  }

  async #try(attempt: Exclude<UnsealRequest, { forget_shares: true }>): Promise<void> {
    const opener = await this.#openerOf(attempt)
    if (opener !== undefined) await this.#openWith(opener)
  }

  /** Absent while more shares are needed. */
  async #openerOf(attempt: Exclude<UnsealRequest, { forget_shares: true }>): Promise<SlotOpener | undefined> {
    const slots = await this.#options.slots()
    if (slots.length === 0 && this.#options.init !== undefined) {
      throw new ServiceError('invalid_state', 'this key service is not set up yet', {
        hint: 'longhold kms init does that',
      })
    }
    return 'share' in attempt
      ? await this.#shares.add(attempt.share, sharesOf(slots))
      : openerOf(attempt, this.#options.sealService)
  }

  async #accept(opener: SlotOpener, epochs: string | undefined): Promise<Rollback | undefined> {
    let found: Rollback | undefined
    try {
      // It refuses everything, and so writes nothing; what it has still to write of its anchor is older.
      await this.#open?.service.settled()
      found = await this.#options.accept(opener, epochs)
    } catch (error) {
      opener.close()
      throw error
    }
    if (found?.isAccepted === false) {
      opener.close()
      return found
    }
    // The request that asks for it is one of those under way on the old one, which therefore ends later.
    if (this.#open !== undefined) this.#turnToSealed()
    await this.#openWith(opener, { waits: false })
    return found
  }

  async #openWith(opener: SlotOpener, { waits = true }: { waits?: boolean } = {}): Promise<void> {
    try {
      // The service before may still be answering, and writes to the same log, unless it is frozen.
      if (waits) await this.#closing
      const service = await this.#options.open(opener, this.#failures)
      this.#open = { service, underWay: 0, onIdle: undefined }
      this.#failures = 0
      this.#waitUntilMs = 0
      this.#shares.forget()
    } finally {
      opener.close()
    }
  }
}

function sharesOf(
  slots: readonly { readonly kind: SlotKind; readonly sealedSecret: Uint8Array }[],
): Uint8Array[] {
  return slots.filter(({ kind }) => kind === 'shares').map(({ sealedSecret }) => sealedSecret)
}
