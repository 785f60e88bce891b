/** What every store of wrapped keys does, whatever it is made of. */

import { beforeEach, describe, expect, test } from 'vitest'

import { concat, toHex, utf8 } from '../../src/bytes.ts'
import { canonicalize } from '../../src/format/context.ts'
import type { NewDataKey, WrappedKeyChange, WrappedKeyStore } from '../../src/keys/wrapped-key-store.ts'
import { codeOf } from '../refusals.ts'
import { filled } from '../samples.ts'

const day = 24 * 60 * 60 * 1000
export const owner = { name: 'users', keyContext: canonicalize({ tenant: 'a' }).pairs }

/** Stores look at no more than the prefix and the key id. */
export const wrappedKeyOf = (id: number, filling = 0) =>
  concat(utf8('LHK'), Uint8Array.of(1), filled(id, 16), filled(filling, 40))

export const newKey = (id: number, more: Partial<NewDataKey> = {}): NewDataKey => ({
  ...owner,
  keyId: filled(id, 16),
  wrappedKey: wrappedKeyOf(id),
  messages: 0,
  bytes: 0,
  createdAt: new Date(day),
  ...more,
})

const ids = (keys: readonly { keyId: Uint8Array }[]) => keys.map(({ keyId }) => keyId[0])

/** @param open A new, empty store for each test. */
export function describeWrappedKeyStore(name: string, open: () => Promise<WrappedKeyStore>): void {
  describe(`${name}: the contract of WrappedKeyStore`, () => {
    let store: WrappedKeyStore
    beforeEach(async () => {
      store = await open()
    })

    test('gives back what was stored, in its own bytes', async () => {
      const given = newKey(1, { messages: 5, bytes: 70, createdAt: new Date('2026-11-25T12:34:56.789Z') })
      const { inserted, writing } = await store.insertWriting(given, undefined)
      expect(inserted).toBe(true)
      const stored = { ...given, state: 'writing', updatedAt: given.createdAt }
      expect(writing).toEqual(stored)
      given.keyId.fill(0)
      given.wrappedKey.fill(0)
      const read = await store.get(filled(1, 16))
      expect(read).toEqual({ ...stored, keyId: filled(1, 16), wrappedKey: wrappedKeyOf(1) })
      read?.keyId.fill(0)
      expect(await store.get(filled(1, 16))).toMatchObject({ keyId: filled(1, 16) })
    })

    test('keeps the tag of a data key with it, until it is destroyed', async () => {
      const [first, second] = [filled(7, 32), filled(8, 32)]
      const given = newKey(1, { tag: first })
      expect((await store.insertWriting(given, undefined)).writing.tag).toEqual(filled(7, 32))
      first.fill(0)
      await store.insertWriting(newKey(2, { name: 'others' }), undefined)
      const tags = async () => (await store.page({ limit: 10 })).map(({ tag }) => tag)
      expect(await tags()).toEqual([filled(7, 32), undefined])
      expect(await store.findWriting(owner)).toMatchObject({ tag: filled(7, 32) })
      const change = { expected: wrappedKeyOf(1), replacement: wrappedKeyOf(1, 9), stopWriting: true }
      await store.replaceWrappedKeys([{ keyId: filled(1, 16), ...change }])
      expect(await store.get(filled(1, 16))).toMatchObject({ tag: filled(7, 32), state: 'reading' })
      expect([await store.setTag(filled(1, 16), second), await store.setTag(filled(2, 16), second)]).toEqual([
        true,
        true,
      ])
      second.fill(0)
      expect(await tags()).toEqual([filled(8, 32), filled(8, 32)])
      await store.destroy(filled(1, 16))
      expect(await store.setTag(filled(1, 16), second)).toBe(false)
      expect(await store.setTag(filled(3, 16), second)).toBe(false)
      expect(await store.get(filled(1, 16))).not.toHaveProperty('tag')
      expect(await tags()).toEqual([filled(8, 32)])
    })

    test('has never heard of other key ids', async () => {
      await store.insertWriting(newKey(1), undefined)
      expect(await store.get(filled(2, 16))).toBeUndefined()
    })

    test('keeps contexts and names of any text', async () => {
      const keyContext = canonicalize({
        10: 'a"\\\u0000',
        9: '',
        __proto__x: 'ü\u{1f600}',
        é: "'; drop--",
      }).pairs
      const odd = newKey(1, { keyContext, name: `q'"\\%_ü` })
      await store.insertWriting(odd, undefined)
      expect(await store.get(odd.keyId)).toMatchObject({ keyContext, name: odd.name })
      expect(await store.findWriting(odd)).toMatchObject({ keyId: odd.keyId })
    })

    describe('the writing key', () => {
      test('is found by name and key context together', async () => {
        await store.insertWriting(newKey(1), undefined)
        expect(await store.findWriting(owner)).toMatchObject({ keyId: filled(1, 16), state: 'writing' })
        expect(await store.findWriting({ ...owner, name: 'user' })).toBeUndefined()
        expect(await store.findWriting({ ...owner, keyContext: [] })).toBeUndefined()
        expect(
          await store.findWriting({ ...owner, keyContext: canonicalize({ tenant: 'b' }).pairs }),
        ).toBeUndefined()
      })

      test('stands in the way of another one', async () => {
        await store.insertWriting(newKey(1), undefined)
        const answer = await store.insertWriting(newKey(2), undefined)
        expect(answer).toMatchObject({ inserted: false, writing: { keyId: filled(1, 16) } })
        expect(await store.get(filled(2, 16))).toBeUndefined()
        const wrong = await store.insertWriting(newKey(2), filled(3, 16))
        expect(wrong).toMatchObject({ inserted: false, writing: { keyId: filled(1, 16) } })
      })

      test('gives way to one that expects it, and becomes reading', async () => {
        await store.insertWriting(newKey(1), undefined)
        expect(await store.insertWriting(newKey(2), filled(1, 16))).toMatchObject({ inserted: true })
        expect(await store.findWriting(owner)).toMatchObject({ keyId: filled(2, 16) })
        expect(await store.get(filled(1, 16))).toMatchObject({ state: 'reading' })
      })

      test('may be gone where it was expected', async () => {
        await store.insertWriting(newKey(1), undefined)
        await store.move(filled(1, 16), 'writing', 'reading')
        expect(await store.insertWriting(newKey(2), filled(1, 16))).toMatchObject({ inserted: true })
      })

      test('of another owner is left alone', async () => {
        const other = newKey(2, { keyContext: canonicalize({ tenant: 'b' }).pairs })
        await store.insertWriting(newKey(1), undefined)
        expect(await store.insertWriting(other, undefined)).toMatchObject({ inserted: true })
        expect(await store.findWriting(owner)).toMatchObject({ keyId: filled(1, 16) })
        expect(await store.findWriting(other)).toMatchObject({ keyId: filled(2, 16) })
      })

      test('is one, of twenty that race for it', async () => {
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, i) => store.insertWriting(newKey(i + 1), undefined)),
        )
        const [winner, ...more] = answers.filter(({ inserted }) => inserted)
        expect(more).toEqual([])
        for (const { writing } of answers) expect(writing.keyId).toEqual(winner?.writing.keyId)
        expect(await store.page({ limit: 100 })).toHaveLength(1)
      })

      test('is one, of twenty that race to replace it', async () => {
        await store.insertWriting(newKey(100), undefined)
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, i) => store.insertWriting(newKey(i + 1), filled(100, 16))),
        )
        expect(answers.filter(({ inserted }) => inserted)).toHaveLength(1)
        const states = (await store.page({ limit: 100 })).map(({ state }) => state)
        expect(states.toSorted()).toEqual(['reading', 'writing'])
      })
    })

    describe('a key id it holds', () => {
      test('is refused for another data key, whoever owns it', async () => {
        await store.insertWriting(newKey(1), undefined)
        const again = newKey(1, { name: 'other', wrappedKey: wrappedKeyOf(1, 9) })
        expect(await codeOf(() => store.insertWriting(again, undefined))).toBe('bad_input')
        expect(await codeOf(() => store.insertWriting(newKey(1), filled(1, 16)))).toBe('bad_input')
        expect(await store.get(filled(1, 16))).toMatchObject({ ...owner, wrappedKey: wrappedKeyOf(1) })
      })

      test('is refused after it was destroyed', async () => {
        await store.insertWriting(newKey(1), undefined)
        await store.destroy(filled(1, 16))
        expect(await codeOf(() => store.insertWriting(newKey(1), undefined))).toBe('bad_input')
      })

      test('must be the one in the wrapped key', async () => {
        const refused = [
          newKey(1, { wrappedKey: wrappedKeyOf(2) }),
          newKey(1, { wrappedKey: filled(1, 60) }),
          newKey(1, { wrappedKey: new Uint8Array() }),
          newKey(1, { keyId: filled(1, 15) }),
        ]
        for (const key of refused)
          expect(await codeOf(() => store.insertWriting(key, undefined))).toBe('bad_input')
        expect(await store.page({ limit: 10 })).toEqual([])
      })
    })

    describe('use', () => {
      const keyId = filled(1, 16)
      const ceiling = { messages: 10, bytes: 1000 }
      beforeEach(async () => {
        await store.insertWriting(newKey(1, { messages: 2, bytes: 100 }), undefined)
      })

      test('is added up to the ceiling and not beyond', async () => {
        const reserved = await store.reserve(keyId, { messages: 8, bytes: 900 }, ceiling)
        expect(reserved).toMatchObject({
          messages: 10,
          bytes: 1000,
          state: 'writing',
          wrappedKey: wrappedKeyOf(1),
        })
        expect(await store.reserve(keyId, { messages: 1, bytes: 0 }, ceiling)).toBeUndefined()
        expect(await store.reserve(keyId, { messages: 0, bytes: 1 }, ceiling)).toBeUndefined()
        expect(await store.get(keyId)).toMatchObject({ messages: 10, bytes: 1000 })
      })

      test('is not added to a key that is not writing, not there or destroyed', async () => {
        const one = { messages: 1, bytes: 1 }
        await store.move(keyId, 'writing', 'reading')
        expect(await store.reserve(keyId, one, ceiling)).toBeUndefined()
        await store.destroy(keyId)
        expect(await store.reserve(keyId, one, ceiling)).toBeUndefined()
        expect(await store.reserve(filled(2, 16), one, ceiling)).toBeUndefined()
      })

      test('counts beyond 32 bits', async () => {
        const large = { messages: 2 ** 40, bytes: 2 ** 50 }
        expect(await store.reserve(keyId, large, { messages: 2 ** 41, bytes: 2 ** 51 })).toMatchObject({
          messages: 2 ** 40 + 2,
          bytes: 2 ** 50 + 100,
        })
      })

      test('is given back, to nothing at the least', async () => {
        await store.release([{ keyId, messages: 1, bytes: 60 }])
        expect(await store.get(keyId)).toMatchObject({ messages: 1, bytes: 40 })
        await store.release([{ keyId, messages: 5, bytes: 60 }])
        expect(await store.get(keyId)).toMatchObject({ messages: 0, bytes: 0 })
        await store.release([{ keyId: filled(2, 16), messages: 1, bytes: 1 }])
        expect(await store.get(filled(2, 16))).toBeUndefined()
      })

      test('of many is given back at once, each its own', async () => {
        await store.insertWriting(newKey(2, { name: 'b', messages: 7, bytes: 2 ** 50 }), undefined)
        await store.insertWriting(newKey(3, { name: 'c', messages: 7, bytes: 70 }), undefined)
        await store.release([])
        await store.release([
          { keyId: filled(3, 16), messages: 1, bytes: 100 },
          { keyId: filled(9, 16), messages: 1, bytes: 1 },
          { keyId, messages: 2, bytes: 1 },
          { keyId: filled(2, 16), messages: 0, bytes: 2 ** 49 },
        ])
        expect((await store.page({ limit: 10 })).map(({ messages, bytes }) => [messages, bytes])).toEqual([
          [0, 99],
          [7, 2 ** 49],
          [6, 0],
        ])
        const twice = { keyId, messages: 0, bytes: 1 }
        expect(await codeOf(() => store.release([twice, { ...twice, keyId: filled(1, 16) }]))).toBe(
          'bad_input',
        )
        expect(await store.get(keyId)).toMatchObject({ bytes: 99 })
      })

      test('of what was begun is counted without a ceiling, in whatever state', async () => {
        const more = { messages: 0, bytes: 5000 }
        expect(await store.reserve(keyId, more, undefined)).toMatchObject({ messages: 2, bytes: 5100 })
        await store.move(keyId, 'writing', 'reading')
        expect(await store.reserve(keyId, more, undefined)).toMatchObject({ bytes: 10_100, state: 'reading' })
        await store.move(keyId, 'reading', 'retired')
        expect(await store.reserve(keyId, more, undefined)).toMatchObject({ bytes: 15_100, state: 'retired' })
        await store.destroy(keyId)
        expect(await store.reserve(keyId, more, undefined)).toBeUndefined()
        expect(await store.reserve(filled(2, 16), more, undefined)).toBeUndefined()
      })

      test('is not granted twice, of thirty that race for it', async () => {
        const answers = await Promise.all(
          Array.from({ length: 30 }, () => store.reserve(keyId, { messages: 1, bytes: 10 }, ceiling)),
        )
        expect(answers.filter((answer) => answer !== undefined)).toHaveLength(8)
        expect(await store.get(keyId)).toMatchObject({ messages: 10, bytes: 180 })
      })
    })

    describe('states', () => {
      const keyId = filled(1, 16)
      beforeEach(async () => {
        await store.insertWriting(newKey(1), undefined)
      })

      test('go from writing to reading to retired, and back to reading', async () => {
        const path = ['writing', 'reading', 'retired', 'reading'] as const
        for (const [at, from] of path.entries()) {
          const to = path[at + 1]
          if (to === undefined) break
          expect(await store.move(keyId, from, to)).toBe(true)
          expect(await store.get(keyId)).toMatchObject({ state: to })
        }
      })

      test.each([
        ['reading', 'writing'],
        ['retired', 'writing'],
        ['writing', 'retired'],
        ['writing', 'writing'],
        ['destroyed' as never, 'reading'],
      ] as const)('never go from %s to %s', async (from, to) => {
        expect(await codeOf(() => store.move(keyId, from, to))).toBe('bad_input')
        expect(await store.get(keyId)).toMatchObject({ state: 'writing' })
      })

      test('are what was expected, or nothing moves', async () => {
        expect(await store.move(keyId, 'reading', 'retired')).toBe(false)
        expect(await store.move(filled(2, 16), 'writing', 'reading')).toBe(false)
        expect(await store.get(keyId)).toMatchObject({ state: 'writing' })
      })
    })

    describe('a wrapped key', () => {
      const keyId = filled(1, 16)
      const change = { keyId, expected: wrappedKeyOf(1), replacement: wrappedKeyOf(1, 7), stopWriting: false }
      const changeOf = (id: number, more: Partial<WrappedKeyChange> = {}): WrappedKeyChange => ({
        keyId: filled(id, 16),
        expected: wrappedKeyOf(id),
        replacement: wrappedKeyOf(id, 7),
        stopWriting: false,
        ...more,
      })
      beforeEach(async () => {
        await store.insertWriting(newKey(1), undefined)
      })

      test('is replaced if it is still what was read', async () => {
        expect(await store.replaceWrappedKeys([change])).toEqual([true])
        expect(await store.get(keyId)).toMatchObject({ wrappedKey: wrappedKeyOf(1, 7), state: 'writing' })
        expect(await store.replaceWrappedKeys([change])).toEqual([false])
      })

      test('is not replaced where there is none', async () => {
        expect(await store.replaceWrappedKeys([changeOf(2)])).toEqual([false])
        await store.destroy(keyId)
        expect(await store.replaceWrappedKeys([change])).toEqual([false])
        expect(await store.replaceWrappedKeys([])).toEqual([])
      })

      test('ends writing in the same step, and only writing', async () => {
        expect(await store.replaceWrappedKeys([{ ...change, stopWriting: true }])).toEqual([true])
        expect(await store.get(keyId)).toMatchObject({ state: 'reading' })
        await store.move(keyId, 'reading', 'retired')
        const back = { keyId, expected: change.replacement, replacement: change.expected, stopWriting: true }
        expect(await store.replaceWrappedKeys([back])).toEqual([true])
        expect(await store.get(keyId)).toMatchObject({ state: 'retired' })
      })

      test('is replaced by one of its own data key only, or none of all is', async () => {
        await store.insertWriting(newKey(2, { name: 'b' }), undefined)
        for (const replacement of [wrappedKeyOf(2), filled(1, 60), new Uint8Array()]) {
          const refused = [changeOf(2), { ...change, replacement }]
          expect(await codeOf(() => store.replaceWrappedKeys(refused))).toBe('bad_input')
        }
        expect(await codeOf(() => store.replaceWrappedKeys([changeOf(2), change, changeOf(1)]))).toBe(
          'bad_input',
        )
        const stored = (await store.page({ limit: 10 })).map(({ wrappedKey }) => wrappedKey)
        expect(stored).toEqual([wrappedKeyOf(1), wrappedKeyOf(2)])
      })

      test('is one of many that are replaced together, each only if it is what was read', async () => {
        for (let id = 2; id <= 60; id++) await store.insertWriting(newKey(id, { name: `n${id}` }), undefined)
        await store.destroy(filled(5, 16))
        const changes = Array.from({ length: 60 }, (_, i) => changeOf(i + 1, { stopWriting: i % 2 === 0 }))
        changes[9] = changeOf(10, { expected: wrappedKeyOf(10, 1) })
        const done = await store.replaceWrappedKeys(changes.toReversed())
        const missed = done.toReversed().flatMap((isDone, at) => (isDone ? [] : [at + 1]))
        expect(missed).toEqual([5, 10])
        for (const { keyId: id, wrappedKey, state } of await store.page({ limit: 200 })) {
          const [first = 0] = id
          expect(wrappedKey).toEqual(wrappedKeyOf(first, first === 10 ? 0 : 7))
          expect(state).toBe(first % 2 === 1 ? 'reading' : 'writing')
        }
      })

      test('is replaced once, of ten that race', async () => {
        const done = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            store.replaceWrappedKeys([{ ...change, replacement: wrappedKeyOf(1, i + 1) }]),
          ),
        )
        expect(done.flat().filter(Boolean)).toHaveLength(1)
      })

      test('is replaced once, of ten lists that race in all orders, and none of them is refused', async () => {
        for (let id = 2; id <= 6; id++) await store.insertWriting(newKey(id, { name: `n${id}` }), undefined)
        const list = (i: number) =>
          [1, 2, 3, 4, 5, 6].map((id) => changeOf(id, { replacement: wrappedKeyOf(id, i) }))
        const done = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            store.replaceWrappedKeys(i % 2 === 0 ? list(i + 1) : list(i + 1).toReversed()),
          ),
        )
        expect(done.flat().filter(Boolean)).toHaveLength(6)
      })
    })

    describe('pages', () => {
      const others = { name: 'files', keyContext: [] }
      beforeEach(async () => {
        // Not in their order. 200 is above 127: bytes are unsigned.
        for (const id of [3, 200, 1, 2, 5]) {
          const current = await store.findWriting(owner)
          await store.insertWriting(newKey(id), current?.keyId)
        }
        await store.insertWriting(newKey(4, others), undefined)
      })

      test('follow the key ids, each key once', async () => {
        const seen: (number | undefined)[] = []
        let after: Uint8Array | undefined
        for (;;) {
          const page = await store.page({ after, limit: 2 })
          if (page.length === 0) break
          expect(page.length).toBeLessThanOrEqual(2)
          seen.push(...ids(page))
          after = page.at(-1)?.keyId
        }
        expect(seen).toEqual([1, 2, 3, 4, 5, 200])
      })

      test('begin behind a key id that need not be there', async () => {
        expect(ids(await store.page({ after: filled(3, 16), limit: 9 }))).toEqual([4, 5, 200])
        const between = concat(filled(3, 15), Uint8Array.of(9))
        expect(ids(await store.page({ after: between, limit: 9 }))).toEqual([4, 5, 200])
        expect(await store.page({ after: filled(255, 16), limit: 9 })).toEqual([])
      })

      test('may be of one owner', async () => {
        expect(ids(await store.page({ owner, limit: 9 }))).toEqual([1, 2, 3, 5, 200])
        expect(ids(await store.page({ owner: others, limit: 9 }))).toEqual([4])
        expect(ids(await store.page({ owner, after: filled(2, 16), limit: 2 }))).toEqual([3, 5])
      })
    })

    describe('destroying', () => {
      test.each(['writing', 'reading', 'retired'] as const)('a %s key is for ever', async (state) => {
        const keyId = filled(1, 16)
        await store.insertWriting(newKey(1), undefined)
        if (state !== 'writing') await store.move(keyId, 'writing', 'reading')
        if (state === 'retired') await store.move(keyId, 'reading', 'retired')
        expect(await store.destroy(keyId)).toBe(true)
        expect(await store.get(keyId)).toEqual({ keyId, state: 'destroyed', destroyedAt: expect.any(Date) })
        expect(await store.findWriting(owner)).toBeUndefined()
        expect(await store.page({ limit: 9 })).toEqual([])
        expect(await store.page({ limit: 9, owner })).toEqual([])
        expect(await store.destroy(keyId)).toBe(false)
      })

      test('differs from never having heard of it', async () => {
        expect(await store.destroy(filled(1, 16))).toBe(false)
        expect(await store.get(filled(1, 16))).toBeUndefined()
      })

      test('leaves the others', async () => {
        await store.insertWriting(newKey(1), undefined)
        await store.insertWriting(newKey(2), filled(1, 16))
        await store.destroy(filled(1, 16))
        expect(toHex((await store.findWriting(owner))?.keyId ?? new Uint8Array())).toBe('02'.repeat(16))
      })
    })
  })
}
