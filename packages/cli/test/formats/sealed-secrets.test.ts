import { randomBytes } from 'node:crypto'

import { AlgorithmSuiteIdentifier } from '@aws-crypto/material-management-node'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import type { SealedSecretsSettings } from '../../src/formats/built-in-settings.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { Cell, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { sealedSecretsFormat } from '../../src/formats/sealed-secrets.ts'
import { awsEncrypt } from '../support/aws-encrypt.ts'
import { keySet, makeJwe, oldKey, openNow, otherKey } from '../support/legacy-values.ts'
import { sealSecret as seal } from '../support/seal-secret.ts'

const columns = ['body', 'namespace', 'name']
const strict: SealedSecretsSettings = {
  scope: 'strict',
  namespace: { column: 'namespace' },
  name: { column: 'name' },
}

function attempt(
  cells: readonly Cell[],
  settings: SealedSecretsSettings | undefined = strict,
  keys: PrivateKeys = keySet(oldKey),
): string {
  const value = sealedSecretsFormat(settings, columns).recognize(cells)
  if (value === undefined) return 'not recognised'
  try {
    return `opened ${openNow(value, keys).toString()}`
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const text = 'hunter2'

describe('single values', () => {
  test.each([
    ['strict', strict, 'shop/db'],
    ['namespace-wide', { scope: 'namespace-wide', namespace: 'shop' }, 'shop'],
    ['cluster-wide', { scope: 'cluster-wide' }, ''],
  ] as const)('of the scope %s', (_, settings, label) => {
    for (const plaintext of ['', 'x', text]) {
      expect(attempt([base64(seal(plaintext, label)), 'shop', 'db'], settings)).toBe(`opened ${plaintext}`)
      expect(attempt([Buffer.from(base64(seal(plaintext, label))), 'shop', 'db'], settings)).toBe(
        `opened ${plaintext}`,
      )
    }
    expect(attempt([base64(seal(text, 'other/db')), 'shop', 'db'], settings)).toBe('cannot_open')
    expect(attempt([base64(seal(text, label)), 'shop', 'db'], settings, keySet(otherKey))).toBe('cannot_open')
    expect(attempt([base64(seal(text, label)), 'shop', 'db'], settings, keySet(otherKey, oldKey))).toBe(
      `opened ${text}`,
    )
    expect(attempt([base64(seal(text, label)), 'shop', 'db'], settings, keySet())).toBe('no_private_key')
  })

  test('belong to one place', () => {
    const sealed = base64(seal(text, 'shop/db'))
    expect(attempt([sealed, 'shop', 'other'])).toBe('cannot_open')
    expect(attempt([sealed, 'other', 'db'])).toBe('cannot_open')
    expect(attempt([sealed, null, 'db'])).toBe('malformed')
    expect(() => sealedSecretsFormat(strict, ['body'])).toThrow(RangeError)
  })

  test('every byte counts', () => {
    const sealed = seal(text, 'shop/db')
    for (let at = 0; at < sealed.length; at += 3) {
      const altered = Buffer.from(sealed)
      altered[at] = (altered[at] ?? 0) ^ 0x04
      expect(attempt([base64(altered), 'shop', 'db'])).not.toMatch(/^opened/)
    }
    for (const length of [2 + 256 + 16 + 6, 2 + 256 + 16])
      expect(attempt([base64(sealed.subarray(0, length)), 'shop', 'db'])).toBe('cannot_open')
  })

  test('neighbours are not taken for one', async () => {
    const wide: SealedSecretsSettings = { scope: 'cluster-wide' }
    for (const cell of [
      '',
      'a text',
      await makeJwe(text),
      (await awsEncrypt(text)).toString('base64'),
      (
        await awsEncrypt(text, { suiteId: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA256 })
      ).toString('base64'),
      base64(randomBytes(400).fill(0, 0, 2)),
      base64(seal(text, '').subarray(0, 200)),
      base64(seal(text, '')).replace(/.$/, '!'),
      null,
      7,
    ]) {
      expect(attempt([cell], wide)).toBe('not recognised')
    }
    // A value alone does not say where it belongs, nor what it is.
    expect(sealedSecretsFormat(undefined, columns).recognize([base64(seal(text, ''))])).toBeUndefined()
  })
})

function manifest(items: Record<string, string>, label: string, more: object = {}) {
  const encryptedData = Object.fromEntries(
    Object.entries(items).map(([name, value]) => [name, base64(seal(value, label))]),
  )
  return {
    apiVersion: 'bitnami.com/v1alpha1',
    kind: 'SealedSecret',
    metadata: { name: 'db', namespace: 'shop', ...more },
    spec: { encryptedData, template: { type: 'Opaque', metadata: { labels: { app: 'shop' } } } },
  }
}

describe('whole manifests', () => {
  const noSettings = (cell: Cell, keys?: PrivateKeys) => {
    const value = sealedSecretsFormat(undefined, ['body']).recognize([cell])
    if (value === undefined) return 'not recognised'
    try {
      return JSON.parse(openNow(value, keys ?? keySet(oldKey)).toString()) as unknown
    } catch (error) {
      if (error instanceof LegacyError) return error.code
      throw error
    }
  }
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { labels: { app: 'shop' }, name: 'db', namespace: 'shop' },
    type: 'Opaque',
    data: { user: base64(Buffer.from('ann')), password: base64(Buffer.from(text)) },
  }
  const items = { user: 'ann', password: text }
  const annotations = (scope: string) => ({ annotations: { [`sealedsecrets.bitnami.com/${scope}`]: 'true' } })

  test.each([
    ['strict', 'shop/db', {}],
    ['namespace-wide', 'shop', annotations('namespace-wide')],
    ['cluster-wide', '', annotations('cluster-wide')],
  ])('of the scope %s become the Secret', (_, label, more) => {
    const made = manifest(items, label, more)
    expect(noSettings(stringify(made))).toEqual(secret)
    expect(noSettings(JSON.stringify(made))).toEqual(secret)
    expect(noSettings(Buffer.from(stringify(made)))).toEqual(secret)
    expect(noSettings(stringify(made), keySet(otherKey))).toBe('cannot_open')
  })

  test('that cannot be read say why', () => {
    const made = manifest(items, 'shop/db')
    const { metadata, spec, ...rest } = made
    expect(noSettings(stringify({ ...rest, metadata }))).toBe('malformed')
    expect(noSettings(stringify({ ...rest, spec, metadata: { name: 'db' } }))).toBe('malformed')
    expect(noSettings(stringify({ ...made, spec: { encryptedData: { a: 7 } } }))).toBe('malformed')
    const rendered = { ...spec, template: { data: { url: '{{ .password }}' } } }
    expect(noSettings(stringify({ ...made, spec: rendered }))).toBe('unsupported')
    expect(noSettings(`${stringify(made)}---\n${stringify(made)}`)).toBe('unsupported')
    expect(noSettings(`${stringify(made)}kind: SealedSecret\n`)).toBe('malformed')
    expect(noSettings(stringify({ ...made, metadata: { ...metadata, name: 'other' } }))).toBe('cannot_open')
  })

  test('of other kinds are not taken for one', () => {
    expect(noSettings(stringify(secret))).toBe('not recognised')
    expect(noSettings('about kind: SealedSecret')).toBe('not recognised')
    expect(noSettings(stringify({ ...manifest(items, ''), apiVersion: 'v1' }))).toBe('not recognised')
    expect(noSettings(stringify({ kind: 'List', items: [manifest(items, '')] }))).toBe('not recognised')
  })
})
