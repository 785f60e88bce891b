/** All formats side by side: each value is known by its own format, and by no other. */

import { createHash, randomBytes } from 'node:crypto'

import { createMessage, encrypt, generateKey, readKey } from 'openpgp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { makeFormats } from '../../src/commands/reencrypt-formats.ts'
import type { FormatChoice } from '../../src/commands/reencrypt-formats.ts'
import { builtInFormats, isBuiltIn } from '../../src/formats/built-in.ts'
import type { DeclaredLayout } from '../../src/formats/declared-layout.ts'
import type { Cell, LegacyFormat } from '../../src/formats/legacy-format.ts'
import { awsEncrypt } from '../support/aws-encrypt.ts'
import { certify, opensslEncrypt } from '../support/cms.ts'
import { javaOaep, makeJwe, oldKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { s3v2 } from '../support/s3-encrypt.ts'
import { sealSecret } from '../support/seal-secret.ts'
import { sealSpring } from '../support/seal-spring.ts'

const columns = ['body', 'meta', 'wrapped_key']
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

const layout: DeclaredLayout = {
  name: 'fernet',
  wrappedKey: { column: 'wrapped_key', encoding: 'base64' },
  iv: 'none',
  ciphertext: { column: 'body', encoding: 'base64url' },
  tag: 'none',
  keyId: undefined,
  padding: javaOaep,
  cipher: 'fernet',
  witness: undefined,
  aad: [],
}
const script: DeclaredLayout = {
  ...layout,
  name: 'script',
  ciphertext: { column: 'body', encoding: 'base64' },
  cipher: 'aes-256-cbc',
  password: { digest: 'sha256', iterations: 10_000 },
}

const settings: Readonly<Record<string, unknown>> = {
  s3: { metadata: 'meta' },
  'sealed-secrets': { scope: 'cluster-wide' },
}

const choices: readonly FormatChoice[] = [
  ...Object.keys(builtInFormats)
    .filter(isBuiltIn)
    .map((type) => ({ kind: 'built-in', type, settings: settings[type] }) as const),
  { kind: 'declared', layout },
  { kind: 'declared', layout: script },
]

let formats: readonly LegacyFormat[] = []
beforeAll(async () => {
  formats = await makeFormats(choices, columns)
})

function knownBy(cells: readonly Cell[]): string[] {
  const filled = columns.map((_, index) => cells[index] ?? null)
  return formats.filter((format) => format.recognize(filled) !== undefined).map(({ name }) => name)
}

const directory = new Directory()
afterAll(() => directory[Symbol.dispose]())

describe('a value', () => {
  test('of CMS and of hiera-eyaml', () => {
    const message = opensslEncrypt('x', [certify(directory, { key: oldKey })])
    expect(knownBy([message])).toEqual(['cms'])
    expect(knownBy([base64(message)])).toEqual(['cms'])
    expect(knownBy([`ENC[PKCS7,${base64(message)}]`])).toEqual(['eyaml'])
  })

  test('of JWE', async () => {
    expect(knownBy([await makeJwe('x')])).toEqual(['jwe'])
  })

  test('of age', () => {
    const header = `age-encryption.org/v1\n-> ssh-rsa AAAAAA\n${base64(randomBytes(256))}\n--- ${base64(randomBytes(32))}\n`
    expect(knownBy([Buffer.from(header)])).toEqual(['age'])
  })

  test('of OpenPGP', async () => {
    const { publicKey } = await generateKey({ userIDs: { name: 'a' }, type: 'rsa', rsaBits: 2048 })
    const encryptionKeys = await readKey({ armoredKey: publicKey })
    const message = await createMessage({ binary: Buffer.from('x') })
    const binary = await encrypt({ message, encryptionKeys, format: 'binary' })
    expect(knownBy([Buffer.from(binary)])).toEqual(['openpgp'])
    expect(knownBy([await encrypt({ message, encryptionKeys, format: 'armored' })])).toEqual(['openpgp'])
  })

  test('of the AWS Encryption SDK', async () => {
    const message = await awsEncrypt('x')
    expect(knownBy([message])).toEqual(['aws-encryption-sdk'])
    expect(knownBy([base64(message)])).toEqual(['aws-encryption-sdk'])
  })

  test('of S3', () => {
    const { metadata, body } = s3v2('x')
    expect(knownBy([body, JSON.stringify(metadata)])).toEqual(['s3'])
    expect(knownBy([base64(body), JSON.stringify(metadata)])).toEqual(['s3'])
  })

  test('of Sealed Secrets and of Spring', () => {
    expect(knownBy([base64(sealSecret('x', ''))])).toEqual(['sealed-secrets'])
    expect(knownBy([sealSpring('x')])).toEqual(['spring'])
  })

  test('of declared layouts, by what their bodies begin with', () => {
    const wrapped = base64(randomBytes(256))
    const token = Buffer.concat([Buffer.from([0x80, 0, 0, 0, 0]), randomBytes(68)]).toString('base64url')
    expect(knownBy([token, null, wrapped])).toEqual(['fernet'])
    const salted = base64(Buffer.concat([Buffer.from('Salted__'), randomBytes(24)]))
    expect(knownBy([salted, null, wrapped])).toEqual(['script'])
  })

  test('of none', () => {
    const digest = createHash('sha256').update('x').digest()
    for (const cell of [
      '',
      'plain text',
      '{"a":1}',
      'TEhSAQ',
      '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
      digest,
      digest.toString('hex'),
      base64(digest),
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      `vault:v1:${base64(digest)}`,
      7n,
      1.5,
      null,
      new Uint8Array(),
      new Uint8Array(500),
    ]) {
      expect(knownBy([cell])).toEqual([])
    }
  })
})
