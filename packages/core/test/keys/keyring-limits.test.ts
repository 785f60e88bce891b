import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { LongholdError } from '../../src/errors.ts'
import type { DataKeyHandle } from '../../src/index.ts'
import { keyIdOf } from '../../src/index.ts'
import { blockFor, isDue, limitsFrom } from '../../src/keys/data-key-limits.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import { Clock, open, recordContext, WatchedStore } from './keyring-fixtures.ts'

const options = { recordContext }
const day = 24 * 60 * 60 * 1000
const down = new LongholdError('unavailable', 'the store is down')
const write = (handle: DataKeyHandle, bytes = 10) =>
  toHex(keyIdOf(handle.encrypt(new Uint8Array(bytes), options)))

/** Lets everything that was begun come to its end: nothing here waits for anything outside the process. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('the defaults', () => {
  test('are those of the command line: 100,000 records, 1 GiB, 24 hours', () => {
    expect(limitsFrom()).toEqual({ maxMessages: 100_000, maxBytes: 2 ** 30, maxAgeMs: day })
  })

  test('a portion grows from a hundredth to an eighth, and never beyond what is left', () => {
    const limits = limitsFrom()
    const none = { messages: 0, bytes: 0 }
    const wanted = { messages: 1, bytes: 0 }
    expect(blockFor(limits, { used: none, wanted, blocks: 0 })).toEqual({ messages: 1000, bytes: 10_737_419 })
    expect(blockFor(limits, { used: none, wanted, blocks: 2 })).toEqual({ messages: 4000, bytes: 42_949_673 })
    expect(blockFor(limits, { used: none, wanted, blocks: 99 })).toEqual({ messages: 12_500, bytes: 2 ** 27 })
    expect(blockFor(limits, { used: { messages: 99_999, bytes: 2 ** 30 }, wanted, blocks: 9 })).toEqual({
      messages: 1,
      bytes: 0,
    })
    expect(blockFor(limits, { used: { messages: 100_000, bytes: 0 }, wanted, blocks: 0 })).toBeUndefined()
    expect(
      blockFor(limits, { used: none, wanted: { messages: 1, bytes: 2 ** 30 + 1 }, blocks: 0 }),
    ).toBeUndefined()
  })

  test.each([
    ['messages', { messages: 79_999, bytes: 0 }, 0, { messages: 80_000, bytes: 0 }, 0],
    ['bytes', { messages: 0, bytes: 0.8 * 2 ** 30 - 1 }, 0, { messages: 0, bytes: 0.8 * 2 ** 30 }, 0],
    ['age', { messages: 0, bytes: 0 }, 0.8 * day - 1, { messages: 0, bytes: 0 }, 0.8 * day],
  ])('the next is due at 80 % of the %s', (_, before, ageBefore, at, ageAt) => {
    expect(isDue(limitsFrom(), before, ageBefore)).toBe(false)
    expect(isDue(limitsFrom(), at, ageAt)).toBe(true)
  })
})

test('a limit that is undefined is one that was left out', () => {
  const given = { maxMessages: undefined, maxBytes: 5, maxAgeMs: undefined } as never // as a configuration gives it
  expect(limitsFrom(given)).toEqual({ maxMessages: 100_000, maxBytes: 5, maxAgeMs: day })
})

describe('room that a caller asked for', () => {
  const limits = { maxBytes: 100_000_000 }
  const large = 1_000_000

  test('is his own: a hundred cold callers encrypt a megabyte each, at once', async () => {
    const { keyring, store } = open({ limits })
    const ids = await Promise.all(
      Array.from({ length: 100 }, async () => write(await keyring.dataKey('users', { bytes: large }), large)),
    )
    const counts = Map.groupBy(ids, (id) => id)
    for (const { keyId, bytes } of await store.all()) {
      const written = (counts.get(toHex(keyId))?.length ?? 0) * large
      expect(bytes).toBeGreaterThanOrEqual(written)
      expect(written).toBeLessThanOrEqual(limits.maxBytes)
    }
  })

  test('is not to be had without asking: some are refused, and told what to do', async () => {
    const { keyring } = open({ limits })
    const settledAll = await Promise.allSettled(
      Array.from({ length: 100 }, async () => write(await keyring.dataKey('users'), large)),
    )
    const refused = settledAll.filter((one) => one.status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    for (const { reason } of refused)
      expect(reason).toMatchObject({
        code: 'limit_exceeded',
        hint: expect.stringContaining('ready({ messages, bytes })'),
      })
  })

  test('goes back to all when the event loop has turned, and is not counted for nothing', async () => {
    const { keyring, store } = open({ limits: { maxMessages: 1000 } })
    const [first, second] = [await keyring.dataKey('users', { messages: 500 }), keyring.handle('users')]
    const id = write(first)
    await new Promise((resolve) => setTimeout(resolve, 2))
    expect(new Set(Array.from({ length: 600 }, () => write(second)))).toEqual(new Set([id]))
    await keyring.close()
    expect((await store.all()).map(({ messages }) => messages)).toEqual([601])
  })

  test('ends with the data key it is of', async () => {
    const { keyring } = open({ limits })
    const handle = await keyring.dataKey('users', { messages: 5, bytes: large })
    const next = toHex(await keyring.rotate('users'))
    expect(write(handle)).toBe(next)
    const other = await keyring.dataKey('users', { messages: 5, bytes: large })
    await keyring.destroy(other.keyId ?? new Uint8Array())
    expect(syncCodeOf(() => write(other))).toBe('limit_exceeded')
  })

  test.each([{ bytes: -1 }, { messages: 0.5 }, { byte: 1 }, { bytes: '1' }])(
    'is a number: %j',
    async (use) => {
      expect(await codeOf(() => open().keyring.dataKey('users', use as never))).toBe('bad_input')
    },
  )
})

describe('a data key that is used up by messages', () => {
  const limits = { maxMessages: 10 }

  test('gives way to the next from 80 % on, prepared in the background', async () => {
    const { keyring, store } = open({ limits })
    const users = await keyring.dataKey('users')
    const ids: string[] = []
    for (let i = 0; i < 20; i++) {
      ids.push(write(users))
      await settled()
    }
    expect(ids.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => ids[0]))
    expect(new Set(ids.slice(8, 16))).toEqual(new Set([ids[8]]))
    expect(new Set(ids).size).toBe(3)
    const states = (await store.all()).map(({ state }) => state).toSorted()
    expect(states).toEqual(['reading', 'reading', 'writing'])
  })

  test('serves to the last message in one turn, then says what to do', async () => {
    const users = await open({ limits }).keyring.dataKey('users')
    const ids = Array.from({ length: 10 }, () => write(users))
    expect(new Set(ids).size).toBe(1)
    const error = await refusalOf(() => write(users))
    expect(error.code).toBe('limit_exceeded')
    expect(error.hint).toContain('ready')
    await users.ready()
    expect(write(users)).not.toBe(ids[0])
  })

  test('ends in limit_exceeded when the next could not be prepared, and goes on as soon as it can', async () => {
    const { keyring, store, clock } = open({ limits })
    const users = await keyring.dataKey('users')
    store.failing.set('insertWriting', down)
    for (let i = 0; i < 10; i++) {
      write(users)
      await settled()
    }
    const error = await refusalOf(() => write(users))
    expect(error.code).toBe('limit_exceeded')
    expect(error.hint).toContain('the store is down')
    const waited = await refusalOf(() => keyring.dataKey('users'))
    expect(waited.code).toBe('limit_exceeded')
    expect(waited.hint).toContain('the store is down')
    store.failing.clear()
    clock.ms += 1000
    expect(syncCodeOf(() => write(users))).toBe('limit_exceeded') // this one begins the next attempt
    await settled()
    write(users)
  })

  test('asks a store that fails once a second, not for each record', async () => {
    const { keyring, store, clock } = open({ limits: { maxMessages: 1000 } })
    const users = await keyring.dataKey('users')
    for (let i = 0; i < 800; i++) write(users)
    store.failing.set('insertWriting', down)
    await settled()
    const before = store.asked['insertWriting'] ?? 0
    for (let i = 0; i < 50; i++) {
      write(users)
      await settled()
    }
    expect(store.asked['insertWriting']).toBe(before)
    clock.ms += 1000
    write(users)
    await settled()
    expect(store.asked['insertWriting']).toBe(before + 1)
  })
})

describe('a data key that is used up by bytes', () => {
  test('gives way; a record that does not fit any more waits for the next', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 1000 } })
    const users = await keyring.dataKey('users')
    await users.ready({ bytes: 700 })
    const first = write(users, 700)
    expect(syncCodeOf(() => write(users, 700))).toBe('limit_exceeded')
    await users.ready({ bytes: 700 })
    expect(write(users, 700)).not.toBe(first)
    for (const { bytes } of await store.all()) expect(bytes).toBeLessThanOrEqual(1000)
  })

  test('is not for more at once than it is for at all', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 1000, maxMessages: 50 } })
    const users = await keyring.dataKey('users')
    const asked = { ...store.asked }
    for (const use of [{ bytes: 1001 }, { messages: 51 }]) {
      const error = await refusalOf(() => users.ready(use))
      expect(error.code).toBe('limit_exceeded')
      expect(error.message).toContain('50 of 1000')
    }
    expect(store.asked).toEqual(asked)
  })
})

describe('a data key that grows old', () => {
  test('gives way from 80 % of its age on', async () => {
    const { keyring, clock } = open({ limits: { maxAgeMs: day } })
    const users = await keyring.dataKey('users')
    const first = write(users)
    clock.ms += 0.8 * day - 1
    expect(write(await keyring.dataKey('users'))).toBe(first)
    clock.ms += 1
    expect(write(users)).toBe(first) // and begins the next
    await settled()
    expect(write(users)).not.toBe(first)
  })

  test('is not written under beyond it, not after long idleness either', async () => {
    const { keyring, clock, store } = open()
    const users = await keyring.dataKey('users')
    const first = write(users)
    clock.ms += day
    const error = await refusalOf(() => write(users))
    expect(error.code).toBe('limit_exceeded')
    expect(error.message).toContain(String(day))
    await users.ready()
    expect(write(users)).not.toBe(first)
    clock.ms += day
    store.failing.set('findWriting', down)
    expect(await codeOf(() => users.ready())).toBe('limit_exceeded')
    store.failing.clear()
    await (await keyring.dataKey('users')).ready()
    write(users)
  })

  test('has its age from whoever made it', async () => {
    const { keyring, clock, store } = open()
    const first = write(await keyring.dataKey('users'))
    clock.ms += 0.8 * day
    const other = await open({ store, clock }).keyring.dataKey('users')
    expect(write(other)).not.toBe(first)
  })
})

describe('what is counted', () => {
  test('is counted in the store before it is written, and given back at the end', async () => {
    const { keyring, store } = open()
    const users = await keyring.dataKey('users')
    for (let i = 0; i < 7; i++) write(users, 100)
    expect((await store.all())[0]).toMatchObject({ messages: 1000, bytes: 10_737_419 })
    await keyring.close()
    expect((await store.all())[0]).toMatchObject({ messages: 7, bytes: 700 })
  })

  test('takes its next portion when half of one is used', async () => {
    const { keyring, store } = open()
    const users = await keyring.dataKey('users')
    for (let i = 0; i < 500; i++) write(users)
    await settled()
    expect((await store.all())[0]?.messages).toBe(1000)
    write(users)
    await settled()
    expect((await store.all())[0]?.messages).toBe(3000)
  })

  test('many at once are announced', async () => {
    const users = await open().keyring.dataKey('users')
    await users.ready({ messages: 30_000, bytes: 300_000 })
    const ids = new Set(Array.from({ length: 30_000 }, () => write(users)))
    expect(ids.size).toBe(1)
  })

  test('never exceeds a limit, whoever writes and whoever is killed', async () => {
    const step = fc.record({
      process: fc.nat({ max: 2 }),
      action: fc.constantFrom(
        ...([
          'write',
          'write',
          'write',
          'burst',
          'stream',
          'pour',
          'kill',
          'close',
          'rotate',
          'wait',
        ] as const),
        'fail',
      ),
      bytes: fc.nat({ max: 60 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), async (steps) => {
        const limits = { maxMessages: 12, maxBytes: 300, maxAgeMs: 60_000 }
        const [store, clock] = [new WatchedStore(), new Clock()]
        const start = () => open({ store, clock, limits, refreshMs: 5000 }).keyring
        const processes = [start(), start(), start()]
        const written = new Map<string, { messages: number; bytes: number }>()
        /** Of what came in streams of unknown size: a data key may count it above its limit. */
        const poured = new Map<string, number>()
        const count = (id: string, bytes: number) => {
          const { messages, bytes: sum } = written.get(id) ?? { messages: 0, bytes: 0 }
          written.set(id, { messages: messages + 1, bytes: sum + bytes })
        }
        const unlessRefused = async (attempt: () => Promise<void>) => {
          try {
            await attempt()
          } catch (error) {
            if (!(error instanceof LongholdError)) throw error
          }
        }
        const tryToWrite = (keyring: ReturnType<typeof start>, bytes: number) =>
          unlessRefused(async () => {
            const handle = await keyring.dataKey('users')
            await handle.ready({ bytes })
            count(write(handle, bytes), bytes)
          })
        const tryToStream = (keyring: ReturnType<typeof start>, bytes: number, size?: number) =>
          unlessRefused(async () => {
            const sized = size === undefined ? {} : { size }
            const stream = new Blob([new Uint8Array(bytes)])
              .stream()
              .pipeThrough(keyring.encryptStream('users', { ...options, ...sized }))
            const id = toHex(keyIdOf(new Uint8Array(await new Response(stream).arrayBuffer())))
            count(id, bytes)
            if (size === undefined) poured.set(id, (poured.get(id) ?? 0) + bytes)
          })
        for (const { process, action, bytes } of steps) {
          const keyring = processes[process] ?? start()
          if (action === 'write') await tryToWrite(keyring, bytes)
          if (action === 'burst') await Promise.all([1, 2, 3, 4, 5].map(() => tryToWrite(keyring, bytes)))
          if (action === 'stream') await tryToStream(keyring, bytes, bytes)
          if (action === 'pour') await Promise.all([5, bytes].map((length) => tryToStream(keyring, length)))
          if (action === 'close') await keyring.close()
          if (action === 'kill' || action === 'close') processes[process] = start()
          if (action === 'rotate') await keyring.rotate('users').catch(() => undefined)
          if (action === 'wait') clock.ms += 20_000
          if (action === 'fail') store.failing.set('insertWriting', down)
          else store.failing.clear()
          await settled()
        }
        for (const [id, { messages, bytes }] of written) {
          expect(messages, id).toBeLessThanOrEqual(12)
          expect(bytes - (poured.get(id) ?? 0), id).toBeLessThanOrEqual(300)
          const stored = (await store.all()).find(({ keyId }) => toHex(keyId) === id)
          expect(stored?.messages).toBeGreaterThanOrEqual(messages)
          expect(stored?.bytes).toBeGreaterThanOrEqual(bytes)
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('another process', () => {
  test('that rotated is noticed after refreshMs, by whoever awaits', async () => {
    const { keyring, clock, store } = open({ refreshMs: 60_000 })
    const users = await keyring.dataKey('users')
    const first = write(users)
    const second = toHex(await open({ store, clock }).keyring.rotate('users'))
    clock.ms += 59_999
    expect(write(await keyring.dataKey('users'))).toBe(first)
    clock.ms += 1
    expect(write(await keyring.dataKey('users'))).toBe(second)
    expect(write(users)).toBe(second)
  })

  test('is looked for in the background too', async () => {
    const { keyring, clock, store } = open()
    const users = await keyring.dataKey('users')
    const first = write(users)
    const second = toHex(await open({ store, clock }).keyring.rotate('users'))
    clock.ms += 60_000
    expect(write(users)).toBe(first)
    await settled()
    expect(write(users)).toBe(second)
  })

  test('is noticed each time where refreshMs is 0', async () => {
    const { keyring, clock, store } = open({ refreshMs: 0 })
    await keyring.dataKey('users')
    const second = toHex(await open({ store, clock }).keyring.rotate('users'))
    expect(write(await keyring.dataKey('users'))).toBe(second)
  })

  test('that moved the key leaves nothing to write under when no other can be had', async () => {
    const { keyring, clock, store } = open()
    const users = await keyring.dataKey('users')
    await open({ store, clock }).keyring.rotate('users')
    store.failing.set('findWriting', down)
    clock.ms += 60_000
    expect(await codeOf(() => users.ready())).toBe('unavailable')
    expect(syncCodeOf(() => write(users))).toBe('limit_exceeded')
  })

  test('a store that cannot be asked is not taken for one that agrees', async () => {
    const { keyring, clock, store } = open()
    await keyring.dataKey('users')
    store.failing.set('get', down)
    clock.ms += 60_000
    expect(await codeOf(() => keyring.dataKey('users'))).toBe('unavailable')
  })
})
