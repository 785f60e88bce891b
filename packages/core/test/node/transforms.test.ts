import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { DataKey, ciphertextSize, decrypt, encrypt, generateIdentity, parseIdentity } from '@longhold/core'
import {
  decryptRecordTransform,
  decryptTransform,
  encryptRecordTransform,
  encryptTransform,
} from '@longhold/core/node'
import { afterEach, expect, test, vi } from 'vitest'

import { concat, toHex } from '../../src/bytes.ts'
import { backend } from '../../src/primitives/backend.ts'
import { changed, patterned } from '../samples.ts'

const identity = generateIdentity()
const context = { tenant: 'acme' }
const writing = { recipients: [identity.recipient], context }
const reading = { identities: [identity], context }
const bound = { recordContext: context }

function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Everything that came out before it ended, and how it ended. */
async function through(bytes: Uint8Array, transform: Duplex, size = 65_536) {
  const parts: Uint8Array[] = []
  const sink = new Writable({
    write(part: Uint8Array, _, done) {
      parts.push(part)
      done()
    },
  })
  let error: unknown
  try {
    await pipeline(Readable.from(pieces(bytes, size)), transform, sink)
  } catch (caught) {
    error = caught
  }
  return { out: concat(...parts), error, hasEnded: transform.readableEnded }
}

afterEach(() => vi.restoreAllMocks())

const sizes = [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000]

test.each(sizes)('%i bytes: transforms and one-shot functions open each other', async (length) => {
  const plaintext = patterned(length)
  for (const size of [1000, 16_384, 16_400, 65_536, 1 << 20]) {
    const { out: envelope, error } = await through(plaintext, encryptTransform(writing), size)
    expect(error).toBeUndefined()
    expect(envelope).toHaveLength(ciphertextSize(length))
    expect(await decrypt(envelope, reading)).toEqual(plaintext)
    const opened = await through(await encrypt(plaintext, writing), decryptTransform(reading), size)
    expect(opened).toEqual({ out: plaintext, error: undefined, hasEnded: true })
  }
})

test('byte by byte, as a record', async () => {
  const dataKey = DataKey.generate()
  const plaintext = patterned(17_000)
  const { out } = await through(plaintext, encryptRecordTransform(dataKey, bound), 1)
  expect(dataKey.decrypt(out, bound)).toEqual(plaintext)
  const opened = await through(out, decryptRecordTransform(dataKey, bound), 1)
  expect(opened.out).toEqual(plaintext)
})

test('a stream that was cut off anywhere never ends cleanly', async () => {
  const envelope = await encrypt(patterned(40), writing)
  for (let length = 0; length < envelope.length; length += 7) {
    const { out, error, hasEnded } = await through(envelope.subarray(0, length), decryptTransform(reading))
    expect(out).toHaveLength(0)
    expect(hasEnded).toBe(false)
    expect(error).toMatchObject({ code: length < ciphertextSize(0) ? 'malformed' : 'cannot_open' })
  }
})

test('cut off between chunks: the beginning, and then an error', async () => {
  const plaintext = patterned(3 * 16_384)
  const envelope = await encrypt(plaintext, writing)
  for (const chunks of [1, 2, 3]) {
    const cut = ciphertextSize(0) - 16 + chunks * 16_400
    const { out, error, hasEnded } = await through(envelope.subarray(0, cut), decryptTransform(reading))
    expect(out).toEqual(plaintext.subarray(0, chunks * 16_384))
    expect(hasEnded).toBe(false)
    expect(error).toMatchObject({ code: 'cannot_open' })
  }
})

test.each([
  ['a bit of the last tag', -1],
  ['a bit of the commitment', ciphertextSize(0) - 20],
  ['a bit of the second chunk', ciphertextSize(0) + 20_000],
])('refused: %s', async (_, at) => {
  const envelope = await encrypt(patterned(40_000), writing)
  const place = at < 0 ? envelope.length + at : at
  const altered = changed(envelope, place, (envelope[place] ?? 0) ^ 1)
  const { error, hasEnded } = await through(altered, decryptTransform(reading))
  expect(error).toMatchObject({ code: 'cannot_open' })
  expect(hasEnded).toBe(false)
})

test('errors have the codes of the one-shot functions', async () => {
  const envelope = await encrypt(patterned(10), writing)
  const errorOf = async (transform: Duplex, bytes: Uint8Array = envelope) =>
    (await through(bytes, transform)).error
  const stranger = parseIdentity(generateIdentity().exportText())
  expect(await errorOf(decryptTransform({ identities: [stranger], context }))).toMatchObject({
    code: 'not_a_recipient',
  })
  expect(await errorOf(decryptTransform({ identities: [identity] }))).toMatchObject({ code: 'cannot_open' })
  expect(await errorOf(decryptTransform(reading), patterned(2000))).toMatchObject({ code: 'malformed' })
  expect(await errorOf(encryptTransform({ recipients: [] }))).toMatchObject({ code: 'bad_input' })
  expect(await errorOf(decryptRecordTransform(DataKey.generate(), bound))).toMatchObject({
    code: 'malformed',
  })
})

test.each([
  ['encryptTransform', () => encryptTransform({ ...writing, contxt: {} } as never)],
  ['decryptTransform', () => decryptTransform({ ...reading, contxt: {} } as never)],
  ['encryptRecordTransform', () => encryptRecordTransform({} as never, bound)],
  ['decryptRecordTransform', () => decryptRecordTransform({} as never, bound)],
])('%s: wrong arguments are refused at once, and named', (name, make) => {
  expect(make).toThrow(expect.objectContaining({ code: 'bad_input', message: expect.stringContaining(name) }))
})

test('a string is text, and memory that others may write to is refused', async () => {
  const encrypting = encryptTransform(writing)
  const parts = encrypting.toArray()
  encrypting.write('grüße')
  encrypting.end('6869', 'hex')
  const envelope = concat(...(await parts))
  expect(new TextDecoder().decode(await decrypt(envelope, reading))).toBe('grüßehi')

  const shared = new Uint8Array(new SharedArrayBuffer(100))
  for (const transform of [encryptTransform(writing), decryptTransform(reading)]) {
    transform.write(shared)
    await expect(once(transform, 'close')).rejects.toMatchObject({ code: 'bad_input' })
  }
})

test('back-pressure: one gigantic piece is sealed as it is read', async () => {
  const encrypting = encryptTransform(writing)
  let isWritten = false
  encrypting.write(new Uint8Array(20 << 20), () => (isWritten = true))
  encrypting.end()
  let [total, most, writtenAt] = [0, 0, 0]
  for await (const part of encrypting) {
    total += part.length
    most = Math.max(most, encrypting.readableLength)
    if (!isWritten) writtenAt = total
  }
  expect(writtenAt).toBeGreaterThan(15 << 20)
  expect(total).toBe(ciphertextSize(20 << 20))
  expect(most).toBeLessThan(3 << 20)
})

test('back-pressure: nothing more is read while nobody takes what came out', async () => {
  let pulled = 0
  const source = new Readable({
    read() {
      pulled++
      this.push(new Uint8Array(65_536))
    },
  })
  const encrypting = source.pipe(encryptTransform(writing))
  await once(encrypting, 'readable')
  await new Promise((resolve) => setImmediate(resolve))
  expect(pulled).toBeLessThan(16)
  encrypting.destroy()
  source.destroy()
})

test('aborted, destroyed, failed or ended, the key of the message is wiped', async () => {
  const asked = vi.spyOn(backend(), 'aes256gcm')
  /** The keys that were given since the last call, as they are now. */
  const keys = () => asked.mock.calls.splice(0).map(([key]) => toHex(key))
  const wiped = '00'.repeat(32)
  const dataKey = DataKey.generate()
  const record = dataKey.encrypt(patterned(50_000), bound)
  keys()

  const abort = new AbortController()
  const endless = Readable.from(
    (function* () {
      for (;;) yield record
    })(),
  )
  const sink = new Writable({ write: () => abort.abort() })
  const running = pipeline(endless, encryptRecordTransform(dataKey, bound), sink, { signal: abort.signal })
  await expect(running).rejects.toMatchObject({ name: 'AbortError' })
  expect(keys()).toEqual([wiped])

  for (const transform of [encryptRecordTransform(dataKey, bound), decryptRecordTransform(dataKey, bound)]) {
    transform.write(record)
    await once(transform, 'readable')
    const closed = once(transform, 'close')
    transform.destroy()
    await closed
    expect(keys()).toEqual([wiped])
  }

  await through(changed(record, record.length - 2, 0, 0), decryptRecordTransform(dataKey, bound))
  await through(record, decryptRecordTransform(dataKey, bound))
  await through(record, encryptRecordTransform(dataKey, bound))
  expect(keys()).toEqual([wiped, wiped, wiped])
})

test('destroyed while the key is on its way', async () => {
  const asked = vi.spyOn(backend(), 'aes256gcm')
  const { recipient } = generateIdentity()
  const wrap = recipient.wrap.bind(recipient)
  const { promise: signal, resolve: goOn } = Promise.withResolvers<void>()
  vi.spyOn(recipient, 'wrap').mockImplementation(async (dataKey, to) => {
    await signal
    return await wrap(dataKey, to)
  })
  const encrypting = encryptTransform({ recipients: [recipient], context })
  encrypting.write('text')
  const closed = once(encrypting, 'close')
  encrypting.destroy()
  goOn()
  await closed
  const keys = asked.mock.calls.map(([key]) => toHex(key))
  expect(keys.at(-1)).toBe('00'.repeat(32)) // the message's, behind the one of the wrap
  expect(encrypting.readableEnded).toBe(false)
})
