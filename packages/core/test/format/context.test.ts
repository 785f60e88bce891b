import { runInNewContext } from 'node:vm'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { concat, lp16, toHex, u16, utf8 } from '../../src/bytes.ts'
import { canonicalContext, canonicalize } from '../../src/format/context.ts'
import type { ContextInput } from '../../src/format/context.ts'
import { refusalOf, syncCodeOf } from '../refusals.ts'

/** `Object.entries` sees nothing of it. */
class GetterContext {
  get tenant() {
    return 'a'
  }
}

const canonicalHex = (context: ContextInput | undefined) => toHex(canonicalContext(context))
const keysOf = (context: ContextInput) => canonicalize(context).pairs.map(([key]) => key)
const codeOfContext = (context: unknown) => syncCodeOf(() => canonicalContext(context as ContextInput))
const pairs = (count: number) => Array.from({ length: count }, (_, i) => [`k${i}`, ''] as const)

function lengthOrCode(context: ContextInput): number | string {
  try {
    return canonicalContext(context).length
  } catch {
    return codeOfContext(context)
  }
}

/** A context of one pair with exactly this many canonical bytes. */
const ofBytes = (length: number): ContextInput => ({ a: 'v'.repeat(length - 7) })

/** Strings that are well formed, of all planes. */
const text = fc.string({ unit: 'binary' })
const contexts = fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary', minLength: 1 }), text), {
  selector: ([key]) => key,
  maxLength: 20,
})

test('the example of SPEC §4', () => {
  expect(canonicalHex({ table: 'users', column: 'email', id: '42' })).toBe(
    '00030006636f6c756d6e0005656d61696c000269640002343200057461626c6500057573657273',
  )
})

test('no context and an empty one are the same', () => {
  for (const context of [undefined, {}, [], Object.create(null) as Record<string, string>]) {
    expect(canonicalHex(context)).toBe('0000')
  }
})

test('an object and its pairs in any order are the same', () => {
  fc.assert(
    fc.property(contexts, fc.infiniteStream(fc.nat()), (given, numbers) => {
      const shuffled = given
        .map((pair) => ({ pair, at: numbers.next().value as number })) // the stream has no end
        .toSorted((a, b) => a.at - b.at)
        .map(({ pair }) => pair)
      const expected = canonicalHex(given)
      expect(canonicalHex(shuffled)).toBe(expected)
      expect(canonicalHex(Object.fromEntries(shuffled))).toBe(expected)
    }),
  )
})

test('pairs are in the order of their UTF-8 bytes', () => {
  fc.assert(
    fc.property(contexts, (given) => {
      const keys = keysOf(given)
      expect(keys).toEqual(given.map(([key]) => key).toSorted((a, b) => Buffer.compare(utf8(a), utf8(b))))
    }),
  )
})

test('the bytes are those of SPEC §4, written down anew', () => {
  const lengths = fc.oneof(fc.nat({ max: 3 }), fc.integer({ min: 120, max: 130 }), fc.nat({ max: 700 }))
  const unit = fc.constantFrom('a', '~', '\0', '\x7F', '\x80', 'é', '\u07FF', '\u0800', '€', '\uFFFF', '😀')
  const words = fc.tuple(lengths, unit, fc.string({ unit: 'binary', maxLength: 4 }))
  const word = words.map(([length, character, end]) => character.repeat(length) + end)
  const few = fc.uniqueArray(fc.tuple(word, word), { selector: ([key]) => key, maxLength: 4 })
  fc.assert(
    fc.property(few, (given) => {
      const written = given.filter(([key]) => key !== '')
      const encoded = written
        .map(([key, value]) => [utf8(key), utf8(value)] as const)
        .toSorted(([a], [b]) => Buffer.compare(a, b))
      const bytes = concat(u16(encoded.length), ...encoded.flat().map((each) => lp16(each)))
      expect(lengthOrCode(written)).toBe(bytes.length > 8192 ? 'limit_exceeded' : bytes.length)
      fc.pre(bytes.length <= 8192)
      expect(canonicalHex(written)).toBe(toHex(bytes))
    }),
    { numRuns: 2000 },
  )
})

test('which is another order than JavaScript’s where surrogates meet what lies above them', () => {
  const keys = ['\u{10000}', '\uFFFD', '\uE000', '\uD7FF', 'é', 'z', 'a']
  const context = keys.map((key) => [key, ''] as const)
  expect(keysOf(context)).toEqual(['a', 'z', 'é', '\uD7FF', '\uE000', '\uFFFD', '\u{10000}'])
  expect(keys.toSorted().at(-1)).not.toBe('\u{10000}')
})

test('a prefix comes first', () => {
  expect(keysOf({ ab: '', abc: '', a: '', b: '' })).toEqual(['a', 'ab', 'abc', 'b'])
  expect(keysOf({ 'a\u{1F600}': '', a: '', 'a\uFFFF': '' })).toEqual(['a', 'a\uFFFF', 'a\u{1F600}'])
})

test('the bytes are a writer’s alone: different contexts have different bytes', () => {
  const different = [{}, { a: '' }, { a: 'b' }, { ab: '' }, { a: '', b: '' }, { b: 'a' }, { A: 'b' }]
  expect(new Set(different.map(canonicalHex)).size).toBe(different.length)
})

test('no Unicode normalisation: composed and decomposed keys are two', () => {
  expect(canonicalize({ '\u00E9': '1', 'e\u0301': '2' }).pairs).toHaveLength(2)
})

describe('keys that mean something in JavaScript are keys', () => {
  test.each(['__proto__', 'constructor', 'toString', 'length', '0'])('%s', (key) => {
    expect(canonicalize([[key, 'v']]).pairs).toEqual([[key, 'v']])
    const parsed = JSON.parse(`{"${key}": "v"}`) as Record<string, string> // an own property, __proto__ too
    expect(canonicalize(parsed).pairs).toEqual([[key, 'v']])
  })
})

describe('limits', () => {
  test('64 pairs are allowed, 65 are not', () => {
    expect(canonicalize(pairs(64)).pairs).toHaveLength(64)
    expect(codeOfContext(pairs(65))).toBe('bad_context')
    expect(codeOfContext(Object.fromEntries(pairs(65)))).toBe('bad_context')
  })

  test('8,192 canonical bytes are allowed, 8,193 are not', () => {
    expect(canonicalContext(ofBytes(8192))).toHaveLength(8192)
    expect(codeOfContext(ofBytes(8193))).toBe('limit_exceeded')
  })

  test.each([
    ['in a key', { ['k'.repeat(8187)]: '' }],
    ['in two-byte characters', { a: 'é'.repeat(4093) }],
    ['in four-byte characters', { a: '😀'.repeat(2047) }],
    ['in the lengths of a last pair', { a: 'v'.repeat(8181), b: '' }],
    ['by far', { a: 'v'.repeat(1_000_000) }],
  ])('above the limit %s', async (_, context) => {
    const error = await refusalOf(() => canonicalContext(context))
    expect(error.code).toBe('limit_exceeded')
    expect(error.message).toContain('8192')
  })

  test('the limit falls in the same place wherever the last bytes stand', () => {
    for (let length = 8170; length < 8195; length++) {
      for (const last of [{}, { b: '' }, { b: 'v' }, { b: '', c: '' }, { bb: 'vvv' }]) {
        const context: Record<string, string> = { a: 'v'.repeat(length), ...last }
        const bytes = Object.entries(context).reduce((sum, [k, v]) => sum + 4 + k.length + v.length, 2)
        const outcome = bytes > 8192 ? 'limit_exceeded' : bytes
        expect(lengthOrCode(context)).toBe(outcome)
      }
    }
  })

  test('a refused context leaves nothing behind for the next one', () => {
    const before = canonicalHex({ a: 'b' })
    expect(codeOfContext(ofBytes(9000))).toBe('limit_exceeded')
    expect(canonicalHex({ a: 'b' })).toBe(before)
    expect(canonicalHex({})).toBe('0000')
  })

  test('what is returned is kept from later calls', () => {
    const first = canonicalContext({ a: 'b' })
    const kept = toHex(first)
    canonicalContext({ c: 'ddddddd' })
    expect(toHex(first)).toBe(kept)
    first.fill(0)
    canonicalContext({}).fill(9)
    expect(canonicalHex({})).toBe('0000')
  })
})

describe('refused as bad_context:', () => {
  test.each([
    [
      'a key twice',
      [
        ['a', '1'],
        ['b', '2'],
        ['a', '3'],
      ],
    ],
    [
      'a key twice with one value',
      [
        ['a', '1'],
        ['a', '1'],
      ],
    ],
    ['an empty key', { '': 'v' }],
    ['an empty key among pairs', [['', 'v']]],
    ['a lone high surrogate in a key', { '\uD800': 'v' }],
    ['a lone low surrogate in a key', { 'a\uDC00': 'v' }],
    ['a lone surrogate in a value', { a: '\uD800x' }],
    ['surrogates the wrong way round', { a: '\uDC00\uD800' }],
    ['a number for a value', { id: 42 }],
    ['undefined for a value', { id: undefined }],
    ['null for a value', { id: null }],
    ['a context in a context', { a: {} }],
    ['a number for a key', [[1, 'v']]],
    ['a pair of one', [['a']]],
    ['a pair of three', [['a', 'b', 'c']]],
    ['a string for a pair', ['ab']],
    // An array with holes, as a careless filter leaves it.
    ['a hole among the pairs', Object.assign(Array.from({ length: 2 }), { 0: ['a', 'b'] })],
    ['null', null],
    ['a string', 'tenant=a'],
    ['a number', 7],
    ['a function', () => ({})],
    ['a Map, whose entries are no properties', new Map([['tenant', 'a']])],
    ['a Set', new Set(['a'])],
    ['a Date', new Date(0)],
    ['URL parameters', new URLSearchParams('tenant=a')],
    ['bytes', new Uint8Array(0)],
    ['a promise of one', Promise.resolve({ tenant: 'a' })],
    ['a class whose entries are getters', new GetterContext()],
    ['a symbol for a key', { tenant: 'a', [Symbol('id')]: '1' }],
    ['nothing but a symbol for a key', { [Symbol.for('tenant')]: 'a' }],
    ['a key that is not enumerable', Object.defineProperty({ tenant: 'a' }, 'id', { value: '1' })],
    ['an object that inherits its entries', Object.create({ tenant: 'a' })],
  ])('%s', (_, context) => {
    expect(codeOfContext(context)).toBe('bad_context')
  })

  test('and the message names the key, never the value', async () => {
    const error = await refusalOf(() =>
      canonicalContext([
        ['a', 'secret'],
        ['a', 'hidden'],
      ]),
    )
    expect(error.message).toContain('"a"')
    expect(error.message).not.toMatch(/secret|hidden/)
  })
})

test('an object without a prototype, or of another realm, is as plain as any', () => {
  const bare: Record<string, string> = Object.assign(Object.create(null), { tenant: 'a' })
  const foreign = runInNewContext(`({ tenant: 'a' })`) as Record<string, string>
  expect(canonicalContext(bare)).toEqual(canonicalContext({ tenant: 'a' }))
  expect(canonicalContext(foreign)).toEqual(canonicalContext({ tenant: 'a' }))
})

test('nobody can add to the context of those who bind nothing', () => {
  const nothing = canonicalize(undefined).pairs as [string, string][]
  expect(() => nothing.push(['tenant', 'a'])).toThrow(TypeError)
  expect(canonicalize({}).pairs).toEqual([])
})
