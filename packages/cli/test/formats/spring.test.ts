import { randomBytes } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { springSettings } from '../../src/formats/built-in-settings.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { Cell, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { springFormat } from '../../src/formats/spring.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { hasJava, javaValues } from '../support/java-values.ts'
import { keySet, makeJwe, oldKey, openNow, otherKey } from '../support/legacy-values.ts'
import { sealSpring as seal } from '../support/seal-spring.ts'

type Given = Parameters<typeof springSettings.parse>[0]

const format = (given: Given = {}) => springFormat(springSettings.parse(given))

function attempt(cell: Cell, given: Given = {}, keys: PrivateKeys = keySet(oldKey)): string {
  const value = format(given).recognize([cell])
  if (value === undefined) return 'not recognised'
  try {
    return `opened ${openNow(value, keys).toString()}`
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

const text = 'a password'

describe('{cipher}', () => {
  test.each([
    ['as Spring does it by default', {}, {}],
    ['strong', { isStrong: true }, { strong: true }],
    ['with OAEP', { isOaep: true }, { algorithm: 'oaep' }],
    ['strong, with OAEP', { isOaep: true, isStrong: true }, { algorithm: 'oaep', strong: true }],
    ['with a salt of text', { salt: Buffer.from('salty!') }, { salt: 'salty!' }],
    ['with a salt of half a byte too much', { salt: Buffer.from('abc') }, { salt: 'abc' }],
    ['with a hexadecimal salt', { salt: Buffer.from('c0ffee', 'hex') }, { salt: 'C0FFEE' }],
  ])('%s', (_, how, given) => {
    for (const plaintext of ['', 'x', text, 'ü'.repeat(500)]) {
      const value = seal(plaintext, how)
      expect(attempt(value, given)).toBe(`opened ${plaintext}`)
      expect(attempt(Buffer.from(value), given)).toBe(`opened ${plaintext}`)
      expect(attempt(value, { ...given, salt: 'another' })).not.toBe(`opened ${plaintext}`)
      expect(attempt(value, given, keySet(otherKey))).not.toBe(`opened ${plaintext}`)
    }
  })

  test.skipIf(!hasJava)('as Java writes it', { timeout: 60_000 }, () => {
    const values = javaValues(text)
    // What LegacyValues.java prints are texts.
    const cell = (name: string) => values.get(name) as string
    expect(attempt(cell('spring'))).toBe(`opened ${text}`)
    expect(attempt(cell('spring-strong'), { strong: true })).toBe(`opened ${text}`)
    expect(attempt(cell('spring-oaep'), { strong: true, algorithm: 'oaep' })).toBe(`opened ${text}`)
  })

  test('says what it is', () => {
    expect(format().recognize([seal(text)])).toMatchObject({
      keyId: undefined,
      wrapping: 'RSA pkcs1',
      body: 'PBKDF2, aes-256-cbc',
      isAuthenticated: false,
    })
    expect(format({ strong: true, algorithm: 'oaep' }).recognize([seal(text)])).toMatchObject({
      wrapping: 'RSA-OAEP sha1',
      body: 'PBKDF2, aes-256-gcm',
      isAuthenticated: true,
    })
  })
})

describe('which key', () => {
  const both = new PrivateKeySet([
    { name: 'a', key: otherKey, keyIds: ['new'] },
    { name: 'b', key: oldKey, keyIds: ['mine'] },
  ])

  test.each([
    ['{key:mine}'],
    ['{secret:changeme}{key:mine}'],
    ['{key:mine}{secret:changeme}'],
    ['{name:app}{key:mine}{x}'],
  ])('by the prefixes %s', (prefix) => {
    const value = seal(text, { prefix, isStrong: true })
    expect(attempt(value, { strong: true }, both)).toBe(`opened ${text}`)
    expect(format().recognize([value])?.keyId).toBe('mine')
    expect(JSON.stringify(format().recognize([value]))).not.toContain('changeme')
  })

  test('of several is tried only where a wrong one shows', () => {
    expect(attempt(seal(text), {}, keySet(otherKey, oldKey))).toBe('unauthenticated')
    expect(attempt(seal(text, { isStrong: true }), { strong: true }, keySet(otherKey, oldKey))).toBe(
      `opened ${text}`,
    )
    expect(attempt(seal(text, { prefix: '{key:new}' }), {}, both)).not.toMatch(/^opened a password/)
    expect(attempt(seal(text), {}, both)).toBe('no_private_key')
  })
})

describe('bad input', () => {
  test('a secret of another length', () => {
    for (const secretBytes of [0, 15, 17, 32])
      expect(attempt(seal(text, { secretBytes, isOaep: true }), { algorithm: 'oaep' })).toBe('cannot_open')
  })

  test('every byte of a strong value counts', () => {
    const bytes = Buffer.from(seal(text, { isStrong: true, isOaep: true }).slice(8), 'base64')
    for (let at = 0; at < bytes.length; at += 3) {
      const altered = Buffer.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ 0x20
      const cell = `{cipher}${altered.toString('base64')}`
      expect(attempt(cell, { strong: true, algorithm: 'oaep' }), `byte ${at}`).toMatch(
        /^(?:cannot_open|malformed)$/,
      )
    }
  })

  test.each([
    ['nothing', '{cipher}', 'malformed'],
    ['no base64', '{cipher}!!!', 'malformed'],
    ['a cut one', seal(text).slice(0, 200), 'malformed'],
    [
      'no whole block',
      `{cipher}${Buffer.from(seal(text).slice(8), 'base64').subarray(0, -1).toString('base64')}`,
      'malformed',
    ],
    ['a symmetric key', `{cipher}${randomBytes(48).toString('hex')}`, 'unsupported'],
    ['plain text', 'a password', 'not recognised'],
    ['another prefix', '{bcrypt}$2a$10$abc', 'not recognised'],
    ['JSON', '{"cipher":"x"}', 'not recognised'],
    ['nothing at all', null, 'not recognised'],
  ])('%s', (_, cell, outcome) => {
    expect(attempt(cell)).toBe(outcome)
  })

  test('a JWE is not taken for it', async () => {
    expect(attempt(await makeJwe('x'))).toBe('not recognised')
  })
})
