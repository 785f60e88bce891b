import { Console } from 'node:console'
import { PassThrough } from 'node:stream'
import { format, inspect } from 'node:util'
import { deserialize, serialize } from 'node:v8'

import { describe, expect, test } from 'vitest'

import { toHex } from '../src/bytes.ts'
import { DataKey } from '../src/keys/data-key.ts'
import { LocalIdentity } from '../src/keys/identity.ts'
import { Secret } from '../src/secret.ts'
import { syncCodeOf } from './refusals.ts'
import { filled } from './samples.ts'

const bytes = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i)
/** The ways bytes like these would show in a text. */
const traces = [bytes.subarray(0, 4), bytes.subarray(8, 14)].flatMap((part) => [
  toHex(part),
  [...part].join(', '),
  [...part].join(','),
  Array.from(part, (byte) => byte.toString(16)).join(' '),
  Buffer.from(part).toString('base64').slice(0, 5),
])

/** What has a `toString` of its own. */
type Printable = Secret | DataKey | LocalIdentity

function printed(value: unknown): string {
  const stream = new PassThrough()
  const console = new Console({ stdout: stream, stderr: stream })
  console.log(value)
  console.log('%s %d %i %f %j %o %O %c', value, value, value, value, value, value, value, value)
  console.error({ nested: [value] })
  console.dir(value, { depth: null, showHidden: true })
  console.table([{ value }])
  console.group(value)
  return String(stream.read())
}

const waysOut: Readonly<Record<string, (value: Printable) => string>> = {
  'a string': (value) => String(value),
  'a template': (value) => `see ${value.toString()} and ${[value].join()}`,
  JSON: (value) => JSON.stringify({ value, list: [value] }, null, 1),
  inspect: (value) => inspect(value),
  'inspect with everything': (value) => inspect({ value }, { showHidden: true, depth: 9, getters: true }),
  'inspect without custom printers': (value) => inspect(value, { showHidden: true, customInspect: false }),
  format: (value) => format('%s %j %o %O %d', value, value, value, value, value),
  console: printed,
  'an error about it': (value) => inspect(new Error('it', { cause: value })),
  'its properties': (value) => JSON.stringify(Object.entries(Object.getOwnPropertyDescriptors(value))),
  'a structured clone': (value) => inspect(structuredClone(value), { showHidden: true }),
  'a serialised copy': (value) => inspect(deserialize(serialize(value)), { showHidden: true }),
}

describe.each([
  ['a secret', () => Secret.copyOf(bytes)],
  ['a data key', () => DataKey.from(bytes)],
  ['an identity', () => LocalIdentity.fromSeed(bytes)],
])('%s does not show itself', (_, make) => {
  test.each(Object.keys(waysOut))('in %s', (way) => {
    const text = waysOut[way]?.(make()) ?? ''
    expect(text).not.toBe('')
    for (const trace of traces) expect(text).not.toContain(trace)
  })
})

test('a secret says what it is and how long', () => {
  const secret = Secret.copyOf(bytes)
  expect(String(secret)).toBe('[secret 32 bytes]')
  expect(inspect({ secret })).toBe('{ secret: [secret 32 bytes] }')
  expect(JSON.stringify({ secret })).toBe('{"secret":"[secret 32 bytes]"}')
  expect(format('%s', secret)).toBe('[secret 32 bytes]')
  expect(secret.length).toBe(32)
})

test('a data key and an identity say what they are', () => {
  expect(String(DataKey.from(bytes))).toBe('[secret data key]')
  expect(JSON.stringify([DataKey.from(bytes)])).toBe('["[secret data key]"]')
  const identity = LocalIdentity.fromSeed(bytes)
  expect(String(identity)).toBe(`[identity of ${identity.recipient.toString()}]`)
  expect(JSON.stringify(identity)).toContain('lhrecipient1-')
})

test('copyOf leaves the caller his bytes, take owns them', () => {
  const [lent, given] = [filled(1), filled(2)]
  const [copy, taken] = [Secret.copyOf(lent), Secret.take(given)]
  lent.fill(9)
  expect(copy.use((kept) => [...kept])).toEqual([...filled(1)])
  copy.wipe()
  taken.wipe()
  expect(lent).toEqual(filled(9))
  expect(given).toEqual(filled(0))
})

test('copyOf copies a Buffer', () => {
  const buffer = Buffer.alloc(32, 3)
  const secret = Secret.copyOf(buffer)
  buffer.fill(9)
  expect(secret.use((kept) => [...kept])).toEqual([...filled(3)])
})

test('use gives what the callback gives, and the wiped bytes are never lent', () => {
  const secret = Secret.copyOf(bytes)
  expect(secret.use((lent) => lent.length)).toBe(32)
  let seen = new Uint8Array()
  secret.use((lent) => (seen = lent as Uint8Array<ArrayBuffer>)) // to look at it after the wipe
  secret.wipe()
  secret.wipe()
  expect(seen).toEqual(filled(0))
  expect(syncCodeOf(() => secret.use(() => 1))).toBe('bad_input')
  expect(secret.length).toBe(32)
})

test('using disposes', () => {
  const kept = filled(4)
  {
    using secret = Secret.take(kept)
    expect(secret.use((lent) => lent[0])).toBe(4)
  }
  expect(kept).toEqual(filled(0))
})
