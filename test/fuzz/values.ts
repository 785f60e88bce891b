/** Typed values, and contexts as a caller may give them. */

import { canonicalContext, decodeValue, encodeValue, utf8 } from '@longhold/core'
import type { EncryptionContext, TypedValue } from '@longhold/core'

import { mutateBytes } from './mutate.ts'
import type { Random } from './random.ts'
import { opened, outcomeOf, refused } from './trial.ts'
import type { End, Target } from './trial.ts'
import { modelOfValue } from './value-model.ts'

export const value: Target = {
  name: 'typed value',
  weight: 6,
  make(random) {
    const bytes = makeValue(random)
    return { input: { bytes, args: {} }, expected: modelOfValue(bytes) }
  },
  run: ({ bytes }) => outcomeOf(() => spelling(decodeValue(bytes))),
}

/** The input is the JSON of what a caller gives, which keeps lone surrogates. */
export const context: Target = {
  name: 'context',
  weight: 5,
  make(random) {
    const pairs = makePairs(random)
    const asObject = random.chance(0.3) && !hasRepeatedKey(pairs)
    const given = asObject ? Object.fromEntries(pairs) : pairs
    return { input: { bytes: utf8(JSON.stringify(given)), args: {} }, expected: modelOfContext(pairs) }
  },
  run: ({ bytes }) =>
    outcomeOf(() => canonicalContext(JSON.parse(Buffer.from(bytes).toString()) as EncryptionContext)),
}

/** What was decoded, encoded: a value that cannot be should not have come out of a decoder. */
export function spelling(decoded: TypedValue): Uint8Array {
  const { code, output } = outcomeOf(() => encodeValue(decoded))
  if (output === undefined) throw new Error(`a value was decoded that encodes to ${code}`)
  return output
}

/** A valid value two times out of three. */
export function makeValue(random: Random): Uint8Array {
  const valid = encodeValue(random.pick(makers)(random))
  const roll = random.below(9)
  if (roll === 2) return misspelt(valid, random)
  if (roll === 0) return mutateBytes(valid, random)
  if (roll === 1) return Buffer.concat([Uint8Array.of(random.below(8)), valid.subarray(1)]) // another type
  return valid
}

/** Another spelling of the same value, or of one just beyond what there is. */
function misspelt(valid: Uint8Array, random: Random): Uint8Array {
  const [type = 0, first = 0] = valid
  const payload = valid.subarray(1)
  const nan = [0x7f + random.pick([0, 0x80]), 0xf0 + random.pick([0, 8]), 0, 0, 0, 0, 0, random.below(2)]
  const dates = ['801eb208c2dc0001', '7fe14df73d23ffff', '801eb208c2dc0000', '7fe14df73d240000']
  const spellings: readonly Uint8Array[] = [
    payload,
    Buffer.concat([payload, Buffer.from(random.pick(['c0af', 'eda080', 'f4908080', 'c3']), 'hex')]),
    Buffer.concat([
      Buffer.from(random.pick(['20', 'efbbbf', '0a']), 'hex'),
      payload,
      Buffer.from(random.pick(['', ','])),
    ]),
    Uint8Array.of(random.pick([0, 1, 2, 255])),
    Uint8Array.from(nan),
    Buffer.concat([
      Uint8Array.of(first < 0x80 ? random.pick([0, 0, 0xff]) : random.pick([0xff, 0xff, 0])),
      payload,
    ]),
    Buffer.from(random.pick(dates), 'hex'),
  ]
  return Buffer.concat([Uint8Array.of(type), spellings[type] ?? payload])
}

const makers: readonly ((random: Random) => TypedValue)[] = [
  (random) => ({ type: 'bytes', value: random.bytes(random.below(40)) }),
  (random) => ({ type: 'string', value: makeText(random) }),
  (random) => ({ type: 'json', value: makeJson(random, 3) }),
  (random) => ({ type: 'boolean', value: random.chance(0.5) }),
  (random) => ({
    type: 'number',
    value: random.pick([0, -0, Number.NaN, Infinity, 5e-324, Number.MAX_VALUE, random.u32() / 7]),
  }),
  (random) => ({ type: 'bigint', value: makeBigint(random) }),
  (random) => ({
    type: 'date',
    value: new Date(random.pick([0, -1, 8.64e15, -8.64e15, random.u32() * 1000])),
  }),
]

function makeBigint(random: Random): bigint {
  const near = 2n ** BigInt(random.pick([7, 15, 63, random.below(80)])) + BigInt(random.below(3) - 1)
  return random.chance(0.5) ? near : -near
}

const alphabet = ['a', 'b', 'id', 'ä', '\u{1f511}', '\ufeff', '\uffff', '\u{10000}', '\0', ' ', '"']

function makeText(random: Random, most = 6): string {
  return Array.from({ length: random.below(most) }, () => random.pick(alphabet)).join('')
}

function makeJson(random: Random, depth: number): unknown {
  const leaf = random.pick([null, true, 1.5, -0, 1e21, makeText(random)])
  if (depth === 0 || random.chance(0.4)) return leaf
  if (random.chance(0.5)) return [makeJson(random, depth - 1), makeJson(random, depth - 1)]
  return { [makeText(random)]: makeJson(random, depth - 1), b: leaf }
}

type Pair = readonly [string, string]

function makePairs(random: Random): Pair[] {
  const count = random.pick([0, 1, 2, 3, 5, random.chance(0.2) ? 63 + random.below(3) : 4])
  const pairs = Array.from({ length: count }, (_, i): Pair => {
    const key = random.chance(0.03) ? '' : `${makeText(random)}${random.chance(0.9) ? `k${i}` : 'k'}`
    return [random.chance(0.02) ? `${key}\ud800` : key, random.chance(0.02) ? '\udc00' : makeText(random)]
  })
  if (pairs.length === 0 || random.chance(0.9)) return pairs
  // Around the limit of 8,192 canonical bytes.
  const length = Math.max(0, 8192 - canonicalLength(pairs) + random.below(5) - 2)
  const [key, last] = pairs[0] ?? ['', '']
  pairs[0] = [key, last + 'x'.repeat(length)]
  return pairs
}

function hasRepeatedKey(pairs: readonly Pair[]): boolean {
  return new Set(pairs.map(([key]) => key)).size < pairs.length
}

const canonicalLength = (pairs: readonly Pair[]) =>
  pairs.flat().reduce((sum, text) => sum + 2 + Buffer.byteLength(text), 2)

/** SPEC §4. Two faults at once: the syntax comes first, whatever its place. */
function modelOfContext(pairs: readonly Pair[]): End {
  if (pairs.length > 64) return refused('pairs', 'bad_context')
  if (pairs.some(([key]) => key === '')) return refused('empty key', 'bad_context')
  if (pairs.flat().some((text) => !text.isWellFormed())) return refused('lone surrogate', 'bad_context')
  if (hasRepeatedKey(pairs)) return refused('key twice', 'bad_context')
  if (canonicalLength(pairs) > 8192) return refused('bytes', 'limit_exceeded', true)
  const encoded = pairs
    .map(([key, text]) => [Buffer.from(key), Buffer.from(text)] as const)
    .toSorted(([a], [b]) => Buffer.compare(a, b))
  const parts = encoded.flat().flatMap((bytes) => [Uint8Array.of(bytes.length >> 8, bytes.length), bytes])
  return opened(Buffer.concat([Uint8Array.of(0, pairs.length), ...parts]))
}
