import { describe, expect, test } from 'vitest'

import { judge, maxCensusAgeMs } from '../../src/service/destroy-verdict.ts'
import type { DestroyFacts, ReasonCode, Verdict } from '../../src/service/destroy-verdict.ts'

const day = 86_400_000
const now = 1000 * day

/** Everything known, everything in favour. */
const safe: DestroyFacts = {
  state: 'at_rest',
  now,
  countedSince: now - 200 * day,
  usesIn30Days: 0,
  usesIn90Days: 0,
  lastUsedAt: now - 120 * day,
  census: [
    { consumer: 'users', takenAt: now - day, wrappedKeys: 0 },
    { consumer: 'archive', takenAt: now - maxCensusAgeMs, wrappedKeys: 0 },
  ],
  exportedAt: null,
  backup: { at: now - day, holdsVersion: true },
}

const census = (takenAt: number | null, wrappedKeys = 0) => ({
  census: [...safe.census, { consumer: 'x', takenAt, wrappedKeys }],
})

describe('destroying a version', () => {
  test('is safe when all is known and nothing speaks against it', () => {
    expect(judge(safe)).toEqual({ verdict: 'safe', reasons: [] })
  })

  const cases: [ReasonCode, Verdict, Partial<DestroyFacts>][] = [
    ['still_wraps', 'unsafe', { state: 'wraps' }],
    ['still_in_use', 'unsafe', { state: 'unwraps' }],
    ['already_destroyed', 'safe', { state: 'destroyed' }],
    ['used_in_30_days', 'unsafe', { usesIn30Days: 1, usesIn90Days: 1 }],
    ['used_in_90_days', 'unknown', { usesIn90Days: 1 }],
    ['watched_too_short', 'unknown', { countedSince: now - 30 * day + 1 }],
    ['no_consumers', 'unknown', { census: [] }],
    ['no_census', 'unknown', census(null)],
    ['census_finds_wrapped_keys', 'unsafe', census(now, 1)],
    ['census_too_old', 'unknown', census(now - maxCensusAgeMs - 1)],
    ['census_before_last_use', 'unknown', { ...census(now - day), lastUsedAt: now - day }],
    ['no_backup', 'unknown', { backup: undefined }],
    ['not_in_backup', 'unknown', { backup: { at: now, holdsVersion: false } }],
    ['exported', 'safe', { exportedAt: now - day }],
  ]

  test.each(cases)('%s alone: %s', (code, verdict, facts) => {
    const answer = judge({ ...safe, ...facts })
    expect(answer.verdict).toBe(verdict)
    expect(new Set(answer.reasons.map((reason) => reason.code))).toEqual(new Set([code]))
  })

  test('one reason against it outweighs what is not known, and all are told', () => {
    const { verdict, reasons } = judge({ ...safe, ...census(now, 3), backup: undefined })
    expect(verdict).toBe('unsafe')
    expect(reasons.map(({ code }) => code)).toEqual(['census_finds_wrapped_keys', 'no_backup'])
    expect(reasons[0]?.detail).toBe('x holds 3 wrapped keys: rewrap them first')
  })

  test('a census with wrapped keys counts however old it is', () => {
    expect(judge({ ...safe, ...census(0, 1) }).verdict).toBe('unsafe')
  })
})
