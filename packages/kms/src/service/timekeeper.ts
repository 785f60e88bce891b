/** Keeps the time by which keys are rotated and destroyed (`trusted-time.ts`), also across restarts and nodes. */

import { insert, update } from './changes.ts'
import type { Change } from './changes.ts'
import type { RowReads } from './key-store.ts'
import type { ClockRow, Stored } from './rows.ts'
import { acceptJump, hasEnded, look } from './trusted-time.ts'
import type { Jump, TimeSeen } from './trusted-time.ts'

const clock = 'clock'

export interface TimekeeperOptions {
  readonly reads: RowReads
  readonly now: () => number
  /** A clock that cannot be set. */
  readonly steadyMs: () => number
}

/** A look that is to be kept, and what to call once it is. */
export interface Keeping {
  readonly change: Change
  readonly seen: TimeSeen
  readonly done: () => void
}

export class Timekeeper {
  readonly #options: TimekeeperOptions
  #seen: TimeSeen | undefined
  #lookedAtMs: number | undefined
  /** The jump that the database knows of: should it forget it, somebody has accepted it. */
  #keptJump: Jump | null = null

  constructor(options: TimekeeperOptions) {
    this.#options = options
  }

  /** The time now; it never goes back. */
  async latest(): Promise<number> {
    return (await this.look()).latest
  }

  /** Whether something has ended, and may be acted on for ever: not while a jump of the clock is not accepted. */
  async hasEnded(at: number): Promise<boolean> {
    return hasEnded(await this.current(), at)
  }

  /** Looks at the clock, and at what other nodes know of it. */
  async current(): Promise<TimeSeen> {
    await this.#load()
    return await this.look()
  }

  /** Looks at the clock. */
  async look(): Promise<TimeSeen> {
    const { now, steadyMs } = this.#options
    const seen = this.#seen ?? (await this.#load())
    const [time, steady] = [now(), steadyMs()]
    const elapsedMs = this.#lookedAtMs === undefined ? undefined : steady - this.#lookedAtMs
    // Where nothing was ever kept there is nothing to jump from.
    this.#seen =
      seen === undefined ? { latest: time, clock: time, jump: null } : look(seen, { clock: time, elapsedMs })
    this.#lookedAtMs = steady
    return this.#seen
  }

  /** What makes the latest look known to all. */
  async keep(): Promise<Keeping> {
    return await this.#keeping(await this.current())
  }

  /** What makes an operator's word known to all that the clock is right. */
  async accept(): Promise<Keeping> {
    return await this.#keeping(acceptJump(await this.current(), this.#options.now()))
  }

  async #keeping(seen: TimeSeen): Promise<Keeping> {
    const { latest, clock: shown, jump } = seen
    const row = { clock, latest, shown, jumpSeenAt: jump?.seenAt ?? null, jumpByMs: jump?.byMs ?? null }
    const stored = await this.#stored()
    return {
      change: stored === undefined ? insert('clock', row) : update('clock', stored, row),
      seen,
      done: () => {
        this.#seen = seen
        this.#keptJump = jump
      },
    }
  }

  async #load(): Promise<TimeSeen | undefined> {
    const stored = await this.#stored()
    if (stored === undefined) return this.#seen
    const { latest, shown, jumpSeenAt: seenAt, jumpByMs: byMs } = stored
    const theirs = seenAt === null || byMs === null ? null : { seenAt, byMs }
    const ours = this.#seen
    const isAccepted = theirs === null && this.#keptJump !== null
    this.#keptJump = theirs
    this.#seen = {
      latest: Math.max(latest, ours?.latest ?? 0),
      clock: ours?.clock ?? shown,
      jump: isAccepted ? null : (theirs ?? ours?.jump ?? null),
    }
    return this.#seen
  }

  async #stored(): Promise<Stored<ClockRow> | undefined> {
    return await this.#options.reads.row('clock', { clock })
  }
}
