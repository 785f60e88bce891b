import { describe, expect, test } from 'vitest'

import { Throttle } from '../../src/reencrypt/throttle.ts'
import type { ThrottleSettings } from '../../src/reencrypt/throttle.ts'
import type { DecidedPage, SourceRow } from '../../src/sources/row-source.ts'

const row: SourceRow = { locator: '1', id: '1', cells: ['x'], form: 'text', problem: undefined }

function page(rows: number, plaintextBytes = 0): DecidedPage {
  return {
    page: { rows: Array.from({ length: rows }, () => row), position: '', isLast: false },
    replacements: new Map(),
    dead: [],
    seen: { found: rows, earlier: 0, already: 0, empty: 0, unauthenticated: 0 },
    keyId: undefined,
    plaintextBytes,
  }
}

function throttle(settings: Partial<ThrottleSettings> = {}): Throttle {
  return new Throttle({ signal: new AbortController().signal, onPause: () => {}, ...settings })
}

describe('a throttle', () => {
  test('without limits never waits', async () => {
    const free = throttle()
    free.note([page(1_000_000, 1e12)], 10_000)
    expect(await free.isOpen()).toBe(true)
  })

  test.each([
    ['rows', { rowsPerSecond: 10 }, page(1000)],
    ['bytes', { bytesPerSecond: 1000 }, page(1, 1_000_000)],
  ])('closes for as long as %s ask for, and a stop ends the wait', async (_, limits, committed) => {
    const controller = new AbortController()
    const one = throttle({ ...limits, signal: controller.signal })
    expect(await one.isOpen()).toBe(true)
    one.note([committed], 1)
    expect(await one.isOpen()).toBe(false)
    const turn = one.turn()
    controller.abort()
    expect(await turn).toBe(false)
  })

  test('opens again when the time has passed', async () => {
    const one = throttle({ rowsPerSecond: 10_000 })
    for (let i = 0; i < 30; i++) one.note([page(1000)], 1)
    expect(await one.isOpen()).toBe(false)
    expect(await one.turn()).toBe(true)
  })

  test('pauses as long as it is told to, and says so once each way', async () => {
    const said: boolean[] = []
    let asked = 0
    const one = throttle({ isPaused: () => asked++ < 2, onPause: (paused) => said.push(paused) })
    expect(await one.turn()).toBe(true)
    expect(said).toEqual([true, false])
    expect(asked).toBe(3)
  })

  test('answers commits that take much longer than usual', async () => {
    const one = throttle({ latencyFactor: 5 })
    for (let i = 0; i < 20; i++) one.note([page(1)], 20)
    expect(await one.isOpen()).toBe(true)
    one.note([page(1)], 5000)
    expect(await one.isOpen()).toBe(false)
    // Several pages in one commit are no slowness.
    const many = throttle({ latencyFactor: 5 })
    for (let i = 0; i < 20; i++) many.note([page(1)], 60)
    many.note(
      Array.from({ length: 50 }, () => page(1)),
      3000,
    )
    expect(await many.isOpen()).toBe(true)
  })
})
