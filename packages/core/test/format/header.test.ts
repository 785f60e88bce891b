import { describe, expect, test } from 'vitest'

import { concat, lp16, u16, u8 } from '../../src/bytes.ts'
import {
  decodeHeader,
  decodeStanza,
  encodeAuthenticated,
  encodeStanza,
  measureHeader,
} from '../../src/format/header.ts'
import type { Stanza, SuiteIds } from '../../src/format/header.ts'
import { refusalOf, syncCodeOf } from '../refusals.ts'
import { filled, unknownStanza } from '../samples.ts'

/** One known suite, of the shortest stanzas there can be. */
const lengthOf = ({ kemId }: SuiteIds) => (kemId === 1 ? 30 : undefined)
const known = (id: number, payload = 8): Stanza => ({ ...unknownStanza(id, payload), kemId: 1 })
const keyId = filled(0xaa, 16)
const mac = filled(0xbb, 32)
const headerOf = (...stanzas: readonly Stanza[]) => concat(encodeAuthenticated(keyId, stanzas), mac)
const decode = (bytes: Uint8Array) => decodeHeader(bytes, lengthOf)
const codeOfHeader = (bytes: Uint8Array) => syncCodeOf(() => decode(bytes))

test('a header comes back as it was written, stanzas in their order', () => {
  const stanzas = [unknownStanza(3), known(1), unknownStanza(2, 0)]
  const bytes = headerOf(...stanzas)
  const header = decode(concat(bytes, filled(7, 5)))
  expect(header.keyId).toEqual(keyId)
  expect(header.stanzas).toEqual(stanzas)
  expect(header.mac).toEqual(mac)
  expect(header.length).toBe(bytes.length)
  expect(concat(header.authenticated, header.mac)).toEqual(bytes)
})

test('a stanza is three ids, a recipient id and a payload', () => {
  const stanza = { kemId: 0x647a, kdfId: 1, aeadId: 2, recipientId: filled(9, 16), payload: filled(8, 3) }
  const bytes = encodeStanza(stanza)
  expect(bytes).toEqual(concat(u16(0x647a), u16(1), u16(2), filled(9, 16), filled(8, 3)))
  expect(decodeStanza(bytes, lengthOf)).toEqual(stanza)
})

describe('every header that is cut short is malformed', () => {
  const bytes = headerOf(known(1), unknownStanza(2))
  test.each(Array.from({ length: bytes.length }, (_, length) => length))('at %d bytes', async (length) => {
    const { code, message } = await refusalOf(() => decode(bytes.subarray(0, length)))
    expect([code, message]).toEqual(['malformed', expect.stringContaining('cut short')])
  })
})

describe('the length of a header that is still arriving', () => {
  const bytes = headerOf(known(1), unknownStanza(2), unknownStanza(3, 0))
  // It is known with the two bytes that say how long the last stanza is.
  const knownAt = bytes.length - 32 - 22

  test('is known as soon as it can be, and the same ever after', () => {
    const long = concat(bytes, filled(7, 100))
    const answers = Array.from({ length: long.length + 1 }, (_, n) => measureHeader(long.subarray(0, n)))
    expect(answers).toEqual(answers.map((_, n) => (n < knownAt ? undefined : bytes.length)))
  })

  test.each([0, 33, 255])('a count of %d is refused as soon as it is there', async (count) => {
    expect(measureHeader(keyId)).toBeUndefined()
    const { code, message } = await refusalOf(() => measureHeader(concat(keyId, u8(count))))
    expect([code, message]).toEqual(['malformed', expect.stringContaining(`${count} stanzas`)])
  })

  test('so is a length of more than 65,536 bytes', async () => {
    const claiming = (length: number) => concat(keyId, u8(1), u16(length - 17 - 2 - 32))
    expect(measureHeader(claiming(65_536))).toBe(65_536)
    const { code, message } = await refusalOf(() => measureHeader(claiming(65_537)))
    expect([code, message]).toEqual(['malformed', expect.stringContaining('65537 bytes')])
  })
})

describe('counts', () => {
  const stanzas = Array.from({ length: 33 }, (_, i) => unknownStanza(i))

  test.each([1, 2, 32])('%d stanzas are allowed', (count) => {
    expect(decode(headerOf(...stanzas.slice(0, count))).stanzas).toHaveLength(count)
  })

  test.each([0, 33])('%d stanzas are not', (count) => {
    expect(codeOfHeader(headerOf(...stanzas.slice(0, count)))).toBe('malformed')
  })

  test.each([34, 128, 255])('a count of %d is refused for itself', async (count) => {
    const bytes = concat(keyId, u8(count), filled(0, 70_000))
    expect((await refusalOf(() => decode(bytes))).message).toContain(`${count} stanzas`)
  })
})

describe('stanzas', () => {
  test('of fewer than 22 bytes are malformed, of 22 they are a stanza of an unknown suite', () => {
    for (let length = 0; length < 22; length++) {
      expect(codeOfHeader(concat(keyId, u8(1), lp16(filled(0x77, length)), mac))).toBe('malformed')
    }
    const shortest = decode(concat(keyId, u8(1), lp16(filled(0x77, 22)), mac)).stanzas[0]
    expect(shortest?.payload).toHaveLength(0)
  })

  test('of a known suite have its length, one byte more or less is malformed', () => {
    expect(decode(headerOf(known(1, 8))).stanzas).toHaveLength(1)
    for (const payload of [0, 7, 9, 100]) expect(codeOfHeader(headerOf(known(1, payload)))).toBe('malformed')
    // Also behind one of an unknown suite, and when it is nobody's.
    expect(codeOfHeader(headerOf(unknownStanza(2), known(1, 7)))).toBe('malformed')
  })

  test('that name a recipient twice are malformed, whatever their suites', () => {
    expect(codeOfHeader(headerOf(known(1), known(1)))).toBe('malformed')
    expect(codeOfHeader(headerOf(unknownStanza(1), known(2), unknownStanza(1, 50)))).toBe('malformed')
    expect(codeOfHeader(headerOf(unknownStanza(1), known(1)))).toBe('malformed')
  })
})

describe('length', () => {
  // Key id, count and MAC take 49 bytes, each stanza 24 and its payload.
  const filling = (length: number) => [unknownStanza(1, 30_000), unknownStanza(2, length - 49 - 48 - 30_000)]

  test('65,536 bytes are allowed, 65,537 are malformed', () => {
    const largest = headerOf(...filling(65_536))
    expect(largest).toHaveLength(65_536)
    expect(decode(largest).length).toBe(65_536)
    expect(codeOfHeader(headerOf(...filling(65_537)))).toBe('malformed')
  })

  test('a stanza may claim more than is there', () => {
    const bytes = headerOf(unknownStanza(1))
    expect(codeOfHeader(concat(bytes.subarray(0, 17), u16(0xffff), bytes.subarray(19)))).toBe('malformed')
  })
})
