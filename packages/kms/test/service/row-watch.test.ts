import { expect, onTestFinished, test } from 'vitest'

import { ServiceError } from '../../src/service/errors.ts'
import { RowWatch } from '../../src/service/row-watch.ts'

const violation = new ServiceError('integrity_violation', 'a row')

/** A watch whose rounds end as they are told to; each begins when the test waits for it. */
function watching(
  times: { everyMs?: number; gapMs?: number },
  outcomes: readonly (ServiceError | undefined)[],
) {
  const begun: (() => void)[] = []
  const waiting: (() => void)[] = []
  let rounds = 0
  const violations: ServiceError[] = []
  const watch = new RowWatch({
    ...times,
    async verify() {
      const outcome = outcomes[rounds]
      rounds += 1
      const next = waiting.shift()
      if (next === undefined) begun.push(() => undefined)
      else next()
      if (outcome !== undefined) throw outcome
    },
    onViolation: (one) => void violations.push(one),
  })
  onTestFinished(() => watch.close())
  return {
    watch,
    violations,
    rounds: () => rounds,
    round: () =>
      new Promise<void>((resolve) => {
        if (begun.pop() === undefined) waiting.push(resolve)
        else resolve()
      }),
  }
}

test('verifies again and again, also when one round could not be made', async () => {
  const unavailable = new ServiceError('storage_unavailable', 'busy')
  const { round, rounds, violations } = watching({ everyMs: 1 }, [undefined, unavailable, undefined])
  await round()
  await round()
  await round()
  expect(rounds()).toBeGreaterThanOrEqual(3)
  expect(violations).toEqual([])
})

test('verifies soon when it is asked to, once however often', async () => {
  const { watch, round, rounds } = watching({ everyMs: 1_000_000, gapMs: 1 }, [])
  for (let index = 0; index < 10; index++) watch.request()
  await round()
  expect(rounds()).toBe(1)
  watch.request()
  await round()
  expect(rounds()).toBe(2)
})

test('ends with the first violation', async () => {
  const { watch, round, rounds, violations } = watching({ everyMs: 1, gapMs: 1 }, [violation])
  await round()
  watch.request()
  await watch.close()
  expect(violations).toEqual([violation])
  expect(rounds()).toBe(1)
})

test('ends when it is closed', async () => {
  const { watch, rounds } = watching({ everyMs: 1, gapMs: 1 }, [])
  await watch.close()
  watch.request()
  await new Promise((resolve) => setImmediate(resolve))
  expect(rounds()).toBe(0)
})
