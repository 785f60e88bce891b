import { createHmac } from 'node:crypto'

import { Secret } from '@longhold/core'
import { describe, expect, onTestFinished, test } from 'vitest'

import { canonicalJson, RowMacs } from '../../src/service/row-mac.ts'
import { keyRow, tokenRow, versionRow } from '../support/rows.ts'

const key = new Uint8Array(32).map((_, index) => index)
const clusterId = new Uint8Array(16).fill(7)

function macs(of = clusterId, secret = key): RowMacs {
  const made = new RowMacs(of, Secret.copyOf(secret))
  onTestFinished(() => made.close())
  return made
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const u64 = (value: number) => Buffer.concat([u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32)])
const framed = (text: string | Uint8Array) =>
  Buffer.concat([u32(Buffer.from(text).length), Buffer.from(text)])
const typed = (kind: number, bytes: Uint8Array) =>
  Buffer.concat([Uint8Array.of(kind), u32(bytes.length), bytes])

function otherThan(value: unknown): unknown {
  if (typeof value === 'number') return value + 1
  if (typeof value === 'string') return `${value}x`
  return value instanceof Uint8Array ? value.slice(1) : 'x'
}

describe('the tag of a row', () => {
  test('is HMAC-SHA-512 over table, key, generation and content, as written down', () => {
    const name = (text: string) => framed(text)
    const message = Buffer.concat([
      framed('longhold/kms/v1/row'),
      framed(clusterId),
      framed('tokens'),
      typed(2, Buffer.from('ab')),
      typed(1, u64(5)),
      // In the order of their names.
      ...[
        [name('createdAt'), typed(1, u64(1000))],
        [name('createdBy'), typed(0, new Uint8Array())],
        [name('expiresAt'), typed(0, new Uint8Array())],
        [name('keys'), typed(4, Buffer.from('["a","b"]'))],
        [name('name'), typed(2, Buffer.from('ä'))],
        [name('pepperVersion'), typed(1, u64(2 ** 40 + 3))],
      ].flat(),
    ])
    const token = tokenRow('ab', {
      name: 'ä',
      keys: ['a', 'b'],
      pepperVersion: 2 ** 40 + 3,
      secretMac: Uint8Array.of(9),
    })
    const rest = Object.entries(token)
      .filter(([column]) => column > 'pepperVersion')
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([column, value]) => [
        name(column),
        value === null
          ? typed(0, new Uint8Array())
          : value instanceof Uint8Array
            ? typed(3, value)
            : typeof value === 'string'
              ? typed(2, Buffer.from(value))
              : typed(4, Buffer.from(JSON.stringify(value))),
      ])
    const expected = createHmac('sha512', key)
      .update(Buffer.concat([message, ...rest]))
      .digest()
    const { mac, addend } = macs().tag('tokens', 5, token)
    expect(hex(mac) + hex(addend)).toBe(expected.toString('hex'))
  })

  test('of a row of any length, one after the other', () => {
    const tags = macs()
    const row = versionRow('a', 1)
    const long = { ...row, publicKey: new Uint8Array(100_000).fill(3) }
    const once = tags.tag('versions', 1, row)
    const longOnce = tags.tag('versions', 1, long)
    expect(tags.tag('versions', 1, row)).toEqual(once)
    expect(macs().tag('versions', 1, long)).toEqual(longOnce)
    expect(macs().tag('versions', 1, row)).toEqual(once)
  })

  test('is another for every difference', () => {
    const row = versionRow('a', 1)
    const tags = macs()
    const seen = [
      tags.tag('versions', 1, row),
      tags.tag('versions', 2, row),
      tags.tag('keys', 1, { ...keyRow('a'), ...row }),
      macs(new Uint8Array(16)).tag('versions', 1, row),
      macs(clusterId, new Uint8Array(32)).tag('versions', 1, row),
      ...Object.entries(row).flatMap(([column, value]: [string, unknown]) =>
        [otherThan(value), value === null ? 0 : null, ''].map((one) =>
          tags.tag('versions', 1, { ...row, [column]: one }),
        ),
      ),
    ]
    expect(new Set(seen.map(({ mac }) => hex(mac))).size).toBe(seen.length)
    expect(new Set(seen.map(({ addend }) => hex(addend))).size).toBe(seen.length)
  })

  test('does not depend on the order of columns, or of members of JSON', () => {
    const row = tokenRow('ab')
    const turned = Object.fromEntries(Object.entries(row).toReversed())
    expect(macs().tag('tokens', 1, turned)).toEqual(macs().tag('tokens', 1, row))
    expect(canonicalJson({ b: [{ d: 1, c: null }], a: 'x' })).toBe('{"a":"x","b":[{"c":null,"d":1}]}')
  })

  test.each([
    ['a column that is missing', { name: undefined }],
    ['a fraction', { createdAt: 1.5 }],
    ['a number beyond the safe ones', { createdAt: 2 ** 53 }],
    ['a bigint', { createdAt: 1n }],
  ])('is refused for %s', (_, changes) => {
    expect(() => macs().tag('tokens', 1, { ...tokenRow('ab'), ...changes })).toThrow(TypeError)
  })
})
