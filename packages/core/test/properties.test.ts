/** What holds for every input: round trips, and that nothing but a LongholdError is ever thrown at bad bytes. */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { concat, equalBytes, utf8 } from '../src/bytes.ts'
import {
  LongholdError,
  attach,
  canonicalContext,
  decrypt,
  detach,
  encrypt,
  fromText,
  inspect,
  keyIdOf,
  parseIdentity,
  parseRecipient,
  parseStanza,
  rewrap,
  toText,
  unwrapDataKey,
  wrapDataKey,
} from '../src/index.ts'
import type { ContextInput } from '../src/index.ts'
import { describeBackends } from './backends.ts'
import { openers } from './openers.ts'
import { context, dataKeyOf, identityOf, patterned } from './samples.ts'

const [anna, ben] = [identityOf(1), identityOf(2)]
const dataKey = dataKeyOf(4)
const identities = [anna]
const recipients = [anna.recipient, ben.recipient]

const pair = fc.tuple(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
)
const contexts = fc.uniqueArray(pair, { selector: ([key]) => key, maxLength: 8 })
const plaintexts = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom(0, 1, 16_383, 16_384, 16_385, 32_768, 40_000).map(patterned),
)
/** The same pairs in another order, or as an object: another spelling of one context. */
const respelt = (pairs: readonly (readonly [string, string])[], seed: number): ContextInput =>
  seed % 2 === 0 ? Object.fromEntries(pairs) : pairs.toReversed()

const runs = (numRuns: number) => ({ numRuns })

describeBackends((name) => {
  test('records come back under any spelling of their context, and under no other', () => {
    fc.assert(
      fc.property(plaintexts, contexts, contexts, fc.nat(), (plaintext, pairs, others, seed) => {
        const record = dataKey.encrypt(plaintext, { recordContext: pairs })
        const opened = dataKey.decrypt(record, { recordContext: respelt(pairs, seed) })
        expect(Buffer.compare(opened, plaintext)).toBe(0)
        fc.pre(!equalBytes(canonicalContext(others), canonicalContext(pairs)))
        expect(() => dataKey.decrypt(record, { recordContext: others })).toThrow(
          expect.objectContaining({ code: 'cannot_open' }),
        )
      }),
      runs(name === 'native' ? 500 : 100),
    )
  })

  test('envelopes and wrapped keys come back, by way of text, detach, attach and rewrap', async () => {
    await fc.assert(
      fc.asyncProperty(plaintexts, contexts, fc.nat(), async (plaintext, pairs, seed) => {
        const respelled = respelt(pairs, seed)
        const envelope = await encrypt(plaintext, { recipients, context: pairs, dataKey })
        const carried = attach(detach(fromText(toText(envelope))))
        const renewed = await rewrap(carried, {
          identities,
          recipients: [ben.recipient],
          keyContext: respelled,
        })
        const opened = await decrypt(renewed, { identities: [ben], context: respelled })
        expect(Buffer.compare(opened, plaintext)).toBe(0)
        const wrapped = await wrapDataKey(dataKey, { recipients, keyContext: respelled })
        const key = await unwrapDataKey(wrapped, { identities, keyContext: pairs })
        expect(key.keyId).toEqual(dataKey.keyId)
        expect(inspect(renewed).plaintextBytes).toBe(plaintext.length)
      }),
      runs(60),
    )
  })
})

const envelope = await encrypt(patterned(300), { recipients, context, dataKey })
const containers = { envelope, ...detach(envelope) }
const open = openers({ dataKey, identities, context })
const valid = fc.constantFrom(containers.envelope, containers.wrappedKey, containers.record)

/** A change no flip of one bit makes: bytes put in, taken out, overwritten, repeated. */
const cut = fc.tuple(fc.nat(), fc.nat({ max: 64 }), fc.uint8Array({ maxLength: 64 }))
function mutated(bytes: Uint8Array, cuts: readonly (readonly [number, number, Uint8Array])[]): Uint8Array {
  return cuts.reduce((current, [position, removed, added]) => {
    const at = position % (current.length + 1)
    return concat(current.subarray(0, at), added, current.subarray(at + removed))
  }, bytes)
}
/** Changes near the front, where the structure is. */
const frontCut = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 4 }), fc.uint8Array({ maxLength: 4 }))
const cuts = fc.oneof(
  fc.array(cut, { minLength: 1, maxLength: 3 }),
  fc.array(frontCut, { minLength: 1, maxLength: 3 }),
)
const strange = fc.oneof(
  fc.tuple(valid, cuts).map(([bytes, changes]) => mutated(bytes, changes)),
  fc
    .tuple(fc.constantFrom('LHE\u0001', 'LHK\u0001', 'LHR\u0001'), fc.uint8Array({ maxLength: 400 }))
    .map(([magic, bytes]) => concat(utf8(magic), bytes)),
  fc.uint8Array({ maxLength: 100 }),
)
const isOurs = (bytes: Uint8Array) => Object.values(containers).some((ours) => equalBytes(ours, bytes))

/** `undefined` when `run` returned. */
async function refused(run: () => unknown): Promise<LongholdError | undefined> {
  try {
    await run()
    return undefined
  } catch (error) {
    if (error instanceof LongholdError) return error
    throw error
  }
}

describeBackends(() => {
  test('bytes that are no container of ours never open, and are refused as LongholdErrors', async () => {
    await fc.assert(
      fc.asyncProperty(strange, async (bytes) => {
        fc.pre(!isOurs(bytes))
        const outcomes = [
          await refused(() => open.envelope(bytes)),
          await refused(() => open['wrapped key'](bytes)),
          await refused(() => open.record(bytes)),
          // Rewrapping looks at no body: a bad one is found by whoever opens the result.
          await refused(async () =>
            decrypt(await rewrap(bytes, { identities, recipients, keyContext: context }), {
              identities,
              context,
            }),
          ),
        ]
        for (const error of outcomes) {
          expect(error?.code).toMatch(/^(?:malformed|unsupported|not_a_recipient|cannot_open)$/)
        }
      }),
      runs(1500),
    )
  })

  test('nor does looking at them, or taking them apart, throw anything else', async () => {
    await fc.assert(
      fc.asyncProperty(strange, strange, async (bytes, others) => {
        for (const look of [
          () => inspect(bytes),
          () => keyIdOf(bytes),
          () => detach(bytes),
          () => parseStanza(bytes),
          () => attach({ wrappedKey: bytes, record: others }),
          () => fromText(toText(bytes)),
        ]) {
          const outcome = (await refused(look))?.code ?? 'accepted'
          expect(outcome).toMatch(/^(?:accepted|malformed|unsupported|bad_input)$/)
        }
      }),
      runs(1500),
    )
  })

  test('what detach and attach accept comes back to the byte', async () => {
    await fc.assert(
      fc.asyncProperty(strange, async (bytes) => {
        let parts
        try {
          parts = detach(bytes)
        } catch {
          return
        }
        expect(attach(parts)).toEqual(bytes)
        expect(keyIdOf(parts.record)).toEqual(keyIdOf(bytes))
      }),
      runs(1000),
    )
  })

  test('texts that are no key of ours are refused as LongholdErrors', async () => {
    const texts = [anna.exportText(), anna.recipient.toString()] as const
    const spoilt = fc
      .tuple(fc.constantFrom(...texts), fc.nat(), fc.nat({ max: 3 }), fc.string({ maxLength: 3 }))
      .map(([text, position, removed, added]) => {
        const at = position % text.length
        return text.slice(0, at) + added + text.slice(at + removed)
      })
    await fc.assert(
      fc.asyncProperty(fc.oneof(spoilt, fc.string({ unit: 'binary' })), async (text) => {
        fc.pre(!texts.includes(text))
        for (const parse of [parseIdentity, parseRecipient]) {
          expect((await refused(() => parse(text)))?.code).toMatch(/^(?:bad_text|unsupported|bad_key)$/)
        }
      }),
      runs(1000),
    )
  })
})
