import { DataKey, blindIndex, utf8 } from '@longhold/core'
import { expect, test } from 'vitest'

const key = DataKey.generate()
const where = { table: 'users', column: 'email', value: utf8('ada@example.org') }

test('a shorter index is a prefix of a longer one, its unused low bits zero', () => {
  const full = blindIndex(key, { ...where, bits: 256 })
  for (let bits = 16; bits <= 256; bits++) {
    const index = blindIndex(key, { ...where, bits })
    expect(index).toHaveLength(Math.ceil(bits / 8))
    const unused = index.length * 8 - bits
    const expected = full.slice(0, index.length)
    expected[index.length - 1] = ((expected.at(-1) ?? 0) >> unused) << unused
    expect(index).toEqual(expected)
  }
})

test('64 bits unless said otherwise; another key, table, column or value gives another index', () => {
  const index = blindIndex(key, where)
  expect(index).toHaveLength(8)
  expect(blindIndex(key, where)).toEqual(index)
  expect(blindIndex(DataKey.generate(), where)).not.toEqual(index)
  expect(blindIndex(key, { ...where, table: 'user', column: 'semail' })).not.toEqual(index)
  expect(blindIndex(key, { ...where, value: utf8('ada@example.com') })).not.toEqual(index)
})

test.each([
  ['15 bits', { bits: 15 }],
  ['257 bits', { bits: 257 }],
  ['half a bit', { bits: 16.5 }],
  ['a table of 65,536 bytes', { table: 'x'.repeat(65_536) }],
  ['a lone surrogate in the column', { column: '\uD800' }],
  ['a value that is no bytes', { value: 'ada' as never }],
  ['a misspelt option', { bit: 64 }],
])('refused: %s', (_, change) => {
  expect(() => blindIndex(key, { ...where, ...change })).toThrow(
    expect.objectContaining({ code: 'bad_input' }),
  )
})

test('a wiped key is refused', () => {
  const gone = DataKey.generate()
  gone.wipe()
  expect(() => blindIndex(gone, where)).toThrow(expect.objectContaining({ code: 'bad_input' }))
})
