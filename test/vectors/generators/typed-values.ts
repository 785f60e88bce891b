/** Typed values, and records that hold them. */

import { DataKey, encodeValue } from '@longhold/core'
import type { TypedValue } from '@longhold/core'

import { sealRecord } from '../../../packages/core/src/keys/data-key.ts'
import { CaseFile } from './case-file.ts'
import { Drbg } from './drbg.ts'
import { someContext, toHex } from './parts.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)

export function valueFiles(): CaseFile[] {
  return [typedValues(), typedRecords()]
}

/** The schema's spelling of a value, which a JSON file can hold. */
const typed: readonly (readonly [string, unknown, TypedValue])[] = [
  ['bytes', { hex: '' }, { type: 'bytes', value: new Uint8Array() }],
  ['bytes', { hex: '00ff' }, { type: 'bytes', value: Uint8Array.of(0, 255) }],
  ...['', 'x', 'Grüße, 🔑', '\ufeffmark', 'a\0b'].map(
    (value) => ['string', value, { type: 'string', value }] as const,
  ),
  ...[null, true, 'x', 0, [], {}, { b: 1, a: [1, 2.5, 'ü'] }].map(
    (value) => ['json', value, { type: 'json', value }] as const,
  ),
  ...[false, true].map((value) => ['boolean', value, { type: 'boolean', value }] as const),
  ...[
    '0',
    '-0',
    '1',
    '-1.5',
    '5e-324',
    '1.7976931348623157e308',
    'Infinity',
    '-Infinity',
    'NaN',
    '9007199254740993',
  ].map((text) => ['double', text, { type: 'number', value: Number(text) }] as const),
  ...[
    0n,
    1n,
    -1n,
    127n,
    128n,
    -128n,
    -129n,
    255n,
    256n,
    32_767n,
    32_768n,
    -32_768n,
    -32_769n,
    2n ** 64n,
    -(2n ** 64n),
    2n ** 255n - 1n,
  ].map((value) => ['bigint', String(value), { type: 'bigint', value }] as const),
  ...[0, 1, -1, 1_700_000_000_000, 8.64e15, -8.64e15].map(
    (ms) => ['date', ms, { type: 'date', value: new Date(ms) }] as const,
  ),
]

const badPayloads: readonly (readonly [string, string, string])[] = [
  ['no bytes', '', 'not even a type'],
  ['type 7', '07', 'unknown'],
  ['type 127', '7f00', 'unknown'],
  ['type 255', 'ff', 'unknown'],
  ['string: a byte 0xff', '01ff', 'not UTF-8'],
  ['string: cut within a letter', '01c3', 'not UTF-8'],
  ['string: overlong', '01c080', 'not UTF-8'],
  ['string: a surrogate', '01eda080', 'not UTF-8'],
  ['string: beyond U+10FFFF', '01f4908080', 'not UTF-8'],
  ['json: nothing', '02', 'no JSON text'],
  ['json: a word', '0278', 'no JSON text'],
  ['json: undefined', '02756e646566696e6564', 'no JSON text'],
  ['json: NaN', '024e614e', 'no JSON text'],
  ['json: a comma too many', '025b312c5d', 'no JSON text'],
  ['json: two texts', '02312032', 'no JSON text'],
  ['json: a byte order mark', '02efbbbf31', 'RFC 8259 §8.1'],
  ['json: not UTF-8', '0222ff22', 'not UTF-8'],
  ['boolean: nothing', '03', 'one byte'],
  ['boolean: 2', '0302', '00 or 01'],
  ['boolean: 255', '03ff', '00 or 01'],
  ['boolean: two bytes', '030001', 'one byte'],
  ['double: seven bytes', '0400000000000000', '8 bytes'],
  ['double: nine bytes', '04000000000000000000', '8 bytes'],
  ['double: another NaN', '047ff8000000000001', 'NaN has one spelling'],
  ['double: a negative NaN', '04fff8000000000000', 'NaN has one spelling'],
  ['double: a signalling NaN', '047ff0000000000001', 'NaN has one spelling'],
  ['integer: nothing', '05', 'zero is 00'],
  ['integer: 0 in two bytes', '050000', 'a redundant leading byte'],
  ['integer: 127 in two bytes', '05007f', 'a redundant leading byte'],
  ['integer: -1 in two bytes', '05ffff', 'a redundant leading byte'],
  ['integer: -128 in two bytes', '05ff80', 'a redundant leading byte'],
  ['date: seven bytes', '0680000000000000', '8 bytes'],
  ['date: nine bytes', '06800000000000000000', '8 bytes'],
  ['date: a millisecond too late', '06801eb208c2dc0001', 'more than 8.64·10^15 ms'],
  ['date: a millisecond too early', '067fe14df73d23ffff', 'more than 8.64·10^15 ms'],
  ['date: zero', '060000000000000000', 'more than 8.64·10^15 ms'],
]

function typedValues(): CaseFile {
  const file = new CaseFile('typed-values.json')
  for (const [type, value, typedValue] of typed)
    file.valid('value', `${type} ${JSON.stringify(value)}`, {
      type,
      value,
      bytes: toHex(encodeValue(typedValue)),
    })
  for (const [name, bytes, comment] of badPayloads)
    file.refused('decodeValue', 'bad-value', name, comment, { bytes })
  return file
}

function typedRecords(): CaseFile {
  const file = new CaseFile('typed-records.json')
  const drbg = new Drbg('typed records')
  const keyBytes = drbg.bytes(32)
  const common = { dataKey: toHex(keyBytes), recordContext: someContext, typed: true }
  const seal = (plaintext: Uint8Array, bodyKind: 'value' | 'data' = 'value') => {
    const salt = drbg.bytes(24)
    const input = sealRecord(DataKey.from(keyBytes), plaintext, someContext, { bodyKind, testingSalt: salt })
    return { salt: toHex(salt), input: toHex(input) }
  }
  for (const index of [0, 3, 8, 15, 19, 30, typed.length - 1]) {
    const [type, value, typedValue] = typed[index] ?? typed[0] ?? ['', '', { type: 'string', value: '' }]
    const plaintext = encodeValue(typedValue)
    const fields = { ...common, plaintext: { hex: toHex(plaintext) }, ...seal(plaintext) }
    file.valid('openTypedRecord', `${type} ${JSON.stringify(value)}`, fields)
  }
  for (const [name, hexBytes, comment] of badPayloads.filter((_, i) => i % 6 === 0 || i === 1)) {
    const { input } = seal(new Uint8Array(Buffer.from(hexBytes, 'hex')))
    file.refused('openTypedRecord', 'bad-value', name, `${comment}; the record itself is right`, {
      ...common,
      input,
    })
  }
  const raw = seal(utf8('\x01x'), 'data').input
  file.refused('openTypedRecord', 'cannot-open', 'a record of raw bytes', 'bound to the label of raw bytes', {
    ...common,
    input: raw,
  })
  const { input } = seal(utf8('\x01x'))
  file.refused('openTypedRecord', 'cannot-open', 'another context', 'not the one it was bound to', {
    ...common,
    recordContext: null,
    input,
  })
  file.refused('openTypedRecord', 'cannot-open', 'the tag flipped', 'one bit', {
    ...common,
    input: `${input.slice(0, -2)}${(Number.parseInt(input.slice(-2), 16) ^ 1).toString(16).padStart(2, '0')}`,
  })
  file.refused('openTypedRecord', 'malformed', 'cut to 91 bytes', 'shorter than the smallest record', {
    ...common,
    input: input.slice(0, 182),
  })
  return file
}
