import { describe, expect, test } from 'vitest'

import { concat, toHex } from '../../src/bytes.ts'
import { DataKey } from '../../src/index.ts'
import { describeBackends } from '../backends.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import { changed, dataKeyOf, filled, hex, patterned } from '../samples.ts'

const recordContext = { table: 'users', column: 'email', id: '42' }
const key = dataKeyOf(1)
const MiB = 1024 * 1024

describeBackends(() => {
  test('the record of SPEC, Test vectors', () => {
    const made = DataKey.from(hex('a2ce0e8bce8d4b4465a65b84a49b4f4da857dea280b1f38733bdae2e98e73e7d'))
    expect(toHex(made.keyId)).toBe('05f818ac05f8fa36c8d1187e5e6c7e93')
    const record =
      '4c48520105f818ac05f8fa36c8d1187e5e6c7e93ab11b696f328774191ba3d7a9df24a0cb07a720b5ef120ff' +
      '7446afb2d8bfaca95d2d478da076f613b8e9619d435e34bd8eb096076dd5d1a29b9ff414e54e69245fbb85bdbf1c58f2'
    expect(made.decrypt(hex(record), { recordContext: {} })).toEqual(new Uint8Array())
  })

  test.each([0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 100_000])(
    'a record of %d bytes comes back, and has the size of SPEC §6.1',
    (length) => {
      const plaintext = patterned(length)
      const record = key.encrypt(plaintext, { recordContext })
      expect(record).toHaveLength(92 + length + 16 * Math.floor(length / 16_384))
      const opened = key.decrypt(record, { recordContext })
      expect(Buffer.compare(opened, plaintext)).toBe(0)
      for (const wrong of [{}, { ...recordContext, id: '43' }, { ...recordContext, x: '' }]) {
        expect(syncCodeOf(() => key.decrypt(record, { recordContext: wrong }))).toBe('cannot_open')
      }
    },
  )

  test('two records of one plaintext differ: in salt, commitment and ciphertext', () => {
    const [one, other] = [
      key.encrypt(patterned(32), { recordContext }),
      key.encrypt(patterned(32), { recordContext }),
    ]
    expect(toHex(one.subarray(0, 20))).toBe(toHex(other.subarray(0, 20)))
    for (const [from, to] of [
      [20, 44],
      [44, 76],
      [76, 108],
    ]) {
      expect(toHex(one.subarray(from, to))).not.toBe(toHex(other.subarray(from, to)))
    }
  })

  test('another data key does not open it, not even under this one’s key id', () => {
    const record = key.encrypt(patterned(10), { recordContext })
    const other = dataKeyOf(2)
    expect(syncCodeOf(() => other.decrypt(record, { recordContext }))).toBe('cannot_open')
    const disguised = changed(record, 4, ...other.keyId)
    expect(syncCodeOf(() => other.decrypt(disguised, { recordContext }))).toBe('cannot_open')
    expect(syncCodeOf(() => key.decrypt(disguised, { recordContext }))).toBe('cannot_open')
  })
})

test('what callers do with their buffers afterwards changes nothing', () => {
  const bytes = Buffer.alloc(32, 1)
  const made = DataKey.from(bytes)
  bytes.fill(9)
  expect(made.keyId).toEqual(key.keyId)
  made.keyId.fill(0)
  expect(made.keyId).toEqual(key.keyId)

  const plaintext = Buffer.from(patterned(100))
  const record = made.encrypt(plaintext, { recordContext })
  plaintext.fill(9)
  const stored = Buffer.from(record)
  const opened = made.decrypt(stored, { recordContext })
  stored.fill(9)
  expect(opened).toEqual(patterned(100))
  expect(record).not.toBeInstanceOf(Buffer)
  expect(opened).not.toBeInstanceOf(Buffer)
})

test('a part of a larger buffer is read as that part', () => {
  const record = key.encrypt(patterned(300).subarray(100, 200), { recordContext })
  const inside = concat(patterned(7), record, patterned(7)).subarray(7, 7 + record.length)
  expect(key.decrypt(inside, { recordContext })).toEqual(patterned(300).slice(100, 200))
})

test('generated data keys differ', () => {
  const ids = new Set(Array.from({ length: 100 }, () => toHex(DataKey.generate().keyId)))
  expect(ids.size).toBe(100)
})

test('a data key has 32 bytes', () => {
  for (const length of [0, 16, 31, 33, 64]) {
    expect(syncCodeOf(() => DataKey.from(filled(1, length)))).toBe('bad_input')
  }
})

test('a wiped data key does nothing any more', () => {
  const made = dataKeyOf(1)
  const record = made.encrypt(patterned(3), { recordContext })
  let bytes = new Uint8Array()
  made.use((lent) => (bytes = lent as Uint8Array<ArrayBuffer>)) // to look at it after the wipe
  made.wipe()
  made.wipe()
  expect(bytes).toEqual(filled(0))
  expect(syncCodeOf(() => made.encrypt(patterned(3), { recordContext }))).toBe('bad_input')
  expect(syncCodeOf(() => made.decrypt(record, { recordContext }))).toBe('bad_input')
  expect(syncCodeOf(() => made.use(() => 1))).toBe('bad_input')
  {
    using disposed = dataKeyOf(4)
    bytes = disposed.use((lent) => lent as Uint8Array<ArrayBuffer>)
  }
  expect(bytes).toEqual(filled(0))
})

describe('the record context must be said', () => {
  test.each([[{}], [{ recordContext: undefined }]])('%j', async (options) => {
    const error = await refusalOf(() => key.encrypt(patterned(1), options as never))
    expect(error.code).toBe('bad_input')
    expect(error.hint).toContain('{}')
  })

  test('and a bad one is refused before anything is read', () => {
    const record = key.encrypt(patterned(1), { recordContext: {} })
    expect(syncCodeOf(() => key.encrypt(patterned(1), { recordContext: { '': '' } }))).toBe('bad_context')
    expect(syncCodeOf(() => key.decrypt(record, { recordContext: { '': '' } }))).toBe('bad_context')
    expect(syncCodeOf(() => key.decrypt(record, { recordContext: null as never }))).toBe('bad_context')
  })
})

describe('64 MiB at once', () => {
  /** What takes no memory until it is touched: the limit is checked before. */
  const zeros = (length: number) => new Uint8Array(length)

  test('is the most, and comes back', () => {
    const record = key.encrypt(zeros(64 * MiB), { recordContext: {} })
    expect(record).toHaveLength(92 + 64 * MiB + 16 * 4096)
    const opened = key.decrypt(record, { recordContext: {} })
    expect(opened).toHaveLength(64 * MiB)
    expect(Buffer.compare(opened, zeros(64 * MiB))).toBe(0)
  })

  test('and one byte more is refused, with the number, before memory is taken', async () => {
    const before = process.memoryUsage().arrayBuffers
    const plaintext = zeros(64 * MiB + 1)
    const tooLong = zeros(92 + 64 * MiB + 1 + 16 * 4096)
    tooLong.set(key.encrypt(new Uint8Array(), { recordContext: {} }).subarray(0, 20))
    const taken = process.memoryUsage().arrayBuffers - before
    for (const attempt of [
      () => key.encrypt(plaintext, { recordContext: {} }),
      () => key.decrypt(tooLong, { recordContext: {} }),
    ]) {
      const error = await refusalOf(attempt)
      expect(error.code).toBe('limit_exceeded')
      expect(error.message).toMatch(/67108865 bytes.*67108864/)
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThanOrEqual(taken + MiB)
  })

  test('of another key are refused as too long first, whoever may open them', async () => {
    const tooLong = concat(
      dataKeyOf(9).encrypt(new Uint8Array(), { recordContext: {} }),
      zeros(64 * MiB + 16 * 4096 + 1),
    )
    expect(await codeOf(() => key.decrypt(tooLong, { recordContext: {} }))).toBe('limit_exceeded')
  })
})
