import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { parsePrivateKey, PrivateKeyError, RsaPrivateKey } from '../../src/legacy-keys/rsa-private-key.ts'
import { javaOaep, oldKey, oldPem, otherKey, wrapOaep } from '../support/legacy-values.ts'

const bytes = (text: string | Buffer): Uint8Array => Uint8Array.from(Buffer.from(text))

describe('private keys', () => {
  test.each([
    ['PKCS #8 PEM', oldPem],
    ['PKCS #1 PEM', oldKey.export({ type: 'pkcs1', format: 'pem' })],
    ['PKCS #8 DER', oldKey.export({ type: 'pkcs8', format: 'der' })],
    ['PKCS #1 DER', oldKey.export({ type: 'pkcs1', format: 'der' })],
    ['JWK', JSON.stringify(oldKey.export({ format: 'jwk' }))],
  ])('%s', (_, content) => {
    expect(parsePrivateKey(bytes(content), undefined).equals(oldKey)).toBe(true)
  })

  test.each([
    [
      'PKCS #8 PEM',
      oldKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' }),
    ],
    [
      'PKCS #1 PEM',
      oldKey.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' }),
    ],
    [
      'PKCS #8 DER',
      oldKey.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: 'open' }),
    ],
  ])('%s with a passphrase', (_, content) => {
    expect(parsePrivateKey(bytes(content), 'open').equals(oldKey)).toBe(true)
    expect(() => parsePrivateKey(bytes(content), 'wrong')).toThrow(PrivateKeyError)
    expect(() => parsePrivateKey(bytes(content), undefined)).toThrow(/passphrase/)
  })

  test.each([
    ['a public key', createPublicKey(oldKey).export({ type: 'spki', format: 'pem' }), /public key/],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /certificate/],
    ['a damaged PEM', oldPem.slice(0, 400), /no private key/],
    ['text', 'hello', /no PEM, DER or JWK/],
    ['a public JWK', JSON.stringify(createPublicKey(oldKey).export({ format: 'jwk' })), /JSON/],
    ['nothing', '', /no PEM, DER or JWK/],
  ])('%s is refused', (_, content, message) => {
    expect(() => parsePrivateKey(bytes(content), undefined)).toThrow(message)
  })

  test('a key of another kind is refused', () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    expect(() => new RsaPrivateKey('ed', privateKey)).toThrow(/ed25519/)
    expect(() => new RsaPrivateKey('public', createPublicKey(oldKey))).toThrow(PrivateKeyError)
  })

  test.each([1024, 1031, 2047])('a modulus of %i bits', (modulusLength) => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength })
    const key = new RsaPrivateKey(
      'odd',
      createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    )
    expect(key.modulusBytes).toBe(Math.ceil(modulusLength / 8))
    const dataKey = randomBytes(32)
    for (const mgf1Hash of ['sha1', 'sha256'] as const) {
      const parameters = { hash: 'sha256', mgf1Hash, label: new Uint8Array() } as const
      const wrapped = wrapOaep(dataKey, parameters, privateKey)
      expect(Buffer.from(key.unwrapOaep(wrapped, parameters) ?? [])).toEqual(dataKey)
    }
  })

  test('another key does not unwrap', () => {
    const wrapped = wrapOaep(randomBytes(32), javaOaep)
    expect(new RsaPrivateKey('other', otherKey).unwrapOaep(wrapped, javaOaep)).toBeUndefined()
  })
})

describe('which key is meant', () => {
  const set = new PrivateKeySet([
    { name: 'named', key: oldKey, keyIds: ['a', 'b'] },
    { name: 'any', key: otherKey, keyIds: [] },
  ])
  const namesFor = (keyId: string | undefined) => set.candidates(keyId).map(({ name }) => name)

  test('a key id that one key has means that key alone', () => {
    expect(namesFor('b')).toEqual(['named'])
  })

  test.each([undefined, 'c'])('%s means those without key ids', (keyId) => {
    expect(namesFor(keyId)).toEqual(['any'])
  })
})
