/**
 * The time by which keys are rotated and destroyed. The database's clock says it; it never goes back for us, and when
 * it jumps, nothing is destroyed until an operator has looked: a clock set forward by somebody must not end a
 * waiting period.
 */

/** A clock that differs by more than this from what it should show has jumped. */
export const maxJumpMs = 60 * 60 * 1000

/** What is kept in the database. Milliseconds since 1970. */
export interface TimeSeen {
  /** The latest time there ever was. */
  readonly latest: number
  /** What the clock showed at the last look: behind `latest` after it went back. */
  readonly clock: number
  /** Set while nothing is destroyed: when the jump was seen, and by how much the clock was off. */
  readonly jump: Jump | null
}

/** `byMs` is negative for a clock that went back. */
export interface Jump {
  readonly seenAt: number
  readonly byMs: number
}

/** One look at the clock of the database. */
export interface Look {
  readonly clock: number
  /** Since the last look, by a clock that cannot be set; undefined for the first of a process. */
  readonly elapsedMs: number | undefined
}

/**
 * What is known after a look. A process that was away cannot tell a pause from a jump and takes every pause of more
 * than an hour for one: that holds up destruction alone, and is accepted with one command.
 */
export function look(seen: TimeSeen, { clock, elapsedMs }: Look): TimeSeen {
  const byMs = Math.round(clock - (seen.clock + (elapsedMs ?? 0)))
  const hasJumped = Math.abs(byMs) > maxJumpMs
  return {
    latest: Math.max(seen.latest, clock),
    clock,
    jump: seen.jump ?? (hasJumped ? { seenAt: clock, byMs } : null),
  }
}

/**
 * An operator has looked at the clock, and found it right. Time goes on with it; when it went back, time stands until the
 * clock is where it was.
 */
export function acceptJump({ latest }: TimeSeen, clock: number): TimeSeen {
  return { latest: Math.max(latest, clock), clock, jump: null }
}

/** Whether something that ends at `at` has ended, and may be acted on for ever. */
export function hasEnded({ latest, jump }: TimeSeen, at: number): boolean {
  return jump === null && latest >= at
}
