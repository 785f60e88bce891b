import { LongholdError, decodeValue, encodeValue, equalBytes } from '@longhold/core'
import type { TypedValue } from '@longhold/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { fromHex } from '../../src/bytes.ts'

const roundTrip = (value: TypedValue) => decodeValue(encodeValue(value))

const anyValue: fc.Arbitrary<TypedValue> = fc.oneof(
  fc.record({ type: fc.constant('bytes' as const), value: fc.uint8Array() }),
  fc.record({ type: fc.constant('string' as const), value: fc.string({ unit: 'grapheme' }) }),
  fc.record({ type: fc.constant('json' as const), value: fc.jsonValue({ noUnicodeString: false }) }),
  fc.record({ type: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ type: fc.constant('number' as const), value: fc.double() }),
  fc.record({ type: fc.constant('bigint' as const), value: fc.bigInt() }),
  fc.record({ type: fc.constant('date' as const), value: fc.date({ noInvalidDate: true }) }),
)

const refusedOr = <T>(act: () => T) => {
  try {
    return act()
  } catch (error) {
    if (error instanceof LongholdError && error.code === 'bad_value') return error.code
    throw error
  }
}

test('every value comes back as it was', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const expected = value.type === 'json' ? JSON.parse(JSON.stringify(value.value)) : value.value
      expect(roundTrip(value)).toEqual({ type: value.type, value: expected })
    }),
    { numRuns: 2000 },
  )
})

test('whatever decodes is the one spelling of its value, JSON apart', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), fc.nat(7), (payload, code) => {
      const bytes = Uint8Array.of(code, ...payload)
      const decoded = refusedOr(() => decodeValue(bytes))
      return decoded === 'bad_value' || decoded.type === 'json' || equalBytes(encodeValue(decoded), bytes)
    }),
    { numRuns: 5000 },
  )
})

test('the corners of each type', () => {
  expect(roundTrip({ type: 'number', value: -0 }).value).toBe(-0)
  expect(roundTrip({ type: 'number', value: Number.NaN }).value).toBeNaN()
  expect(roundTrip({ type: 'string', value: '\uFEFFmark kept' }).value).toBe('\uFEFFmark kept')
  expect(roundTrip({ type: 'date', value: new Date(-8.64e15) }).value).toEqual(new Date(-8.64e15))
  expect(encodeValue({ type: 'bigint', value: 0n })).toEqual(Uint8Array.of(5, 0))
  expect(encodeValue({ type: 'bigint', value: 128n })).toEqual(Uint8Array.of(5, 0, 0x80))
  expect(encodeValue({ type: 'bigint', value: -129n })).toEqual(Uint8Array.of(5, 0xff, 0x7f))
  expect(roundTrip({ type: 'json', value: { b: 1, a: [null, 'é'] } }).value).toEqual({ b: 1, a: [null, 'é'] })
  const made = {
    at: new Date(0),
    of: new (class {
      name = 'a'
    })(),
    left: undefined,
    size: Object(2),
  }
  expect(roundTrip({ type: 'json', value: made }).value).toEqual({
    at: '1970-01-01T00:00:00.000Z',
    of: { name: 'a' },
    size: 2,
  })
})

const cycle: unknown[] = []
cycle.push(cycle)

test.each([
  ['a string that is a number', { type: 'number', value: '1' }],
  ['a number that is a string', { type: 'string', value: 1 }],
  ['a lone surrogate', { type: 'string', value: 'secret \uD800' }],
  ['an invalid date', { type: 'date', value: new Date(Number.NaN) }],
  ['a date that is a number', { type: 'date', value: 0 }],
  ['undefined as JSON', { type: 'json', value: undefined }],
  ['a function as JSON', { type: 'json', value: () => 1 }],
  ['a bigint as JSON', { type: 'json', value: 1n }],
  ['a cycle as JSON', { type: 'json', value: cycle }],
  ['NaN in JSON', { type: 'json', value: { dose: Number.NaN } }],
  ['a boxed NaN in JSON', { type: 'json', value: [Object(Number.NaN)] }],
  ['infinity as JSON', { type: 'json', value: Number.POSITIVE_INFINITY }],
  ['a Map in JSON', { type: 'json', value: [new Map([['a', 1]])] }],
  ['a Set in JSON', { type: 'json', value: { some: new Set([1]) } }],
  ['a promise in JSON', { type: 'json', value: { some: Promise.resolve(1) } }],
  ['bytes in JSON', { type: 'json', value: { some: new Uint8Array(2) } }],
  ['an invalid date in JSON', { type: 'json', value: { some: new Date(Number.NaN) } }],
  ['a function in JSON', { type: 'json', value: { some: () => 1 } }],
  ['a symbol in JSON', { type: 'json', value: [Symbol('some')] }],
  ['a gap in a list of JSON', { type: 'json', value: [1, undefined] }],
  ['a boolean that is a number', { type: 'boolean', value: 1 }],
  ['bytes that are an array', { type: 'bytes', value: [1] }],
  ['no type', { type: 'uuid', value: 'x' }],
])('cannot be written: %s', (_, value) => {
  // What a caller without types can pass.
  const write = () => encodeValue(value as TypedValue)
  expect(write).toThrow(expect.objectContaining({ code: 'bad_value' }))
  expect(write).toThrow(expect.not.objectContaining({ message: expect.stringContaining('secret') }))
})

test.each([
  ['nothing', ''],
  ['an unknown type', '07'],
  ['a boolean of no bytes', '03'],
  ['a boolean of two bytes', '030000'],
  ['a boolean of 2', '0302'],
  ['another NaN', '047ff8000000000001'],
  ['a negative NaN', '04fff8000000000000'],
  ['a double of 7 bytes', '0400000000000000'],
  ['a bigint of no bytes', '05'],
  ['a bigint with a redundant 00', '05007f'],
  ['a bigint with a redundant ff', '05ff80'],
  ['a date of 9 bytes', '06800000000000000000'],
  ['a date past the last', '06801eb208c2dc0001'],
  ['a date before the first', '067fe14df73d23ffff'],
  ['a string that is not UTF-8', '01ff'],
  ['JSON behind a byte order mark', '02efbbbf31'],
  ['JSON of nothing', '02'],
])('cannot be read: %s', (_, hex) => {
  const bytes = fromHex(hex) ?? new Uint8Array()
  expect(() => decodeValue(bytes)).toThrow(expect.objectContaining({ code: 'bad_value' }))
})

test.each(['__proto__', 'constructor', 'toString', 'null', undefined])('there is no type %s', (type) => {
  expect(refusedOr(() => encodeValue({ type, value: 1 } as unknown as TypedValue))).toBe('bad_value')
})

test.each([null, undefined, 'string', 7])('%s is no typed value', (value) => {
  expect(refusedOr(() => encodeValue(value as unknown as TypedValue))).toBe('bad_value')
})

test.each([undefined, null, '0141', [1, 65]])('%s are no bytes of a typed value', (bytes) => {
  expect(() => decodeValue(bytes as unknown as Uint8Array)).toThrow(
    expect.objectContaining({ code: 'bad_input' }),
  )
})
