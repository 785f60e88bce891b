import { Duplex, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import {
  DataKey,
  ciphertextSize,
  decrypt,
  decryptRecordStream,
  decryptStream,
  encrypt,
  encryptRecordStream,
  encryptStream,
  generateIdentity,
  plaintextSize,
  utf8,
} from '@longhold/core'
import type { ByteTransform } from '@longhold/core'
import { expect, onTestFinished, test, vi } from 'vitest'

import { concat } from '../../src/bytes.ts'

const identity = generateIdentity()
const context = { tenant: 'acme' }
const writing = { recipients: [identity.recipient], context }
const reading = { identities: [identity], context }

const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (31 * i + 7) % 251)

/** `bytes` as a stream of pieces of `size` bytes. */
function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** A stream that is read no further than it is asked. */
function streamOf(items: Iterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = items[Symbol.iterator]()
  return new ReadableStream({
    pull(controller) {
      const { value, done } = iterator.next()
      if (done === true) controller.close()
      else controller.enqueue(value)
    },
  })
}

/** For Node's streams, by the standard adapter; the DOM's types and Node's name the same thing differently. */
const duplex = (transform: ByteTransform) => Duplex.fromWeb(transform as never)

/** Everything the stream put out before it ended, and how it ended. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<{ out: Uint8Array; error: unknown }> {
  const parts: Uint8Array[] = []
  try {
    for await (const part of stream) parts.push(part)
    return { out: concat(...parts), error: undefined }
  } catch (error) {
    return { out: concat(...parts), error }
  }
}

const through = (bytes: Uint8Array, transform: ByteTransform, size = 65_536) =>
  collect(streamOf(pieces(bytes, size)).pipeThrough(transform))

const sizes = [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000]

test.each(sizes)('%i bytes: streams and one-shot functions open each other', async (length) => {
  const plaintext = pattern(length)
  for (const size of [1000, 16_384, 65_536, 1 << 20]) {
    const { out: envelope, error } = await through(plaintext, encryptStream(writing), size)
    expect(error).toBeUndefined()
    expect(envelope).toHaveLength(ciphertextSize(length))
    expect(plaintextSize(envelope.length)).toBe(length)
    expect(await decrypt(envelope, reading)).toEqual(plaintext)
    expect(await through(await encrypt(plaintext, writing), decryptStream(reading), size)).toEqual({
      out: plaintext,
      error: undefined,
    })
  }
})

test('byte by byte', async () => {
  const plaintext = pattern(17_000)
  const { out } = await through(plaintext, encryptStream(writing), 1)
  expect(await through(out, decryptStream(reading), 1)).toEqual({ out: plaintext, error: undefined })
})

test.each(sizes)('%i bytes as a record stream', async (length) => {
  const dataKey = DataKey.generate()
  const plaintext = pattern(length)
  const { out: record } = await through(plaintext, encryptRecordStream(dataKey, { recordContext: context }))
  expect(record).toHaveLength(ciphertextSize(length, { recipients: 0 }))
  expect(dataKey.decrypt(record, { recordContext: context })).toEqual(plaintext)
  const opened = await through(record, decryptRecordStream(dataKey, { recordContext: context }))
  expect(opened).toEqual({ out: plaintext, error: undefined })
})

test('a stream that was cut off anywhere never ends cleanly', async () => {
  const envelope = await encrypt(pattern(40), writing)
  for (let length = 0; length < envelope.length; length++) {
    const { out, error } = await through(envelope.subarray(0, length), decryptStream(reading))
    expect(out).toHaveLength(0)
    expect(error).toMatchObject({ code: length < ciphertextSize(0) ? 'malformed' : 'cannot_open' })
  }
})

test('a stream that was cut off between chunks gives its beginning and then an error', async () => {
  const plaintext = pattern(3 * 16_384)
  const envelope = await encrypt(plaintext, writing)
  for (const chunks of [1, 2, 3]) {
    const cut = ciphertextSize(0) - 16 + chunks * 16_400
    const { out, error } = await through(envelope.subarray(0, cut), decryptStream(reading))
    expect(out).toEqual(plaintext.subarray(0, chunks * 16_384))
    expect(error).toMatchObject({ code: 'cannot_open' })
  }
})

test.each([
  ['a byte behind the end', (envelope: Uint8Array) => concat(envelope, Uint8Array.of(0))],
  [
    'chunks exchanged',
    (envelope: Uint8Array) => {
      const body = ciphertextSize(0) - 16
      const chunk = (i: number) => envelope.subarray(body + i * 16_400, body + (i + 1) * 16_400)
      return concat(envelope.subarray(0, body), chunk(1), chunk(0), envelope.subarray(body + 2 * 16_400))
    },
  ],
  ['the last bit', (envelope: Uint8Array) => flip(envelope, envelope.length * 8 - 1)],
  ['a bit of the commitment', (envelope: Uint8Array) => flip(envelope, (ciphertextSize(0) - 20) * 8)],
])('refused: %s', async (_, change) => {
  const envelope = change(await encrypt(pattern(40_000), writing))
  expect((await through(envelope, decryptStream(reading))).error).toMatchObject({ code: 'cannot_open' })
})

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = new Uint8Array(bytes)
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

test('another context, nobody we know, something else entirely', async () => {
  const envelope = await encrypt(pattern(10), writing)
  const error = async (options: Parameters<typeof decryptStream>[0], bytes = envelope) =>
    (await through(bytes, decryptStream(options))).error
  expect(await error({ ...reading, context: { tenant: 'other' } })).toMatchObject({ code: 'cannot_open' })
  expect(await error({ identities: [generateIdentity()], context })).toMatchObject({
    code: 'not_a_recipient',
  })
  expect(await error(reading, utf8('-----BEGIN PKCS7-----'))).toMatchObject({ code: 'malformed' })
  expect(() => decryptStream({ ...reading, contxt: {} } as never)).toThrow(
    expect.objectContaining({ code: 'bad_input' }),
  )
  expect(() => encryptStream({ ...writing, context: { '': 'x' } })).toThrow(
    expect.objectContaining({ code: 'bad_context' }),
  )
})

test('no recipients: the stream fails before it gives a byte', async () => {
  const { out, error } = await through(pattern(10), encryptStream({ recipients: [] }))
  expect(out).toHaveLength(0)
  expect(error).toMatchObject({ code: 'bad_input' })
})

test('what the caller passed may change while the stream begins', async () => {
  const changing: Record<string, string> = { ...context }
  const transform = encryptStream({ ...writing, context: changing })
  changing['tenant'] = 'other'
  const { out } = await through(pattern(10), transform)
  expect(await decrypt(out, reading)).toEqual(pattern(10))
})

test('back-pressure: a source is not read further than the reader asks', async () => {
  let pulled = 0
  const source = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(16_384))
      },
    },
    { highWaterMark: 0 },
  )
  const reader = source.pipeThrough(encryptStream(writing)).getReader()
  await reader.read()
  await reader.read()
  expect(pulled).toBeLessThan(6)
  await reader.cancel('enough')
})

test('one gigantic piece comes out in pieces of a mebibyte', async () => {
  const lengths: number[] = []
  for await (const part of streamOf([new Uint8Array(5 << 20)]).pipeThrough(encryptStream(writing))) {
    lengths.push(part.length)
  }
  expect(Math.max(...lengths)).toBe(64 * 16_400)
})

test('a source that fails fails the stream with its own error', async () => {
  const failing = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(pattern(20_000)),
    pull: (controller) => controller.error(new Error('disk on fire')),
  })
  const { error } = await collect(failing.pipeThrough(encryptStream(writing)))
  expect(error).toMatchObject({ message: 'disk on fire' })
})

test("Node's streams, and aborting them", async () => {
  const plaintext = pattern(200_000)
  const parts: Uint8Array[] = []
  const sink = () =>
    new Writable({
      write(part: Uint8Array, _, done) {
        parts.push(part)
        done()
      },
    })
  await pipeline(
    Readable.from(pieces(plaintext, 1000)),
    duplex(encryptStream(writing)),
    duplex(decryptStream(reading)),
    sink(),
  )
  expect(concat(...parts)).toEqual(plaintext)

  const abort = new AbortController()
  const endless = Readable.from(
    (function* () {
      for (;;) yield plaintext
    })(),
  )
  const running = pipeline(endless, duplex(encryptStream(writing)), sink(), { signal: abort.signal })
  abort.abort()
  await expect(running).rejects.toMatchObject({ name: 'AbortError' })
})

test('a piece that is no bytes is refused', async () => {
  const source = streamOf(['text' as never])
  expect((await collect(source.pipeThrough(encryptStream(writing)))).error).toMatchObject({
    code: 'bad_input',
  })
})

test('pieces of every size around a chunk come to the same bytes', async () => {
  const dataKey = DataKey.generate()
  const bound = { recordContext: context }
  const plaintext = pattern(2 * 16_384 + 5)
  for (const size of [1, 7, 16_383, 16_384, 16_385, 16_399, 16_400, 16_401, 32_768, 40_000]) {
    const sealed = await through(plaintext, encryptRecordStream(dataKey, bound), size)
    expect(dataKey.decrypt(sealed.out, bound)).toEqual(plaintext)
    const opened = await through(sealed.out, decryptRecordStream(dataKey, bound), size)
    expect(opened).toEqual({ out: plaintext, error: undefined })
  }
})

test('a caller may use a buffer again once it was written', async () => {
  const dataKey = DataKey.generate()
  const bound = { recordContext: context }
  const transform = encryptRecordStream(dataKey, bound)
  const sealed = collect(transform.readable)
  const writer = transform.writable.getWriter()
  const buffer = new Uint8Array(1000)
  for (let i = 0; i < 40; i++) {
    buffer.fill(i)
    await writer.write(buffer)
  }
  await writer.close()
  const expected = Uint8Array.from({ length: 40_000 }, (_, at) => Math.floor(at / 1000))
  expect(dataKey.decrypt((await sealed).out, bound)).toEqual(expected)
})

test.each(['text', undefined, [1, 2]])('a piece that is %s fails the stream, both ways', async (piece) => {
  const dataKey = DataKey.generate()
  const bound = { recordContext: context }
  for (const transform of [encryptRecordStream(dataKey, bound), decryptRecordStream(dataKey, bound)]) {
    const ended = collect(transform.readable)
    const writer = transform.writable.getWriter()
    await expect(writer.write(piece as never)).rejects.toMatchObject({ code: 'bad_input' })
    await expect(writer.write(new Uint8Array(1))).rejects.toMatchObject({ code: 'bad_input' })
    expect((await ended).error).toMatchObject({ code: 'bad_input' })
  }
})

test('a header that comes byte by byte is copied no more often than it doubles', async () => {
  const others = Array.from({ length: 31 }, () => generateIdentity().recipient)
  const envelope = await encrypt(pattern(10), { recipients: [...others, identity.recipient] })
  const bytes = streamOf(pieces(envelope, 1))
  const set = vi.spyOn(Uint8Array.prototype, 'set')
  onTestFinished(() => set.mockRestore())
  const opened = await new Response(bytes.pipeThrough(decryptStream({ identities: [identity] }))).bytes()
  expect(opened).toEqual(pattern(10))
  let copied = 0
  for (const [source] of set.mock.calls) copied += source.length
  expect(copied).toBeLessThan(5 * envelope.length)
})
