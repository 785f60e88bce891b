/**
 * Values by `eyaml` itself where it is installed; the others by `openssl smime` with what lib/hiera/backend/eyaml/encryptors/pkcs7.rb of
 * hiera-eyaml asks of OpenSSL: PKCS7.encrypt for one certificate, AES-256-CBC, the flag BINARY, DER, base64.
 */

import { readFileSync } from 'node:fs'

import { afterAll, describe, expect, test } from 'vitest'

import { builtInFormats } from '../../src/formats/built-in.ts'
import { cms } from '../../src/formats/cms.ts'
import { eyaml, findEyaml } from '../../src/formats/eyaml.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { LegacyValue, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { certifiedSet, certify, opensslEncrypt } from '../support/cms.ts'
import type { CertifiedKey } from '../support/cms.ts'
import { keySet, oldKey, openNow, otherKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { hasTool, runTool } from '../support/tools.ts'

const directory = new Directory()
afterAll(() => directory[Symbol.dispose]())
// As `eyaml createkeys` makes them: an empty name, and the serial number 1 every time.
const mine = certify(directory, { key: oldKey, subject: '/', serial: '1' })
const next = certify(directory, { key: otherKey, subject: '/', serial: '1' })

const encrypt = (plaintext: string, key: CertifiedKey = mine): string =>
  opensslEncrypt(plaintext, [key], { cipher: 'aes256', program: 'smime' }).toString('base64')

function outcomeOf(value: LegacyValue | undefined, keys: PrivateKeys): string {
  if (value === undefined) return 'not recognised'
  try {
    return openNow(value, keys).toString()
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}
const outcome = (cell: string | Uint8Array, keys: PrivateKeys = certifiedSet(mine)) =>
  outcomeOf(eyaml.recognize([cell]), keys)

describe('a whole value', () => {
  test('on one line, with and without its scheme, as text and as bytes', () => {
    for (const plaintext of ['', 'secret', 'ünïcode\nof several lines\n']) {
      const base64 = encrypt(plaintext)
      expect(outcome(`ENC[PKCS7,${base64}]`)).toBe(plaintext)
      expect(outcome(`ENC[${base64}]`)).toBe(plaintext)
      expect(outcome(`  ENC[PKCS7,${base64}]\n`)).toBe(plaintext)
      expect(outcome(Buffer.from(`ENC[PKCS7,${base64}]`))).toBe(plaintext)
    }
    expect(eyaml.recognize([`ENC[PKCS7,${encrypt('x')}]`])).toMatchObject({
      keyId: 'serial 01',
      wrapping: 'RSA PKCS #1 v1.5',
      body: 'aes-256-cbc',
      isAuthenticated: false,
    })
  })

  test('as the block form of eyaml, and folded by YAML', () => {
    const base64 = encrypt('secret')
    const lines = (separator: string) => base64.replaceAll(/(.{60})/g, `$1${separator}`)
    expect(outcome(`ENC[PKCS7,${lines('\n    ')}]`)).toBe('secret')
    expect(outcome(`ENC[PKCS7,${lines('\r\n    ')}]\r\n`)).toBe('secret')
    expect(outcome(`ENC[PKCS7,${lines(' ')}]`)).toBe('secret')
  })

  test('after a rotation nothing says which key is meant, and none is tried', () => {
    const value = `ENC[PKCS7,${encrypt('secret')}]`
    expect(outcome(value, certifiedSet(next, mine))).toBe('unauthenticated')
    expect(outcome(value, keySet(otherKey, oldKey))).toBe('unauthenticated')
    expect(outcome(value, keySet(oldKey))).toBe('secret')
    expect(outcome(`ENC[PKCS7,${encrypt('new', next)}]`, certifiedSet(next))).toBe('new')
  })

  test('other schemes are named', () => {
    const value = eyaml.recognize(['ENC[GPG,hQEMA2lmDR0IPYK5AQf/c2VjcmV0]'])
    expect(value).toMatchObject({ wrapping: 'GPG', keyId: undefined })
    expect(() => value?.open(keySet(oldKey))).toThrow(/the eyaml scheme GPG is not read, only PKCS7/)
    expect(outcome('ENC[KMS,AAAA]')).toBe('unsupported')
  })

  test.each([
    ['nothing', 'ENC[]'],
    ['an open end', 'ENC[PKCS7,MIIB'],
    ['more behind it', 'ENC[PKCS7,MIIB] and more'],
    ['more before it', 'password: ENC[PKCS7,MIIB]'],
    ['plaintext that is to be encrypted', 'DEC::PKCS7[secret]!'],
    ['other characters', 'ENC[PKCS7,MII*]'],
    ['other case', 'enc[PKCS7,MIIB]'],
    ['two of them', 'ENC[PKCS7,MIIB] ENC[PKCS7,MIIB]'],
    ['Jasypt', 'ENC(MIIB)'],
    ['a JWE', 'eyJhbGciOiJSU0EtT0FFUCJ9.AA.AA.AA.AA'],
  ])('%s is none', (_, text) => {
    expect(eyaml.recognize([text])).toBeUndefined()
  })

  test.each([
    ['no base64', 'ENC[PKCS7,MIIBA]'],
    ['padding in the middle', 'ENC[PKCS7,MII=MIIB]'],
    ['something else in base64', 'ENC[PKCS7,aGVsbG8=]'],
    ['a cut message', `ENC[PKCS7,${encrypt('secret').slice(0, 400)}]`],
  ])('%s is a broken one', (_, text) => {
    expect(outcome(text)).toBe('malformed')
  })

  test('CMS without the brackets is of another format, and the other way round', () => {
    const base64 = encrypt('secret')
    expect(eyaml.recognize([base64])).toBeUndefined()
    expect(cms.recognize([`ENC[PKCS7,${base64}]`])).toBeUndefined()
    for (const cell of [null, 7n, 1.5]) expect(eyaml.recognize([cell])).toBeUndefined()
  })
})

describe.skipIf(!hasTool('eyaml'))('what eyaml writes', () => {
  const run = (args: readonly string[], input?: string) =>
    runTool('eyaml', args, { cwd: directory.path, ...(input === undefined ? {} : { input }) }).toString()
  const keysIn = (folder: string) => {
    const files = ['private', 'public'].map((part) => directory.file(`${folder}/${part}_key.pkcs7.pem`))
    const [privateFile = '', publicFile = ''] = files
    const paths = [`--pkcs7-private-key=${privateFile}`, `--pkcs7-public-key=${publicFile}`]
    run(['createkeys', ...paths])
    const pem = readFileSync(privateFile, 'utf8') + readFileSync(publicFile, 'utf8')
    const found = readKeyFile(Buffer.from(pem), undefined).map((key) => ({
      ...key,
      name: folder,
      keyIds: [],
    }))
    return { paths, found }
  }

  test('with keys of its own, as string and as block, and after a rotation', () => {
    const [first, second] = [keysIn('first'), keysIn('second')]
    for (const plaintext of ['s', 'a password', 'ünïcode', 'x'.repeat(3000)]) {
      for (const form of ['string', 'block']) {
        const text = run(['encrypt', '--stdin', '-o', form, ...first.paths], plaintext)
        expect(outcome(text, new PrivateKeySet(first.found))).toBe(plaintext)
        expect(findEyaml(`key: >\n${text}`).length).toBe(1)
        const both = new PrivateKeySet([...second.found, ...first.found])
        expect(outcome(text, both)).toBe('unauthenticated')
        expect(eyaml.recognize([text])?.keyId).toBe('serial 01')
      }
    }
  })
})

test('all values of a file, and where they stand', () => {
  const [one, two] = [encrypt('first'), encrypt('second')]
  const folded = two.replaceAll(/(.{60})/g, '$1\n  ')
  const text = `a: ENC[PKCS7,${one}]\nb: "user:ENC[${one}]@host and ENC[GPG,AAAA]"\nc: >\n  ENC[PKCS7,${folded}]\nd: ENC[]\n`
  const found = findEyaml(text)
  expect(found.map(({ value }) => outcomeOf(value, certifiedSet(mine)))).toEqual([
    'first',
    'first',
    'unsupported',
    'second',
  ])
  for (const { start, end } of found) expect(text.slice(start, end)).toMatch(/^ENC\[[^\]]+\]$/)
  expect(findEyaml('no value here')).toEqual([])
})

test('Puppet reads them too', () => {
  expect(builtInFormats.eyaml.foreignReader).toBe('Puppet')
})
