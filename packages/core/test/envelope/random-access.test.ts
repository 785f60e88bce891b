import { openAsBlob } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DataKey, encrypt, generateIdentity, openEncrypted, openEncryptedRecord } from '@longhold/core'
import type { RandomAccessSource } from '@longhold/core'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'

import { concat, equalBytes } from '../../src/bytes.ts'

const identity = generateIdentity()
const context = { tenant: 'acme' }
const writing = { recipients: [identity.recipient], context }
const reading = { identities: [identity], context }
const plaintext = Uint8Array.from({ length: 5 * 16_384 + 100 }, (_, i) => (31 * i + 7) % 251)
const envelope = await encrypt(plaintext, writing)

interface Counting extends RandomAccessSource {
  readonly reads: [offset: number, length: number][]
}

function counting(bytes: Uint8Array): Counting {
  const reads: [number, number][] = []
  return {
    size: bytes.length,
    reads,
    async read(offset, length) {
      reads.push([offset, length])
      return bytes.subarray(offset, offset + length)
    },
  }
}

test('any slice is the slice of the plaintext', async () => {
  const reader = await openEncrypted(counting(envelope), reading)
  expect(reader.size).toBe(plaintext.length)
  await fc.assert(
    fc.asyncProperty(fc.nat(plaintext.length), fc.nat(plaintext.length), async (a, b) => {
      const [start, end] = a < b ? [a, b] : [b, a]
      return equalBytes(await reader.slice(start, end), plaintext.subarray(start, end))
    }),
    { numRuns: 200 },
  )
  expect(await reader.slice()).toEqual(plaintext)
})

test('a Blob, a record, a stream of a part', async () => {
  const reader = await openEncrypted(new Blob([new Uint8Array(envelope)]), reading)
  const parts: Uint8Array[] = []
  for await (const part of reader.stream(10_000, 60_000)) parts.push(part)
  expect(concat(...parts)).toEqual(plaintext.subarray(10_000, 60_000))

  const dataKey = DataKey.generate()
  const record = dataKey.encrypt(plaintext, { recordContext: context })
  const fromRecord = await openEncryptedRecord(counting(record), dataKey, { recordContext: context })
  expect(await fromRecord.slice(16_380, 16_390)).toEqual(plaintext.subarray(16_380, 16_390))
  const other = openEncryptedRecord(counting(record), DataKey.generate(), { recordContext: context })
  await expect(other).rejects.toMatchObject({ code: 'cannot_open' })
})

test('4 KiB within a chunk touch the header, the last chunk and that chunk', async () => {
  const source = counting(envelope)
  const reader = await openEncrypted(source, reading)
  await reader.slice(20_000, 24_096)
  expect(source.reads).toHaveLength(3)
  expect(source.reads.reduce((sum, [, length]) => sum + length, 0)).toBeLessThan(3 * 16_400)
})

test('a header of many recipients takes one read more', async () => {
  const recipients = [...Array.from({ length: 31 }, () => generateIdentity().recipient), identity.recipient]
  const source = counting(await encrypt(plaintext, { recipients, context }))
  const reader = await openEncrypted(source, reading)
  expect(await reader.slice(0, 10)).toEqual(plaintext.subarray(0, 10))
  expect(source.reads).toHaveLength(4)
})

test('the ciphertext range is what a slice reads', async () => {
  const source = counting(envelope)
  const reader = await openEncrypted(source, reading)
  for (const [start, end] of [
    [0, 1],
    [16_384, 32_768],
    [16_383, 16_385],
    [0, plaintext.length],
    [plaintext.length - 1, plaintext.length],
  ] as const) {
    source.reads.length = 0
    await reader.slice(start, end)
    const { offset, length } = reader.ciphertextRange(start, end)
    expect(source.reads).toEqual([[offset, length]])
  }
  expect(reader.ciphertextRange(5, 5).length).toBe(0)
})

test('what was cut off, lengthened or altered is found when opening or reading', async () => {
  const opened = (bytes: Uint8Array) => openEncrypted(counting(bytes), reading)
  for (const cut of [1, 116, 117, 16_400, 16_516]) {
    await expect(opened(envelope.subarray(0, -cut))).rejects.toMatchObject({ code: 'cannot_open' })
  }
  await expect(opened(concat(envelope, Uint8Array.of(0)))).rejects.toMatchObject({ code: 'cannot_open' })
  await expect(opened(envelope.subarray(0, 1300))).rejects.toMatchObject({ code: 'malformed' })
  await expect(opened(envelope.subarray(0, 3))).rejects.toMatchObject({ code: 'malformed' })
  await expect(opened(new Uint8Array())).rejects.toMatchObject({ code: 'malformed' })

  const altered = new Uint8Array(envelope)
  altered[1301 + 2 * 16_400] = (altered[1301 + 2 * 16_400] ?? 0) ^ 1
  const reader = await opened(altered)
  expect(await reader.slice(0, 16_384)).toEqual(plaintext.subarray(0, 16_384))
  await expect(reader.slice(16_383, 40_000)).rejects.toMatchObject({ code: 'cannot_open' })
})

test('another context does not open', async () => {
  const other = openEncrypted(counting(envelope), { ...reading, context: {} })
  await expect(other).rejects.toMatchObject({ code: 'cannot_open' })
})

test('ranges outside, a closed reader and a source that lies are refused', async () => {
  const reader = await openEncrypted(counting(envelope), reading)
  for (const [start, end] of [
    [-1, 5],
    [5, 4],
    [0, plaintext.length + 1],
    [0.5, 2],
    [Number.NaN, 2],
  ] as const) {
    await expect(reader.slice(start, end)).rejects.toMatchObject({ code: 'bad_input' })
    expect(() => reader.stream(start, end)).toThrow(expect.objectContaining({ code: 'bad_input' }))
  }
  reader.close()
  await expect(reader.slice(0, 1)).rejects.toMatchObject({ code: 'bad_input' })

  const short = { size: envelope.length, read: async () => new Uint8Array(3) }
  await expect(openEncrypted(short, reading)).rejects.toMatchObject({ code: 'cannot_open' })
  const long = { size: envelope.length, read: async () => new Uint8Array(100_000) }
  await expect(openEncrypted(long, reading)).rejects.toMatchObject({ code: 'bad_input' })
  const shared = {
    size: envelope.length,
    async read(at: number, length: number) {
      const bytes = new Uint8Array(new SharedArrayBuffer(length))
      bytes.set(envelope.subarray(at, at + length))
      return bytes
    },
  }
  await expect(openEncrypted(shared, reading)).rejects.toMatchObject({ code: 'bad_input' })
  await expect(openEncrypted({ size: 5 } as never, reading)).rejects.toMatchObject({ code: 'bad_input' })
  await expect(openEncrypted(counting(envelope), { ...reading, contxt: {} } as never)).rejects.toMatchObject({
    code: 'bad_input',
  })
})

test('a slice above 64 MiB is a limit with its number, before memory is taken', async () => {
  const dataKey = DataKey.generate()
  const record = dataKey.encrypt(new Uint8Array(100), { recordContext: {} })
  const reader = await openEncryptedRecord(counting(record), dataKey, { recordContext: {} })
  Object.defineProperty(reader, 'size', { value: 2 ** 30 })
  await expect(reader.slice(0, 2 ** 26 + 1)).rejects.toMatchObject({ code: 'limit_exceeded' })
})

test('a slice brings nothing of its chunks along that was not asked for', async () => {
  const reader = await openEncrypted(counting(envelope), reading)
  for (const [start, end] of [
    [5, 10],
    [16_384, 32_767],
    [0, 3 * 16_384],
  ] as const) {
    const slice = await reader.slice(start, end)
    expect(slice).toEqual(plaintext.subarray(start, end))
    expect(slice.buffer.byteLength).toBe(end - start)
  }
})

test.each([1, -1, -200, -20_000, -envelope.length])(
  'a source whose size changes by %i after it was opened',
  async (by) => {
    const source = { ...counting(envelope), size: envelope.length }
    const reader = await openEncrypted(source, reading)
    source.size += by
    expect(await reader.slice()).toEqual(plaintext)
    expect(reader.ciphertextRange().length).toBe(plaintext.length + 6 * 16)
  },
)

test('a source that was cut after it was opened cannot be opened further, and what is there can', async () => {
  let held = envelope
  const source: RandomAccessSource = {
    size: envelope.length,
    read: async (at, length) => held.subarray(at, at + length),
  }
  const reader = await openEncrypted(source, reading)
  held = envelope.subarray(0, envelope.length - 1)
  await expect(reader.slice()).rejects.toMatchObject({ code: 'cannot_open' })
  expect(await reader.slice(0, 16_384)).toEqual(plaintext.subarray(0, 16_384))
})

test('a file behind a Blob that changed cannot be opened further', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'longhold-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const path = join(directory, 'a.lh')
  await writeFile(path, envelope)
  const reader = await openEncrypted(await openAsBlob(path), reading)
  await writeFile(path, envelope.subarray(0, 5000))
  await expect(reader.slice(20_000, 20_001)).rejects.toMatchObject({ code: 'cannot_open' })
})
