/** Records of any size of a keyring: streams and reading in parts, what they count, and what an attacker can make of them. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { concat, equalBytes, toHex } from '../../src/bytes.ts'
import { LongholdError } from '../../src/errors.ts'
import {
  EncryptedReader,
  ciphertextSize,
  encrypt,
  keyIdOf,
  makeKeyringKey,
  openKeyring,
  parseKeyringKey,
  wrapDataKey,
} from '../../src/index.ts'
import type { ByteTransform, Keyring, RandomAccessSource } from '../../src/index.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import { changed, dataKeyOf, flipped, patterned } from '../samples.ts'
import { alice, bob, open, recordContext, WatchedStore } from './keyring-fixtures.ts'

const keyContext = { tenant: 'a' }
const options = { recordContext, keyContext }
const chunk = 16_384
const sealedChunk = chunk + 16
/** Magic, version, key id, salt and commitment. */
const chunksAt = 76
const down = new LongholdError('unavailable', 'the store is down')

/** A stream of pieces of `size` bytes that is read no further than it is asked. */
function streamOf(bytes: Uint8Array, size = 40_000): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream(
    {
      pull(controller) {
        if (at >= bytes.length) return controller.close()
        controller.enqueue(bytes.subarray(at, at + size))
        at += size
      },
    },
    { highWaterMark: 0 },
  )
}

/** What the stream gave before it ended, and how it ended. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<{ out: Uint8Array; error: unknown }> {
  const parts: Uint8Array[] = []
  try {
    for await (const part of stream) parts.push(part)
    return { out: concat(...parts), error: undefined }
  } catch (error) {
    return { out: concat(...parts), error }
  }
}

const through = (bytes: Uint8Array, transform: ByteTransform, size?: number) =>
  collect(streamOf(bytes, size).pipeThrough(transform))

async function encrypted(keyring: Keyring, plaintext: Uint8Array, more: object = {}): Promise<Uint8Array> {
  const { out, error } = await through(plaintext, keyring.encryptStream('files', { ...options, ...more }))
  if (error !== undefined) throw error
  return out
}

const source = (bytes: Uint8Array): RandomAccessSource => ({
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
})

/** Every way of opening: the code it is refused with, or what it gave. None may give more than the beginning. */
async function everyWay(keyring: Keyring, record: Uint8Array, given = options) {
  const parts = async (): Promise<Uint8Array> => {
    using reader = await keyring.open(source(record), given)
    return await reader.slice()
  }
  const streamed = await through(record, keyring.decryptStream(given))
  return {
    streamed: streamed.error instanceof LongholdError ? streamed.error.code : streamed.error,
    released: streamed.out,
    parts: await codeOf(parts),
    once: await codeOf(() => keyring.decrypt(record, given)),
  }
}

describe('a stream', () => {
  test.each([0, 1, chunk - 1, chunk, chunk + 1, 100_000])(
    'of %i bytes is a record like any other: each way of reading opens each way of writing',
    async (length) => {
      const { keyring, store } = open()
      const plaintext = patterned(length)
      const streamed = await encrypted(keyring, plaintext)
      const sized = await encrypted(keyring, plaintext, { size: length })
      const once = await keyring.encrypt('files', plaintext, options)
      const elsewhere = open({ store }).keyring
      for (const record of [streamed, sized, once]) {
        expect(record).toHaveLength(ciphertextSize(length, { recipients: 0 }))
        expect(await elsewhere.decrypt(record, options)).toEqual(plaintext)
        expect(await through(record, elsewhere.decryptStream(options), 1000)).toEqual({
          out: plaintext,
          error: undefined,
        })
        using reader = await elsewhere.open(new Blob([new Uint8Array(record)]), options)
        expect(reader.size).toBe(length)
        expect(await reader.slice()).toEqual(plaintext)
      }
      expect((await keyring.dataKey('files', { keyContext })).decrypt(streamed, { recordContext })).toEqual(
        plaintext,
      )
    },
  )

  test('in pieces of any size, and any slice of it, is what was written', async () => {
    const { keyring } = open()
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 70_000 }),
        fc.integer({ min: 1, max: 40_000 }),
        fc.integer({ min: 1, max: 40_000 }),
        fc.nat(),
        fc.nat(),
        async (length, writing, reading, a, b) => {
          const plaintext = patterned(length)
          const { out: record } = await through(plaintext, keyring.encryptStream('files', options), writing)
          const { out } = await through(record, keyring.decryptStream(options), reading)
          using reader = await keyring.open(source(record), options)
          const [start = 0, end = 0] = [a % (length + 1), b % (length + 1)].toSorted((x, y) => x - y)
          const slice = await reader.slice(start, end)
          return equalBytes(out, plaintext) && equalBytes(slice, plaintext.subarray(start, end))
        },
      ),
      { numRuns: 40 },
    )
  })

  test('reads no more of its source than is asked of it', async () => {
    const { keyring } = open()
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled++
          controller.enqueue(new Uint8Array(chunk))
        },
      },
      { highWaterMark: 0 },
    )
    const reader = endless.pipeThrough(keyring.encryptStream('files', options)).getReader()
    await reader.read()
    await reader.read()
    expect(pulled).toBeLessThan(6)
    await reader.cancel('enough')
  })

  test('is bound to the contexts as they were when it was asked for', async () => {
    const { keyring } = open()
    const given = { recordContext: { ...recordContext }, keyContext: { ...keyContext } }
    const writing = keyring.encryptStream('files', given)
    given.recordContext.id = 'other'
    given.keyContext.tenant = 'other'
    const { out: record } = await through(patterned(10), writing)
    expect(await keyring.decrypt(record, options)).toEqual(patterned(10))
  })

  test.each([
    ['no context', ['files', {}], 'bad_input'],
    ['an option there is none of', ['files', { ...options, sise: 5 }], 'bad_input'],
    ['a name that is none', ['', options], 'bad_input'],
    ['a size that is none', ['files', { ...options, size: -1 }], 'bad_input'],
    ['a size of more than a data key is for', ['files', { ...options, size: 2 ** 30 + 1 }], 'limit_exceeded'],
    ['a context that is none', ['files', { recordContext: { '': 'x' } }], 'bad_context'],
  ])('with %s is refused at once', async (_, [name, given], code) => {
    const { keyring, store } = open()
    expect(syncCodeOf(() => keyring.encryptStream(name as never, given as never))).toBe(code)
    expect(store.asked).toEqual({})
  })

  test('of a keyring that is closed, or only reads, is refused', async () => {
    const { keyring, store } = open()
    const reading = openKeyring({ identities: [alice], store })
    expect((await through(patterned(5), reading.encryptStream('files', options))).error).toMatchObject({
      code: 'bad_input',
      message: 'this keyring only reads',
    })
    const record = await encrypted(keyring, patterned(5))
    expect(await through(record, reading.decryptStream(options))).toMatchObject({ out: patterned(5) })
    await keyring.close()
    expect(syncCodeOf(() => keyring.encryptStream('files', options))).toBe('bad_input')
    expect(syncCodeOf(() => keyring.decryptStream(options))).toBe('bad_input')
    expect(await codeOf(() => keyring.open(source(record), options))).toBe('bad_input')
  })

  test('fails before it gives a byte when the store is down', async () => {
    const { keyring, store } = open()
    store.failing.set('findWriting', down)
    const { out, error } = await through(patterned(5), keyring.encryptStream('files', options))
    expect([out.length, error]).toEqual([0, down])
  })
})

describe('what is counted', () => {
  const megabyte = 1024 * 1024
  const counts = async (store: WatchedStore) =>
    (await store.all()).map(({ messages, bytes }) => ({ messages, bytes }))

  test.each([true, false])(
    'one message and its bytes, when the keyring is closed (size said: %s)',
    async (sized) => {
      const { keyring, store } = open()
      await encrypted(keyring, new Uint8Array(50_000), sized ? { size: 50_000 } : {})
      await encrypted(keyring, new Uint8Array(0), sized ? { size: 0 } : {})
      await keyring.close()
      expect(await counts(store)).toEqual([{ messages: 2, bytes: 50_000 }])
    },
  )

  test('before it is written: a store that cannot count fails the stream', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 40 * megabyte } })
    // The first portion of a process is a hundredth, what follows is asked for as it goes.
    const writing = keyring.encryptStream('files', options)
    await keyring.dataKey('files', { keyContext })
    store.failing.set('reserve', down)
    const { out, error } = await through(new Uint8Array(2 * megabyte), writing)
    expect(error).toBe(down)
    expect(out.length).toBeLessThan(megabyte)
  })

  test('up to the limit exactly, and one byte more is refused', async () => {
    const limits = { maxBytes: 3 * megabyte }
    for (const sized of [true, false]) {
      const { keyring } = open({ limits })
      const plaintext = new Uint8Array(3 * megabyte + 1)
      const size = 3 * megabyte
      const whole = plaintext.subarray(1)
      const record = await encrypted(keyring, whole, sized ? { size } : {})
      expect(await keyring.decrypt(record, options)).toEqual(whole)
      const { error } = await through(plaintext, keyring.encryptStream('files', options), chunk)
      expect(error).toMatchObject({
        code: 'limit_exceeded',
        hint: expect.stringContaining('limits.maxBytes'),
      })
    }
  })

  test('with a size: a data key has room for all of it, or the next is taken', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 10 * megabyte } })
    const ids: string[] = []
    for (let i = 0; i < 4; i++)
      ids.push(toHex(keyIdOf(await encrypted(keyring, new Uint8Array(4 * megabyte), { size: 4 * megabyte }))))
    expect(new Set(ids).size).toBeGreaterThan(1)
    await keyring.close()
    for (const { bytes } of await counts(store)) expect(bytes).toBeLessThanOrEqual(10 * megabyte)
  })

  test('without one: it ends under the data key it began under, and that one counts all of it', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 10 * megabyte } })
    await encrypted(keyring, new Uint8Array(7 * megabyte), { size: 7 * megabyte })
    const record = await encrypted(keyring, new Uint8Array(9 * megabyte))
    expect(await keyring.decrypt(record, options)).toHaveLength(9 * megabyte)
    const next = await keyring.encrypt('files', new Uint8Array(1), options)
    expect(keyIdOf(next)).not.toEqual(keyIdOf(record))
    await keyring.close()
    expect(await store.get(keyIdOf(record))).toMatchObject({
      messages: 2,
      bytes: 16 * megabyte,
      state: 'reading',
    })
  })

  test('also when another process has rotated meanwhile', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 20 * megabyte } })
    let rotated = false
    const bytes = new Uint8Array(8 * megabyte)
    const rotating = new TransformStream<Uint8Array, Uint8Array>({
      async transform(piece, controller) {
        if (!rotated) await open({ store }).keyring.rotate('files', { keyContext })
        rotated = true
        controller.enqueue(piece)
      },
    })
    const writing = keyring.encryptStream('files', options)
    const { out: record, error } = await collect(streamOf(bytes).pipeThrough(rotating).pipeThrough(writing))
    expect(error).toBeUndefined()
    expect(await keyring.decrypt(record, options)).toEqual(bytes)
    const stored = await store.get(keyIdOf(record))
    if (stored?.state !== 'reading') throw new Error('it was rotated')
    // What was reserved when it was still writing is not given back.
    expect(stored.bytes).toBeGreaterThanOrEqual(8 * megabyte)
  })

  test.each([
    [10, 11],
    [10, 9],
    [0, 1],
    [40_000, 39_999],
    [chunk, 0],
  ])('a size of %i that was %i fails the stream, and nothing opens', async (size, length) => {
    const { keyring, store } = open()
    const { out, error } = await through(
      patterned(length),
      keyring.encryptStream('files', { ...options, size }),
    )
    expect(error).toMatchObject({ code: 'bad_input', message: expect.stringContaining(String(size)) })
    expect(['cannot_open', 'malformed']).toContain(await codeOf(() => keyring.decrypt(out, options)))
    await keyring.close()
    expect((await counts(store))[0]?.bytes).toBeLessThanOrEqual(size)
  })

  test('a stream that is given up gives back what it did not use', async () => {
    const { keyring, store } = open()
    const size = 500 * megabyte
    const stream = streamOf(new Uint8Array(2 * megabyte), chunk)
    const reader = stream.pipeThrough(keyring.encryptStream('files', { ...options, size })).getReader()
    for (let i = 0; i < 10; i++) await reader.read()
    await reader.cancel('not wanted')
    // Cancelled before it has begun, too.
    await keyring.encryptStream('files', { ...options, size }).readable.cancel('neither')
    const failing = new ReadableStream<Uint8Array>({ pull: (c) => c.error(new Error('disk on fire')) })
    const writing = keyring.encryptStream('files', { ...options, size })
    expect((await collect(failing.pipeThrough(writing))).error).toMatchObject({ message: 'disk on fire' })
    await new Promise((resolve) => setImmediate(resolve))
    await keyring.close()
    const [stored] = await counts(store)
    expect(stored?.messages).toBeLessThanOrEqual(3)
    expect(stored?.bytes).toBeLessThan(megabyte)
  })

  test('of a stream that goes on when its keyring is closed is still counted', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 40 * megabyte } })
    let isClosed = false
    const closing = new TransformStream<Uint8Array, Uint8Array>({
      async transform(piece, controller) {
        if (!isClosed) await keyring.close()
        isClosed = true
        controller.enqueue(piece)
      },
    })
    const writing = keyring.encryptStream('files', options)
    const bytes = new Uint8Array(2 * megabyte)
    const { out: record, error } = await collect(streamOf(bytes).pipeThrough(closing).pipeThrough(writing))
    expect(error).toBeUndefined()
    expect(await open({ store }).keyring.decrypt(record, options)).toEqual(bytes)
    await new Promise((resolve) => setImmediate(resolve))
    expect(await counts(store)).toEqual([{ messages: 1, bytes: 2 * megabyte }])
  })

  test('a data key that is destroyed under a long stream fails it', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 40 * megabyte } })
    const abroad = open({ store }).keyring
    let pieces = 0
    const destroying = new TransformStream<Uint8Array, Uint8Array>({
      async transform(piece, controller) {
        if (++pieces === 5) await abroad.destroyAll('files', { keyContext })
        controller.enqueue(piece)
      },
    })
    const writing = keyring.encryptStream('files', options)
    const bytes = new Uint8Array(30 * megabyte)
    const { error } = await collect(streamOf(bytes).pipeThrough(destroying).pipeThrough(writing))
    expect(error).toMatchObject({ code: 'destroyed' })
  })
})

describe('reading', () => {
  const plaintext = patterned(3 * chunk + 100)

  test('touches the beginning, the end and the chunks that are asked for', async () => {
    const { keyring } = open()
    const record = await encrypted(keyring, plaintext)
    const reads: [number, number][] = []
    using reader = await keyring.open(
      {
        size: record.length,
        async read(offset, length) {
          reads.push([offset, length])
          return record.subarray(offset, offset + length)
        },
      },
      options,
    )
    expect(await reader.slice(chunk + 5, chunk + 10)).toEqual(plaintext.subarray(chunk + 5, chunk + 10))
    const last = chunksAt + 3 * sealedChunk
    expect(reads).toEqual([
      [0, chunksAt],
      [last, record.length - last],
      [chunksAt + sealedChunk, sealedChunk],
    ])
    expect(reader.ciphertextRange(chunk + 5, chunk + 10)).toEqual({
      offset: chunksAt + sealedChunk,
      length: sealedChunk,
    })
  })

  test('unwraps once for all who come at once, and lets the data key go', async () => {
    const { keyring: writer, store } = open()
    const record = await encrypted(writer, plaintext)
    const { keyring } = open({ store, cache: { maxKeys: 1 } })
    const asked = store.asked['get'] ?? 0
    const opened = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        i % 2 === 0
          ? keyring.open(source(record), options)
          : through(record, keyring.decryptStream(options)).then(({ error }) => error),
      ),
    )
    expect(opened.filter((one) => one === undefined)).toHaveLength(10)
    expect((store.asked['get'] ?? 0) - asked).toBe(1)
    // Readers go on without the data key, the keyring and the store.
    await keyring.close()
    await store.destroy(keyIdOf(record))
    const readers = opened.filter((one) => one instanceof EncryptedReader)
    expect(await Promise.all(readers.map((reader) => reader.slice()))).toEqual(
      Array.from({ length: 10 }, () => plaintext),
    )
  })

  test('says what became of the data key', async () => {
    const { keyring, store } = open()
    const record = await encrypted(keyring, plaintext)
    const keyId = keyIdOf(record)
    const ways = async (bytes = record) => {
      const { streamed, parts, once } = await everyWay(openKeyring({ identities: [alice], store }), bytes)
      return [streamed, parts, once]
    }
    const all = (code: string) => [code, code, code]
    expect(await ways(changed(record, 4, 99))).toEqual(all('no_data_key'))
    await keyring.rotate('files', { keyContext })
    await keyring.retire(keyId)
    expect(await ways()).toEqual(all('unavailable'))
    await keyring.destroy(keyId)
    expect(await ways()).toEqual(all('destroyed'))
    const bobs = open({ store, identities: [bob], recipients: [bob.recipient] }).keyring
    const foreign = await encrypted(bobs, plaintext, { keyContext: { tenant: 'bob' } })
    expect(await everyWay(keyring, foreign)).toMatchObject({
      streamed: 'not_a_recipient',
      parts: 'not_a_recipient',
      once: 'not_a_recipient',
    })
  })
})

describe('an attacker who may write to the storage', () => {
  const plaintext = patterned(3 * chunk)
  const chunkOf = (record: Uint8Array, i: number) =>
    record.subarray(chunksAt + i * sealedChunk, chunksAt + (i + 1) * sealedChunk)

  /** Two streams under one data key, and one under another of the same keyring. */
  async function written() {
    const { keyring, store } = open()
    const first = await encrypted(keyring, plaintext)
    const second = await encrypted(keyring, plaintext)
    const other = await encrypted(keyring, plaintext, { keyContext: { tenant: 'b' } })
    expect(keyIdOf(first)).toEqual(keyIdOf(second))
    expect(keyIdOf(first)).not.toEqual(keyIdOf(other))
    return { keyring, store, first, second, other }
  }

  test('cannot move a stream to another context', async () => {
    const { keyring, first } = await written()
    const wrong = [
      { ...options, recordContext: { id: '2' } },
      { ...options, recordContext: {} },
      { ...options, keyContext: { tenant: 'b' } },
      { ...options, keyContext: {} },
    ]
    for (const given of wrong) {
      const { released, ...codes } = await everyWay(keyring, first, given as typeof options)
      expect(codes).toEqual({ streamed: 'cannot_open', parts: 'cannot_open', once: 'cannot_open' })
      expect(released).toHaveLength(0)
    }
  })

  test('cannot cut it at the border of a chunk, or anywhere else, and have it end', async () => {
    const { keyring, first } = await written()
    const borders = [0, 1, 2, 3].map((chunks) => chunksAt + chunks * sealedChunk)
    const cuts = [
      ...borders,
      ...borders.map((at) => at + 15),
      ...borders.map((at) => at + 16),
      first.length - 1,
    ]
    for (const length of cuts.filter((at) => at < first.length)) {
      const { released, ...codes } = await everyWay(keyring, first.subarray(0, length))
      const code = length < 92 ? 'malformed' : 'cannot_open'
      expect([length, codes]).toEqual([length, { streamed: code, parts: code, once: code }])
      expect(released).toEqual(plaintext.subarray(0, released.length))
      expect(released.length).toBeLessThanOrEqual(Math.max(0, length - chunksAt))
    }
  })

  test('cannot lengthen it, exchange its chunks, or leave one out', async () => {
    const { keyring, first } = await written()
    const head = first.subarray(0, chunksAt)
    const end = first.subarray(chunksAt + 3 * sealedChunk)
    const [a, b, c] = [0, 1, 2].map((i) => chunkOf(first, i)) as [Uint8Array, Uint8Array, Uint8Array] // it has three
    const spliced = [
      concat(first, Uint8Array.of(0)),
      concat(first, end),
      concat(head, b, a, c, end),
      concat(head, a, c, end),
      concat(head, b, c, end),
      concat(head, a, b, c, c, end),
      concat(head, end),
      concat(head, a, end),
    ]
    for (const record of spliced) {
      const { released, ...codes } = await everyWay(keyring, record)
      expect(codes).toEqual({ streamed: 'cannot_open', parts: expect.any(String), once: 'cannot_open' })
      expect(codes.parts).toBe('cannot_open')
      expect(released).toEqual(plaintext.subarray(0, released.length))
    }
  })

  test('cannot put a part of one stream into another of the same data key and context', async () => {
    const { keyring, first, second } = await written()
    const spliced = [
      concat(first.subarray(0, chunksAt), second.subarray(chunksAt)), // another body behind the beginning
      concat(first.subarray(0, 44), second.subarray(44)), // another commitment behind the salt
      concat(first.subarray(0, chunksAt + sealedChunk), second.subarray(chunksAt + sealedChunk)),
      concat(first.subarray(0, first.length - 16), second.subarray(second.length - 16)), // the final chunk
    ]
    for (const record of spliced) {
      const { released, ...codes } = await everyWay(keyring, record)
      expect(codes).toEqual({ streamed: 'cannot_open', parts: 'cannot_open', once: 'cannot_open' })
      expect(released).toEqual(plaintext.subarray(0, released.length))
    }
  })

  test('cannot have it opened under another data key of the store', async () => {
    const { keyring, first, other } = await written()
    const renamed = concat(first.subarray(0, 4), keyIdOf(other), first.subarray(20))
    for (const given of [options, { ...options, keyContext: { tenant: 'b' } }]) {
      const { released, ...codes } = await everyWay(keyring, renamed, given)
      expect(codes).toEqual({ streamed: 'cannot_open', parts: 'cannot_open', once: 'cannot_open' })
      expect(released).toHaveLength(0)
    }
  })

  test('cannot have a stream taken for a typed value, nor a value, an envelope or a wrapped key for a stream', async () => {
    const { keyring, store } = open()
    const record = await encrypted(keyring, Uint8Array.of(1, 65)) // what the string "A" would be
    expect(await codeOf(() => keyring.decryptValue(record, options))).toBe('cannot_open')
    const others = {
      cannot_open: [await keyring.encryptValue('files', { type: 'string', value: 'A' }, options)],
      malformed: [
        await encrypt(plaintext, { recipients: [alice.recipient], context: recordContext }),
        (await store.all())[0]?.wrappedKey ?? new Uint8Array(),
        new Uint8Array(200),
      ],
    }
    for (const [code, inputs] of Object.entries(others)) {
      for (const bytes of inputs) {
        const { released, ...codes } = await everyWay(keyring, bytes)
        expect(codes).toEqual({ streamed: code, parts: code, once: code })
        expect(released).toHaveLength(0)
      }
    }
  })

  test('cannot change a bit of it that is not found', async () => {
    const { keyring } = open()
    const short = await encrypted(keyring, patterned(40))
    const missed: number[] = []
    for (let bit = 0; bit < 8 * short.length; bit++) {
      const { out, error } = await through(flipped(short, bit), keyring.decryptStream(options))
      if (out.length > 0 || !(error instanceof LongholdError)) missed.push(bit)
    }
    expect(missed).toEqual([])
  })

  test('cannot pass off a data key of his own to a keyring with a keyring key', async () => {
    const store = new WatchedStore()
    const given = { identities: [alice], recipients: [alice.recipient], store }
    const keyringKey = parseKeyringKey(await makeKeyringKey(given))
    const { keyring } = open({ store, keyringKey })
    const planted = dataKeyOf(77)
    await store.insertWriting(
      {
        keyId: planted.keyId,
        wrappedKey: await wrapDataKey(planted, { recipients: [alice.recipient], keyContext }),
        name: 'files',
        keyContext: [['tenant', 'a']],
        messages: 0,
        bytes: 0,
        createdAt: new Date(Date.UTC(2026, 10, 25)),
      },
      undefined,
    )
    const forged = planted.encrypt(plaintext, { recordContext })
    const { released, ...codes } = await everyWay(keyring, forged)
    expect(codes).toEqual({ streamed: 'no_data_key', parts: 'no_data_key', once: 'no_data_key' })
    expect(released).toHaveLength(0)
    expect(keyIdOf(await encrypted(keyring, plaintext))).not.toEqual(planted.keyId)
  })

  test('gets no sharper answer from one way than from another', async () => {
    const { keyring, first } = await written()
    const texts = new Set<string>()
    for (const record of [
      flipped(first, 8 * 60),
      flipped(first, 8 * (first.length - 1)),
      first.subarray(0, 9000),
    ]) {
      const { error } = await through(record, keyring.decryptStream(options))
      texts.add(String(error))
      texts.add(String(await refusalOf(() => keyring.open(source(record), options))))
      texts.add(String(await refusalOf(() => keyring.decrypt(record, options))))
    }
    expect(texts.size).toBe(1)
  })
})
