/** Some seconds of fuzzing with a fixed seed, the corpus, and that the fuzzer finds what is wrong. */

import { afterAll, describe, expect, test } from 'vitest'

import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import { digestOf, inputOf, readCorpus } from './corpus.ts'
import { newTally, openFuzzer, targets } from './fuzz.ts'
import { openLab } from './lab.ts'
import { modelOfHeader } from './model.ts'
import { Random } from './random.ts'
import type { Target } from './trial.ts'

afterAll(() => testingUseBackend('chosen'))

test('twelve thousand inputs end where the model says, most of them past the framing', async () => {
  const tally = newTally()
  await openFuzzer({ nobleShare: 0.01 }).run(1, 0, 12_000, tally)
  expect(tally.executions).toBe(12_000)
  expect(tally.framed / tally.executions).toBeGreaterThan(0.5)
  expect(tally.onNoble).toBeGreaterThan(50)
  const met = new Set([...tally.ends.keys()].map((end) => end.split(' | ')[0]))
  expect(met).toEqual(new Set(targets.map(({ name }) => name)))
  const codes = new Set([...tally.ends.keys()].map((end) => end.split(' | ')[2]))
  const refusals =
    'bad_context bad_key bad_text bad_value cannot_open limit_exceeded malformed not_a_recipient unsupported'
  expect(codes).toEqual(new Set(['opened', ...refusals.split(' ')]))
})

test('every step of SPEC §5.3 refuses some of a few thousand wrapped keys', async () => {
  const tally = newTally()
  await openFuzzer({ nobleShare: 0 }).run(2, 0, 8000, tally)
  const steps = [...tally.ends.keys()].map((end) => / \| (\d) /.exec(end)?.[1] ?? '')
  expect(new Set(steps)).toEqual(new Set(['', '1', '2', '3', '4', '5', '6', '7', '8', '9']))
})

describe('corpus', () => {
  const entries = readCorpus()
  const fuzzer = openFuzzer({ nobleShare: 0 })

  test('there is one', () => expect(entries.length).toBeGreaterThan(90))

  test.each(entries.map((entry) => [`${entry.target}, ${entry.step}`, entry] as const))(
    '%s',
    async (_, entry) => {
      const target = targets.find(({ name }) => name === entry.target)
      if (target === undefined) throw new Error(`no target ${entry.target}`)
      for (const backend of ['native', 'noble'] as const) {
        const outcome = await fuzzer.execute(target, inputOf(entry), backend)
        expect([outcome.code, digestOf(outcome)], backend).toEqual([entry.code, entry.output])
      }
    },
  )
})

describe('what the fuzzer finds', () => {
  const input = { bytes: Uint8Array.of(1, 2, 3), args: {} }
  const answering = (run: Target['run']): Target => ({
    name: 'broken',
    weight: 1,
    make: () => ({ input, expected: { step: '1 magic', framed: false, code: 'malformed' } }),
    run,
  })
  const fuzz = (run: Target['run']) =>
    openFuzzer({ nobleShare: 1, only: [answering(run)] }).run(1, 0, 1, newTally())

  test('another code', async () => {
    await expect(fuzz(() => ({ code: 'cannot_open' }))).rejects.toThrow(
      /cannot_open instead of malformed.*010203/s,
    )
  })

  test('a success that should not be', async () => {
    const run = () => ({ code: 'opened', output: new Uint8Array(1) }) as const
    await expect(fuzz(run)).rejects.toThrow(/opened instead of malformed/)
  })

  test('another content', async () => {
    await expect(fuzz(() => ({ code: 'malformed', output: new Uint8Array(1) }))).rejects.toThrow(
      /another content/,
    )
  })

  test('an error that is no LongholdError', async () => {
    const run = () => {
      throw new TypeError('on purpose')
    }
    await expect(fuzz(run)).rejects.toThrow(/neither a result nor a LongholdError: TypeError: on purpose/)
  })

  test('backends that differ', async () => {
    const run: Target['run'] = (_, { backend }) => ({ code: backend === 'noble' ? 'bad_key' : 'malformed' })
    await expect(fuzz(run)).rejects.toThrow(/bad_key instead of malformed.*on noble/)
  })
})

test('the same seed gives the same inputs', async () => {
  const inputs = async () => {
    const seen: string[] = []
    const keep = (end: string, _: Target, { bytes }: { bytes: Uint8Array }) =>
      void seen.push(`${end} ${Buffer.from(bytes).toString('base64')}`)
    await openFuzzer({ nobleShare: 0, keep }).run(9, 100, 60, newTally())
    return seen
  }
  expect(await inputs()).toEqual(await inputs())
})

test('the model itself: a stanza opens under its own context and key id alone', () => {
  const lab = openLab()
  const trial = targets.find(({ name }) => name === 'wrapped key')
  const random = new Random(3)
  const opened = Array.from({ length: 200 }, () => trial?.make(random, lab)).find(
    (made) => made?.expected.code === 'opened',
  )
  if (opened === undefined) throw new Error('none of two hundred opens')
  const { bytes, args } = opened.input
  const reading = { reader: args['reader'] ?? 0, context: args['context'] ?? 0, suites: args['suites'] ?? 0 }
  expect(modelOfHeader(bytes, 'K', reading, lab).code).toBe('opened')
  const elsewhere = { ...reading, context: (reading.context + 1) % 3 }
  expect(modelOfHeader(bytes, 'K', elsewhere, lab).code).toBe('cannot_open')
  expect(modelOfHeader(bytes, 'E', reading, lab).code).toBe('malformed')
})
