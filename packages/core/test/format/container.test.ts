import { describe, expect, test } from 'vitest'

import { concat, utf8 } from '../../src/bytes.ts'
import { detach, encrypt, inspect, keyIdOf } from '../../src/index.ts'
import { openers } from '../openers.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import {
  changed,
  context,
  dataKeyOf,
  identityOf,
  patterned,
  unknownStanza,
  wrappedKeyOf,
} from '../samples.ts'

const dataKey = dataKeyOf(5)
const recipients = [identityOf(1).recipient, identityOf(2).recipient]
const envelope = await encrypt(patterned(20), { recipients, context, dataKey })
const { wrappedKey, record } = detach(envelope)
const containers = { 'wrapped key': wrappedKey, record, envelope }
const kinds = Object.keys(containers) as (keyof typeof containers)[] // its keys are these
const open = openers({ dataKey, identities: [identityOf(1)], context })

describe.each(kinds)('a %s', (kind) => {
  const bytes = containers[kind]

  test('opens, and says what it is', async () => {
    await open[kind](bytes)
    expect(inspect(bytes).kind).toBe(kind)
    expect(keyIdOf(bytes)).toEqual(dataKey.keyId)
  })

  // A body that is cut within its chunks is found out by decrypting; everything shorter is not even one (SPEC §5.3,
  // §6.3). 20 bytes of plaintext stand behind the 72 bytes that the smallest body has.
  const smallest = kind === 'wrapped key' ? bytes.length : bytes.length - 20
  test('is refused at every length it can be cut to', async () => {
    const codes = new Map<number, string>()
    for (let length = 0; length < bytes.length; length++) {
      const code = await codeOf(() => open[kind](bytes.subarray(0, length)))
      codes.set(length, code)
    }
    for (const [length, code] of codes) {
      expect(code, `${length} bytes`).toBe(length < smallest ? 'malformed' : 'cannot_open')
    }
    expect(codes.size).toBe(bytes.length)
  })

  test('with bytes behind its end is refused', async () => {
    const code = kind === 'wrapped key' ? 'malformed' : 'cannot_open'
    for (const extra of [1, 16, 32, 1192, 16_400]) {
      expect(await codeOf(() => open[kind](concat(bytes, patterned(extra)))), `${extra}`).toBe(code)
    }
  })

  test('with bytes in front of it is refused', async () => {
    expect(await codeOf(() => open[kind](concat(new Uint8Array(1), bytes)))).toBe('malformed')
  })

  test('of any other version is unsupported', async () => {
    for (let version = 0; version < 256; version++) {
      if (version === 1) continue
      const other = changed(bytes, 3, version)
      expect(await codeOf(() => open[kind](other))).toBe('unsupported')
      expect(syncCodeOf(() => inspect(other))).toBe('unsupported')
      expect(syncCodeOf(() => keyIdOf(other))).toBe('unsupported')
    }
    const { code, hint } = await refusalOf(() => open[kind](changed(bytes.subarray(0, 4), 3, 2)))
    expect([code, hint]).toEqual(['unsupported', expect.stringContaining('newer release')])
  })

  test.each(kinds.filter((other) => other !== kind))(
    'does not pass as a %s, which says what it is',
    async (other) => {
      const { code, message } = await refusalOf(() => open[other](bytes))
      expect([code, message]).toEqual(['malformed', `malformed: ${named(kind)}, not ${named(other)}`])
    },
  )

  test('with the magic of another does not open as that', async () => {
    for (const other of kinds.filter((name) => name !== kind)) {
      const disguised = changed(bytes, 0, ...containers[other].subarray(0, 3))
      expect(await codeOf(() => open[other](disguised))).toMatch(/^(?:malformed|cannot_open)$/)
    }
  })
})

test.each(['', 'L', 'LH', 'LHX\u0001', 'lhe\u0001', 'age-encryption.org/v1', '{"protected":"eyJ"}'])(
  '%j is none of the three',
  async (text) => {
    for (const kind of kinds) {
      const { code, message } = await refusalOf(() => open[kind](utf8(text)))
      expect([code, message]).toEqual(['malformed', `malformed: not a longhold ${kind}`])
    }
    expect(syncCodeOf(() => inspect(utf8(text)))).toBe('malformed')
    expect(syncCodeOf(() => keyIdOf(utf8(text)))).toBe('malformed')
  },
)

function named(kind: string): string {
  return kind === 'envelope' ? `an ${kind}` : `a ${kind}`
}

test('keyIdOf looks at 20 bytes and no further', () => {
  for (const kind of kinds) {
    expect(keyIdOf(containers[kind].subarray(0, 20))).toEqual(dataKey.keyId)
    expect(syncCodeOf(() => keyIdOf(containers[kind].subarray(0, 19)))).toBe('malformed')
  }
})

test('an envelope needs a body of 72 bytes behind its header, which may be of 65,536', async () => {
  const header = wrappedKeyOf(dataKey, [
    unknownStanza(1, 30_000),
    unknownStanza(2, 65_536 - 49 - 48 - 30_000),
  ])
  const largest = concat(utf8('LHE\u0001'), header.subarray(4), patterned(72))
  expect(await codeOf(() => open.envelope(largest))).toBe('unsupported')
  expect(await codeOf(() => open.envelope(largest.subarray(0, -1)))).toBe('malformed')
  expect(inspect(largest)).toMatchObject({ headerBytes: 65_536, bodyBytes: 72, plaintextBytes: 0 })
})
