import { describe, expect, test } from 'vitest'

import {
  afterRotation,
  afterTick,
  isDue,
  maxRotationMs,
  minRotationMs,
  startSchedule,
} from '../../src/service/rotation-schedule.ts'

const hour = 3_600_000

describe('a rotation schedule', () => {
  test('is due from its tick on, not before', () => {
    const schedule = startSchedule(hour, 1000)
    expect(schedule).toEqual({ everyMs: hour, nextAt: 1000 + hour })
    expect([isDue(schedule, 999 + hour), isDue(schedule, 1000 + hour), isDue(schedule, 1001 + hour)]).toEqual(
      [false, true, true],
    )
  })

  test.each([
    ['on the tick', 0, 1],
    ['just before the next', hour - 1, 1],
    ['on the next', hour, 2],
    ['a thousand ticks and a half later', 1000.5 * hour, 1001],
  ])('after a rotation %s one tick is ahead, in the same rhythm', (_, late, ticks) => {
    const schedule = startSchedule(hour, 1000)
    const now = schedule.nextAt + late
    const next = afterTick(schedule, now)
    expect(next).toEqual({ everyMs: hour, nextAt: schedule.nextAt + ticks * hour })
    expect(next.nextAt).toBeGreaterThan(now)
    expect(isDue(next, now)).toBe(false)
  })

  test('a rotation by hand begins the rhythm anew', () => {
    expect(afterRotation(startSchedule(hour, 1000), 5000)).toEqual({ everyMs: hour, nextAt: 5000 + hour })
  })

  test.each([minRotationMs, maxRotationMs])('every %d ms is taken', (everyMs) => {
    expect(startSchedule(everyMs, 0).everyMs).toBe(everyMs)
  })

  test.each([0, -hour, minRotationMs - 1000, maxRotationMs + 1000, hour + 1, Number.NaN, Infinity])(
    'every %d ms is refused',
    (everyMs) => {
      expect(() => startSchedule(everyMs, 0)).toThrow(expect.objectContaining({ code: 'malformed_request' }))
    },
  )
})
