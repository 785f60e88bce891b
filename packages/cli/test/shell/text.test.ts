import { describe, expect, test } from 'vitest'

import { closest, plural, printable, table } from '../../src/shell/text.ts'

test('printable text holds no control character and no direction mark', () => {
  expect(printable('a\u001b[31mb\u0007\n\u202ec\u009b')).toBe('a\\u{1b}[31mb\\u{7}\\u{a}\\u{202e}c\\u{9b}')
  expect(printable('Grüße, 世界 ✓')).toBe('Grüße, 世界 ✓')
})

test('a table is as wide as its widest cell, without blanks at the end', () => {
  expect(
    table([
      ['A', 'LONG', 'C'],
      ['aaa', 'b', ''],
    ]),
  ).toBe('A    LONG  C\naaa  b')
})

test('counts', () => {
  expect([plural(0, 'file'), plural(1, 'file'), plural(1234, 'file')]).toEqual([
    '0 files',
    '1 file',
    '1,234 files',
  ])
})

describe('closest', () => {
  test.each([
    ['recipients', 'recipient'],
    ['identty', 'identity'],
    ['kms_url', 'kms-url'],
    ['tabel', 'table'],
    ['zzzzzz', undefined],
    ['x', undefined],
  ])('%s', (word, expected) => {
    expect(closest(word, ['recipient', 'identity', 'kms-url', 'table'])).toBe(expected)
  })
})
