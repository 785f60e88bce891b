/** The second suite in what opens nothing: taking apart, putting together, sizes. */

import { describe, expect, test } from 'vitest'

import {
  attach,
  ciphertextSize,
  decrypt,
  defaultSuite,
  detach,
  encrypt,
  encryptStream,
  generateIdentity,
  plaintextSize,
} from '../../src/index.ts'
import { mlKem1024P384Suite } from '../../src/keys/suite-mlkem1024-p384.ts'
import { syncCodeOf } from '../refusals.ts'
import { patterned } from '../samples.ts'

const suites = [defaultSuite, mlKem1024P384Suite]
const second = [mlKem1024P384Suite]
const [first, other] = [generateIdentity(), generateIdentity({ suite: mlKem1024P384Suite })]
const plaintext = patterned(40_000)
const context = { id: '1' }

const envelopeFor = async (...identities: (typeof first)[]) =>
  await encrypt(plaintext, { recipients: identities.map(({ recipient }) => recipient), context, suites })

describe('detach and attach', () => {
  test('take apart and put together what is for both suites', async () => {
    const envelope = await envelopeFor(other, first)
    const parts = detach(envelope, { suites })
    expect(parts.wrappedKey).toHaveLength(4 + 16 + 1 + 2 + 1735 + 2 + 1190 + 32)
    const whole = attach(parts, { suites })
    expect(whole).toEqual(envelope)
    expect(await decrypt(whole, { identities: [other], context, suites })).toEqual(plaintext)
  })

  test('refuse a stanza of the second suite that has another length, when they know that suite', async () => {
    const envelope = await envelopeFor(other)
    // One byte of the wrapped data key less: a length that no reader of the suite accepts.
    const cut = new Uint8Array([...envelope.subarray(0, 23 + 1734), ...envelope.subarray(23 + 1735)])
    new DataView(cut.buffer).setUint16(21, 1734)
    expect(syncCodeOf(() => detach(cut, { suites }))).toBe('malformed')
    const { wrappedKey, record } = detach(cut) // to whom it is a suite to come
    expect(syncCodeOf(() => attach({ wrappedKey, record }, { suites: second }))).toBe('malformed')
    expect(attach({ wrappedKey, record })).toEqual(cut)
  })

  test('refuse suites that are none, and options they do not have', async () => {
    const envelope = await envelopeFor(first)
    const parts = detach(envelope)
    expect(syncCodeOf(() => detach(envelope, { suites: [] }))).toBe('bad_input')
    expect(syncCodeOf(() => attach(parts, { suites: [] }))).toBe('bad_input')
    expect(syncCodeOf(() => detach(envelope, { suite: suites } as object))).toBe('bad_input')
    expect(syncCodeOf(() => attach(parts, { suite: suites } as object))).toBe('bad_input')
  })
})

describe('sizes', () => {
  test.each([
    ['one of the second', [other]],
    ['both', [first, other]],
    ['three', [other, first, generateIdentity({ suite: mlKem1024P384Suite })]],
  ])('are those of what is for %s', async (_, identities) => {
    const envelope = await envelopeFor(...identities)
    expect(ciphertextSize(plaintext.length, { recipients: identities, suites })).toBe(envelope.length)
    const recipients = identities.map(({ recipient }) => recipient)
    expect(plaintextSize(envelope.length, { recipients, suites })).toBe(plaintext.length)
    const streamed = new Blob([new Uint8Array(plaintext)])
      .stream()
      .pipeThrough(encryptStream({ recipients, context, suites }))
    expect(await new Response(streamed).bytes()).toHaveLength(envelope.length)
  })

  test('of a number of recipients are those of the first suite', () => {
    expect(ciphertextSize(0, { suites: second })).toBe(1786 + 4 + 72)
    expect(ciphertextSize(0, { suites })).toBe(1317)
    expect(ciphertextSize(0, { recipients: 2, suites: second })).toBe(1786 + 1737 + 4 + 72)
    expect(ciphertextSize(5, { recipients: 0, suites: second })).toBe(97)
    expect(plaintextSize(1786 + 4 + 72 + 9, { suites: second })).toBe(9)
  })

  test('are those of the default suite without any', () => {
    expect(ciphertextSize(0, { recipients: [first] })).toBe(ciphertextSize(0))
    expect(ciphertextSize(0, { recipients: 32 })).toBe(
      ciphertextSize(0, { recipients: Array.from({ length: 32 }, () => first) }),
    )
  })

  test.each([
    ['of a suite that is not known', { recipients: [other] }, 'unsupported'],
    [
      'of the default suite where it is not among them',
      { recipients: [first], suites: second },
      'unsupported',
    ],
    ['in an empty list', { recipients: [] }, 'bad_input'],
    ['more than 32', { recipients: Array.from({ length: 33 }, () => first) }, 'bad_input'],
    ['that are none', { recipients: [{}] }, 'bad_input'],
    ['nothing', { recipients: [null] }, 'bad_input'],
    ['null', { recipients: null }, 'bad_input'],
    ['a text', { recipients: 'all' }, 'bad_input'],
    ['of no suite', { suites: [] }, 'bad_input'],
  ])('for recipients %s are refused', (_, options, code) => {
    expect(syncCodeOf(() => ciphertextSize(1, options as object))).toBe(code)
    expect(syncCodeOf(() => plaintextSize(5000, options as object))).toBe(code)
  })
})
