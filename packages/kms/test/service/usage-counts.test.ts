import { describe, expect, test } from 'vitest'

import {
  addUsage,
  dayOf,
  keptDays,
  noUsage,
  UsageCounts,
  usesWithin,
} from '../../src/service/usage-counts.ts'

const day = 86_400_000
const now = 1000 * day + 5

describe('usage', () => {
  test('is counted by version and day', () => {
    const counts = new UsageCounts()
    counts.count('a', 1, now - 3 * day)
    counts.count('a', 1, now, 10)
    counts.count('a', 1, now + 1)
    counts.count('a', 2, now)
    expect(counts.of('a', 1)).toEqual({
      total: 12,
      lastUsedAt: now + 1,
      days: [
        [997, 1],
        [1000, 11],
      ],
    })
    expect(counts.take().map(({ version, usage }) => [version, usage.total])).toEqual([
      [1, 12],
      [2, 1],
    ])
    expect(counts.take()).toEqual([])
    expect(counts.of('a', 1)).toEqual(noUsage)
  })

  test('what could not be written is put back and added to what came since', () => {
    const counts = new UsageCounts()
    counts.count('a', 1, now, 2)
    const taken = counts.take()
    counts.count('a', 1, now + day, 3)
    counts.putBack(taken)
    expect(counts.of('a', 1)).toMatchObject({ total: 5, lastUsedAt: now + day })
  })

  test('within 30 and 90 days, the day itself among them', () => {
    const usage = [0, 29, 30, 89].map((ago) => ({
      total: 1,
      lastUsedAt: now,
      days: [[1000 - ago, 1] as const],
    }))
    const all = usage.reduce(addUsage, noUsage)
    expect([usesWithin(all, 1, now), usesWithin(all, 30, now), usesWithin(all, 90, now)]).toEqual([1, 2, 4])
  })

  test('older days are dropped, and stay in the total', () => {
    const old = { total: 5, lastUsedAt: now, days: [[dayOf(now), 5] as const] }
    const later = now + keptDays * day
    const sum = addUsage(old, { total: 1, lastUsedAt: later, days: [[dayOf(later), 1]] })
    expect(sum).toEqual({ total: 6, lastUsedAt: later, days: [[dayOf(later), 1]] })
    expect(addUsage({ total: 1, lastUsedAt: later, days: [[dayOf(later), 1]] }, old)).toEqual(sum)
  })
})
