import { expect, test } from 'vitest'

import { DecapsulationQueue } from '../../src/service/decapsulation-queue.ts'

test('what one turn asks for runs together in the next, in order, at most 32 in each', async () => {
  const queue = new DecapsulationQueue()
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
  const queue = new DecapsulationQueue()
  const results = await Promise.allSettled([
    queue.run(async () => 1),
    queue.run(async () => {
      throw new Error('no')
    }),
    queue.run(async () => 3),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})
