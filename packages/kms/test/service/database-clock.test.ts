import { expect, onTestFinished, test } from 'vitest'

import { DatabaseClock } from '../../src/service/database-clock.ts'
import { ServiceError } from '../../src/service/errors.ts'

test('shows what the database showed, and goes on from there', async () => {
  const year = 365 * 86_400_000
  const asked = performance.now()
  const clock = await DatabaseClock.open({ now: async () => year })
  onTestFinished(() => clock.close())
  const shown = clock.now()
  expect(Number.isSafeInteger(shown)).toBe(true)
  expect(shown).toBeGreaterThanOrEqual(year)
  expect(shown).toBeLessThanOrEqual(year + 1 + performance.now() - asked)
  expect(clock.now()).toBeGreaterThanOrEqual(shown)
})

test('a database that does not answer has no time', async () => {
  const unavailable = new ServiceError('storage_unavailable', 'gone')
  await expect(DatabaseClock.open({ now: () => Promise.reject(unavailable) })).rejects.toBe(unavailable)
})
