import { describe, expect, test } from 'vitest'

import { acceptJump, hasEnded, look, maxJumpMs } from '../../src/service/trusted-time.ts'

const minute = 60_000
const seen = { latest: 1_000_000_000, clock: 1_000_000_000, jump: null }

describe('time', () => {
  test('goes on with the clock', () => {
    const later = look(seen, { clock: seen.latest + minute, elapsedMs: minute })
    expect(later).toEqual({ latest: seen.latest + minute, clock: seen.latest + minute, jump: null })
  })

  test('never goes back: what has ended stays so', () => {
    const later = look(seen, { clock: seen.latest - minute, elapsedMs: minute })
    expect(later).toEqual({ ...seen, clock: seen.latest - minute })
    expect(hasEnded(later, seen.latest)).toBe(true)
  })

  test.each([
    ['forward, just an hour', maxJumpMs, false],
    ['forward, more', maxJumpMs + 1, true],
    ['back, just an hour', -maxJumpMs, false],
    ['back, more', -maxJumpMs - 1, true],
  ])('a clock set %s', (_, byMs, isJump) => {
    const clock = seen.latest + minute + byMs
    const { jump } = look(seen, { clock, elapsedMs: minute })
    expect(jump).toEqual(isJump ? { seenAt: clock, byMs } : null)
  })

  test('a process that was away for more than an hour takes it for a jump', () => {
    const after = (ms: number) => look(seen, { clock: seen.latest + ms, elapsedMs: undefined })
    expect(after(maxJumpMs).jump).toBeNull()
    expect(after(maxJumpMs + 1).jump).toMatchObject({ byMs: maxJumpMs + 1 })
  })

  test('after a jump nothing ends until it is accepted, and later looks do not mend it', () => {
    const clock = seen.latest + 40 * 24 * 60 * minute
    const jumped = look(seen, { clock, elapsedMs: minute })
    expect(hasEnded(jumped, seen.latest + minute)).toBe(false)
    const later = look(jumped, { clock: clock + minute, elapsedMs: minute })
    expect(later.jump).toEqual(jumped.jump)
    expect(hasEnded(acceptJump(later, clock + minute), clock + minute)).toBe(true)
    expect(hasEnded(acceptJump(later, clock + minute), clock + minute + 1)).toBe(false)
  })

  test('a clock set forward and back again: time stands until the clock is there', () => {
    const forward = look(seen, { clock: seen.latest + 2 * maxJumpMs, elapsedMs: 0 })
    const back = acceptJump(look(forward, { clock: seen.latest, elapsedMs: 0 }), seen.latest)
    expect(back).toEqual({ latest: seen.latest + 2 * maxJumpMs, clock: seen.latest, jump: null })
    // What was accepted is no jump again, in this process or the next.
    for (const elapsedMs of [minute, undefined]) {
      const later = look(back, { clock: seen.latest + minute, elapsedMs })
      expect(later).toEqual({ latest: back.latest, clock: seen.latest + minute, jump: null })
    }
  })
})
