import { expect, test } from 'vitest'

import { DecapsulationQueues } from '../../src/service/decapsulation-queue.ts'

test('what one turn asks for runs together in the next, in order, at most 32 in each', async () => {
  const queue = new DecapsulationQueues().of('a')
  let turn = 0
  let isOver = false
  const count = () => {
    turn += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const ran: { index: number; turn: number }[] = []
  await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      queue.run(async () => {
        ran.push({ index, turn })
      }),
    ),
  )
  isOver = true
  expect(ran.map(({ index }) => index)).toEqual(Array.from({ length: 100 }, (_, index) => index))
  const perTurn = Map.groupBy(ran, (one) => one.turn)
  expect([...perTurn.values()].map((jobs) => jobs.length)).toEqual([32, 32, 32, 4])
})

test('a failure is its own', async () => {
  const queue = new DecapsulationQueues().of('a')
  const results = await Promise.allSettled([
    queue.run(async () => 1),
    queue.run(async () => {
      throw new Error('no')
    }),
    queue.run(async () => 3),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})

test('callers take turns: one unwrap does not wait behind a batch of somebody else', async () => {
  const queues = new DecapsulationQueues()
  const ran: string[] = []
  const ask = (caller: string, count: number) =>
    Array.from({ length: count }, () => queues.of(caller).run(async () => void ran.push(caller)))
  await Promise.all([...ask('a', 1000), ...ask('b', 1000), ...ask('c', 1)])
  expect(ran.slice(0, 6)).toEqual(['a', 'b', 'c', 'a', 'b', 'a'])
  expect(ran).toHaveLength(2001)
})

test('whoever comes later is next, not last', async () => {
  const queues = new DecapsulationQueues()
  const ran: string[] = []
  const batch = Array.from({ length: 100 }, (_, index) =>
    queues.of('a').run(async () => {
      ran.push('a')
      // In the middle of the first slice.
      if (index === 10) batch.push(queues.of('b').run(async () => void ran.push('b')))
    }),
  )
  await Promise.all(batch)
  await Promise.all(batch)
  expect(ran.indexOf('b')).toBe(12)
})
