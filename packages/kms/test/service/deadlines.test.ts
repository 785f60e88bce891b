import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { Deadlines } from '../../src/service/deadlines.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

test('whoever waits too long is called, once, in the order in which they began', () => {
  const deadlines = new Deadlines(100)
  const called: string[] = []
  deadlines.begin(() => called.push('a'))
  vi.advanceTimersByTime(40)
  const end = deadlines.begin(() => called.push('b'))
  deadlines.begin(() => called.push('c'))
  vi.advanceTimersByTime(59)
  expect(called).toEqual([])
  vi.advanceTimersByTime(2)
  expect(called).toEqual(['a'])
  end()
  vi.advanceTimersByTime(1000)
  expect(called).toEqual(['a', 'c'])
})

test('one function that waits twice is called twice', () => {
  const deadlines = new Deadlines(100)
  const onOver = vi.fn<() => void>()
  const end = deadlines.begin(onOver)
  deadlines.begin(onOver)
  deadlines.begin(onOver)
  end()
  vi.advanceTimersByTime(101)
  expect(onOver).toHaveBeenCalledTimes(2)
})

test('whoever waits again when he is called, and whoever begins after all have ended, waits his whole time', () => {
  const deadlines = new Deadlines(100)
  const called: string[] = []
  deadlines.begin(() => {
    called.push('a')
    deadlines.begin(() => called.push('again'))
  })
  deadlines.begin(() => called.push('b'))
  vi.advanceTimersByTime(101)
  expect(called).toEqual(['a', 'b'])
  vi.advanceTimersByTime(98)
  expect(called).toEqual(['a', 'b'])
  vi.advanceTimersByTime(5)
  expect(called).toEqual(['a', 'b', 'again'])

  const end = deadlines.begin(() => called.push('ended'))
  vi.advanceTimersByTime(60)
  end()
  deadlines.begin(() => called.push('last'))
  vi.advanceTimersByTime(98)
  expect(called).toEqual(['a', 'b', 'again'])
  vi.advanceTimersByTime(5)
  expect(called).toEqual(['a', 'b', 'again', 'last'])
})
