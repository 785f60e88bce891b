/** Streams of a keyring through Node's own streams. */

import { Readable, Writable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { decryptKeyringTransform, encryptKeyringTransform } from '@longhold/core/node'
import { expect, test } from 'vitest'

import { concat } from '../../src/bytes.ts'
import { LongholdError } from '../../src/errors.ts'
import { keyIdOf } from '../../src/index.ts'
import { open, recordContext } from '../keys/keyring-fixtures.ts'
import { syncCodeOf } from '../refusals.ts'
import { patterned } from '../samples.ts'

const options = { recordContext, keyContext: { tenant: 'a' } }

function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function through(bytes: Uint8Array, transform: Duplex, size = 65_536) {
  const parts: Uint8Array[] = []
  const sink = new Writable({
    write(part: Uint8Array, _, done) {
      parts.push(part)
      done()
    },
  })
  const ended = pipeline(Readable.from(pieces(bytes, size)), transform, sink)
  const error: unknown = await ended.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { out: concat(...parts), error }
}

test.each([0, 1, 16_384, 100_000])('%i bytes: each way of reading opens them', async (length) => {
  const { keyring } = open()
  const plaintext = patterned(length)
  for (const size of [undefined, length]) {
    const given = { ...options, ...(size !== undefined && { size }) }
    const { out: record } = await through(plaintext, encryptKeyringTransform(keyring, 'files', given), 1000)
    expect(await keyring.decrypt(record, options)).toEqual(plaintext)
    const opened = await through(record, decryptKeyringTransform(keyring, options), 1000)
    expect(opened).toEqual({ out: plaintext, error: undefined })
  }
})

test('their bytes are counted, before they are written and by the piece', async () => {
  const { keyring, store } = open({ limits: { maxBytes: 40_000_000 } })
  const bytes = new Uint8Array(3_000_000)
  const { out: record } = await through(bytes, encryptKeyringTransform(keyring, 'files', options))
  await keyring.close()
  expect(await store.get(keyIdOf(record))).toMatchObject({ messages: 1, bytes: 3_000_000 })
})

test('a store that cannot count, a size that was another and a limit fail them', async () => {
  const { keyring, store } = open({ limits: { maxBytes: 2_000_000 } })
  const errorOf = async (length: number, more: object = {}) => {
    const transform = encryptKeyringTransform(keyring, 'files', { ...options, ...more })
    return (await through(new Uint8Array(length), transform)).error
  }
  expect(await errorOf(2_000_001)).toMatchObject({ code: 'limit_exceeded' })
  expect(await errorOf(10, { size: 11 })).toMatchObject({ code: 'bad_input' })
  expect(await errorOf(11, { size: 10 })).toMatchObject({ code: 'bad_input' })
  const down = new LongholdError('unavailable', 'the store is down')
  const writing = encryptKeyringTransform(keyring, 'files', options)
  await keyring.dataKey('files', { keyContext: options.keyContext })
  store.failing.set('reserve', down)
  expect((await through(new Uint8Array(1_900_000), writing)).error).toBe(down)
})

test('what was cut off, or is of another context, ends with an error', async () => {
  const { keyring } = open()
  const plaintext = patterned(50_000)
  const { out: record } = await through(plaintext, encryptKeyringTransform(keyring, 'files', options))
  const cut = await through(record.subarray(0, 76 + 16_400), decryptKeyringTransform(keyring, options))
  expect(cut.error).toMatchObject({ code: 'cannot_open' })
  expect(cut.out).toEqual(plaintext.subarray(0, cut.out.length))
  for (const given of [
    { ...options, recordContext: {} },
    { ...options, keyContext: {} },
  ]) {
    const other = await through(record, decryptKeyringTransform(keyring, given))
    expect(other).toMatchObject({ error: { code: 'cannot_open' }, out: new Uint8Array() })
  }
})

test('a keyring that is closed or none is refused at once', async () => {
  const { keyring } = open()
  await keyring.close()
  for (const given of [keyring, {} as never, undefined as never]) {
    expect(syncCodeOf(() => encryptKeyringTransform(given, 'files', options))).toBe('bad_input')
    expect(syncCodeOf(() => decryptKeyringTransform(given, options))).toBe('bad_input')
  }
})
