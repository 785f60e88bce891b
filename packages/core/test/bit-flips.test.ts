/**
 * Every bit of a wrapped key, a record and an envelope changed, one at a time: each is refused, and as the kind that
 * SPEC §5.3 gives to the place it stands in.
 */

import { afterAll, expect, test } from 'vitest'

import type { ErrorCode } from '../src/errors.ts'
import { describeBackends } from './backends.ts'
import { fixedEnvelope, fixedRecord, fixedWrappedKey } from './fixed.ts'
import { openers } from './openers.ts'
import type { Opener } from './openers.ts'
import { refusalOf } from './refusals.ts'
import { context, dataKeyOf, flip, identityOf, patterned } from './samples.ts'

/** What stands there, how many bytes it takes, and how a change of it is refused. */
type Part = readonly [name: string, bytes: number, code: ErrorCode]

const prefix: readonly Part[] = [
  ['magic', 3, 'malformed'],
  ['version', 1, 'unsupported'],
]
const start: readonly Part[] = [...prefix, ['key id', 16, 'cannot_open'], ['stanza count', 1, 'malformed']]
const stanza = (ids: ErrorCode, recipientId: ErrorCode): readonly Part[] => [
  ['stanza length', 2, 'malformed'],
  ['suite ids', 6, ids],
  ['recipient id', 16, recipientId],
  ['encapsulated key', 1120, 'cannot_open'],
  ['wrapped data key', 48, 'cannot_open'],
]
/** Another recipient's stanza, which the reader does not open: the MAC finds out. */
const foreignStanza = stanza('cannot_open', 'cannot_open')
const rest = (name: string, bytes: number): Part => [name, bytes, 'cannot_open']

const [anna, ben] = [identityOf(1), identityOf(2)]
const dataKey = dataKeyOf(3)
const toOne = { dataKey, identities: [anna], context }
const toTwo = { dataKey, identities: [anna, ben], context }
const openFor = (...identities: (typeof anna)[]) => openers({ dataKey, identities, context })

interface Subject {
  readonly bytes: Uint8Array
  readonly parts: readonly Part[]
  readonly open: Opener
  /** Every bit natively; on noble, where a chunk takes a hundred times as long, one bit in so many. */
  readonly nobleStep?: number
}

const record = (length: number): Subject => {
  const bytes = fixedRecord(toOne, patterned(length))
  return { bytes, parts: [...prefix, rest('key id and body', bytes.length - 4)], open: openFor(anna).record }
}
const wrappedForTwo = await fixedWrappedKey(toTwo)
const envelope = await fixedEnvelope(toOne, patterned(5))

const subjects: Readonly<Record<string, Subject>> = {
  'wrapped key': {
    bytes: await fixedWrappedKey(toOne),
    parts: [...start, ...stanza('unsupported', 'not_a_recipient'), rest('MAC', 32)],
    open: openFor(anna)['wrapped key'],
  },
  'wrapped key for two, read by the first': {
    bytes: wrappedForTwo,
    parts: [...start, ...stanza('not_a_recipient', 'not_a_recipient'), ...foreignStanza, rest('MAC', 32)],
    open: openFor(anna)['wrapped key'],
  },
  'wrapped key for two, read by the second': {
    bytes: wrappedForTwo,
    parts: [...start, ...foreignStanza, ...stanza('not_a_recipient', 'not_a_recipient'), rest('MAC', 32)],
    open: openFor(ben)['wrapped key'],
  },
  'empty record': record(0),
  'small record': record(60),
  'record of two chunks': { ...record(16_384 + 10), nobleStep: 17 },
  envelope: {
    bytes: envelope,
    parts: [
      ...start,
      ...stanza('unsupported', 'not_a_recipient'),
      rest('MAC and body', envelope.length - 4 - 17 - 1192),
    ],
    open: openFor(anna).envelope,
  },
}

/** For each bit of the parts the code it must be refused with. */
function expectedCodes(parts: readonly Part[]): ErrorCode[] {
  return parts.flatMap(([, bytes, code]) => Array<ErrorCode>(bytes * 8).fill(code))
}

const refused = new Map<string, number>()

describeBackends((backendName) => {
  test.each(Object.entries(subjects))(
    '%s: every bit',
    async (name, { bytes, parts, open, nobleStep = 1 }) => {
      const expected = expectedCodes(parts)
      expect(expected).toHaveLength(bytes.length * 8)
      await open(bytes) // unchanged, it opens

      const step = backendName === 'noble' ? nobleStep : 1
      const altered = new Uint8Array(bytes)
      const wrong: string[] = []
      const texts = new Set<string>()
      let count = 0
      for (let bit = 0; bit < expected.length; bit += step) {
        flip(altered, bit)
        const { code, message, hint, cause } = await refusalOf(() => open(altered))
        flip(altered, bit)
        if (code !== expected[bit]) wrong.push(`bit ${bit}: ${code} instead of ${expected[bit]}`)
        if (code === 'cannot_open') texts.add(JSON.stringify([message, hint, cause]))
        count++
      }
      expect(wrong).toEqual([])
      expect(count).toBe(Math.ceil((bytes.length * 8) / step))
      expect(texts.size).toBe(1)
      refused.set(`${name} (${backendName})`, count)
    },
  )
})

afterAll(() => {
  const counts = [...refused].map(([name, count]) => `${name} ${count}`)
  // oxlint-disable-next-line no-console -- the number is what a reader of the run wants to see
  console.log(`bit flips refused: ${counts.join(', ')}`)
})
