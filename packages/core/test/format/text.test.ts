import { expect, test } from 'vitest'

import { fromText, toText } from '../../src/index.ts'
import { syncCodeOf } from '../refusals.ts'
import { dataKeyOf, patterned } from '../samples.ts'

const record = dataKeyOf(1).encrypt(patterned(20), { recordContext: {} })

test('text comes back as the bytes it was made of', () => {
  const text = toText(record)
  expect(text).toBe(Buffer.from(record).toString('base64url'))
  expect(text).toMatch(/^TEhSA[\w-]+$/)
  expect(fromText(text)).toEqual(record)
  expect(toText(Buffer.from(record))).toBe(text)
  expect(fromText('')).toEqual(new Uint8Array())
})

test.each([
  ['padding', (text: string) => `${text}==`],
  ['a newline at the end', (text: string) => `${text}\n`],
  ['a space in front', (text: string) => ` ${text}`],
  ['two lines', (text: string) => `${text.slice(0, 8)}\n${text.slice(8)}`],
  ['the other alphabet', (text: string) => `${text.slice(0, 8)}+/${text.slice(10)}`],
  ['a digit too many', (text: string) => `${text.slice(0, 8)}A`],
  ['unused bits that are set', () => 'TEhSAR'],
])('refused: %s', (_, spoil) => {
  expect(syncCodeOf(() => fromText(spoil(toText(record))))).toBe('bad_text')
})

test('what is no text, or no bytes, is the caller’s mistake', () => {
  expect(syncCodeOf(() => fromText(record as never))).toBe('bad_input')
  expect(syncCodeOf(() => toText('TEhS' as never))).toBe('bad_input')
})
