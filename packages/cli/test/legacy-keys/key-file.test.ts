import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { PrivateKeyError } from '../../src/legacy-keys/private-key-error.ts'
import { oldKey, oldPem, otherKey, otherPem } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { hasTool, runTool } from '../support/tools.ts'

const bytes = (text: string | Buffer): Uint8Array => Uint8Array.from(Buffer.from(text))
const protectedAs = { cipher: 'aes-256-cbc', passphrase: 'open' }
const onlyKeyOf = (content: string | Buffer, passphrase?: string) => {
  const [found, ...more] = readKeyFile(bytes(content), passphrase)
  if (found === undefined || more.length > 0) throw new Error('not one key')
  return found
}

describe('one private key', () => {
  test.each([
    ['PKCS #8 PEM', oldPem],
    ['PKCS #1 PEM', oldKey.export({ type: 'pkcs1', format: 'pem' })],
    ['PKCS #8 DER', oldKey.export({ type: 'pkcs8', format: 'der' })],
    ['PKCS #1 DER', oldKey.export({ type: 'pkcs1', format: 'der' })],
    ['JWK', JSON.stringify(oldKey.export({ format: 'jwk' }))],
    ['PEM with words around it', `Bag Attributes: none\n${oldPem}\nthe end\n`],
  ])('%s', (_, content) => {
    expect(onlyKeyOf(content).key.equals(oldKey)).toBe(true)
  })

  test.each([
    ['PKCS #8 PEM', oldKey.export({ type: 'pkcs8', format: 'pem', ...protectedAs })],
    ['PKCS #1 PEM', oldKey.export({ type: 'pkcs1', format: 'pem', ...protectedAs })],
    ['PKCS #8 DER', oldKey.export({ type: 'pkcs8', format: 'der', ...protectedAs })],
  ])('%s with a passphrase', (_, content) => {
    expect(onlyKeyOf(content, 'open').key.equals(oldKey)).toBe(true)
    expect(() => onlyKeyOf(content, 'wrong')).toThrow(PrivateKeyError)
    expect(() => onlyKeyOf(content)).toThrow(/passphrase/)
  })

  test('a JWK says its key id and what it is for', () => {
    const jwk = { ...oldKey.export({ format: 'jwk' }), kid: '2019', alg: 'RSA-OAEP' }
    expect(onlyKeyOf(JSON.stringify(jwk))).toMatchObject({ keyIds: ['2019'], algorithm: 'RSA-OAEP' })
  })

  test.each([
    ['a public key', createPublicKey(oldKey).export({ type: 'spki', format: 'pem' }), /public key/],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /certificate/],
    ['a damaged PEM', oldPem.slice(0, 400), /no private key/],
    ['text', 'hello', /no PEM, DER, PKCS #12 or JWK/],
    ['a public JWK', JSON.stringify(createPublicKey(oldKey).export({ format: 'jwk' })), /JSON/],
    ['a set of public JWKs', '{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"}]}', /JSON/],
    ['an empty object', '{}', /JSON/],
    ['nothing', '', /no PEM, DER, PKCS #12 or JWK/],
    ['a Java key store', Buffer.from('feedfeed00000002', 'hex'), /keytool -importkeystore/],
    [
      'a damaged key of OpenSSH',
      '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n',
      /OpenSSH key, and is damaged/,
    ],
    ['a public key of OpenPGP', '-----BEGIN PGP PUBLIC KEY BLOCK-----\n', /gpg --export-secret-keys/],
    ['the beginning of PKCS #12', Buffer.from('3082010002010330', 'hex'), /damaged or cut/],
    [
      'a key of another kind',
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
      /ed25519/,
    ],
  ])('%s is refused', (_, content, message) => {
    expect(() => onlyKeyOf(content)).toThrow(message)
  })
})

describe('several private keys', () => {
  const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

  test('PEM, and those of other kinds are left out', () => {
    const found = readKeyFile(
      bytes(oldPem + elliptic.export({ type: 'pkcs8', format: 'pem' }) + otherPem),
      undefined,
    )
    expect(found.map(({ key }) => key.equals(oldKey))).toEqual([true, false])
    expect(found[1]?.key.equals(otherKey)).toBe(true)
  })

  test('a set of JWKs, and public ones are left out', () => {
    const keys = [
      { ...createPublicKey(oldKey).export({ format: 'jwk' }), kid: 'public' },
      { ...oldKey.export({ format: 'jwk' }), kid: 'a' },
      elliptic.export({ format: 'jwk' }),
      { ...otherKey.export({ format: 'jwk' }), kid: 'b' },
    ]
    const found = readKeyFile(bytes(JSON.stringify({ keys })), undefined)
    expect(found.map(({ keyIds }) => keyIds)).toEqual([['a'], ['b']])
  })
})

describe.skipIf(!hasTool('openssl'))('files of OpenSSL', () => {
  /** A key with its certificate, and a second certificate that is another's. */
  function certified(directory: Directory): { pem: string; file: string; certificate: Buffer } {
    const make = (name: string, pem: string): string => {
      writeFileSync(directory.file(`${name}.key`), pem)
      const request = ['req', '-x509', '-new', '-key', directory.file(`${name}.key`), '-days', '2']
      runTool('openssl', [...request, '-subj', `/CN=${name}`, '-out', directory.file(`${name}.pem`)])
      return readFileSync(directory.file(`${name}.pem`), 'utf8')
    }
    const [own, foreign] = [make('own', oldPem), make('foreign', otherPem)]
    const certificate = runTool('openssl', ['x509', '-outform', 'DER'], { input: own })
    const pem = foreign + own + oldPem
    const file = directory.file('all.pem')
    writeFileSync(file, pem)
    return { pem, file, certificate }
  }

  test('PEM with certificates: those of the key are kept', () => {
    using directory = new Directory()
    const { pem, certificate } = certified(directory)
    expect(onlyKeyOf(pem).certificates.map((one) => Buffer.from(one))).toEqual([certificate])
  })

  test.each([
    ['AES and PBKDF2', []],
    ['triple DES and RC2', ['-legacy']],
    ['no MAC', ['-nomac']],
    ['no encryption', ['-keypbe', 'NONE', '-certpbe', 'NONE']],
    ['a MAC of SHA-512', ['-macalg', 'sha512']],
  ])('PKCS #12 with %s', (_, options) => {
    using directory = new Directory()
    const { file, certificate } = certified(directory)
    const protection = ['-passout', 'pass:open sesame', '-name', 'alias 7', ...options]
    const store = runTool('openssl', ['pkcs12', '-export', '-in', file, ...protection])
    const found = onlyKeyOf(store, 'open sesame')
    expect(found.key.equals(oldKey)).toBe(true)
    expect(found.keyIds).toEqual(['alias 7'])
    expect(found.certificates.map((one) => digest(one))).toEqual([digest(certificate)])
    if (options.includes('NONE') || options.includes('-nomac')) return
    expect(() => onlyKeyOf(store, 'wrong')).toThrow(/does not open with this passphrase/)
    expect(() => onlyKeyOf(store)).toThrow(/protected by a passphrase/)
    expect(() => onlyKeyOf(store.subarray(0, -20), 'open sesame')).toThrow(/damaged or cut/)
  })

  test('PKCS #12 with a passphrase beyond ASCII says what to do', () => {
    using directory = new Directory()
    const { file } = certified(directory)
    const store = runTool('openssl', ['pkcs12', '-export', '-in', file, '-passout', 'pass:öffnen'])
    expect(() => onlyKeyOf(store, 'öffnen')).toThrow(/beyond ASCII is not read: openssl pkcs12 -in/)
  })

  test('PKCS #12 without a passphrase, and one without a key', () => {
    using directory = new Directory()
    const { file } = certified(directory)
    const empty = runTool('openssl', ['pkcs12', '-export', '-in', file, '-passout', 'pass:'])
    expect(onlyKeyOf(empty).key.equals(oldKey)).toBe(true)
    const none = runTool('openssl', ['pkcs12', '-export', '-in', file, '-nokeys', '-passout', 'pass:'])
    expect(() => onlyKeyOf(none)).toThrow(/without a private key/)
  })
})

describe.skipIf(!hasTool('keytool'))('key stores of Java', () => {
  function storeOf(directory: Directory, type: string): Buffer {
    const store = directory.file('keys.store')
    const key = ['-genkeypair', '-keyalg', 'RSA', '-keysize', '2048', '-alias', 'Orders', '-dname', 'CN=old']
    const secrets = ['-storepass', 'changeit', '-keypass', 'changeit']
    runTool('keytool', [...key, ...secrets, '-storetype', type, '-keystore', store])
    return readFileSync(store)
  }

  test('PKCS #12', () => {
    using directory = new Directory()
    const found = onlyKeyOf(storeOf(directory, 'PKCS12'), 'changeit')
    expect(found).toMatchObject({ keyIds: ['orders'], certificates: [expect.any(Uint8Array)] })
  })

  test('JKS is named, with what turns it into PKCS #12', () => {
    using directory = new Directory()
    expect(() => onlyKeyOf(storeOf(directory, 'JKS'), 'changeit')).toThrow(/keytool -importkeystore/)
  })
})

function digest(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
