import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { PrivateKeyError } from '../../src/legacy-keys/private-key-error.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { RsaPrivateKey } from '../../src/legacy-keys/rsa-private-key.ts'
import { javaOaep, oldKey, otherKey, wrapOaep } from '../support/legacy-values.ts'

describe('private keys', () => {
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

test('a key that says what it is for unwraps nothing else', () => {
  const dataKey = randomBytes(32)
  const sha256 = { hash: 'sha256', mgf1Hash: 'sha256', label: new Uint8Array() } as const
  const wrapped = wrapOaep(dataKey, sha256)
  const pkcs1 = publicEncrypt({ key: createPublicKey(oldKey), padding: constants.RSA_PKCS1_PADDING }, dataKey)
  const unwrapped = (algorithm: string | undefined): boolean[] => {
    const key = new RsaPrivateKey('old', oldKey, { algorithm })
    return [key.unwrapOaep(wrapped, sha256), key.unwrapPkcs1(pkcs1)].map((one) =>
      dataKey.equals(one ?? new Uint8Array()),
    )
  }
  expect(unwrapped(undefined)).toEqual([true, true])
  expect(unwrapped('RSA-OAEP-256')).toEqual([true, false])
  expect(unwrapped('RSA1_5')).toEqual([false, true])
  expect(unwrapped('RSA-OAEP')).toEqual([false, false])
})

test('RSA PKCS #1 v1.5: another key, or altered bytes, never tell that the padding was wrong', () => {
  const dataKey = randomBytes(32)
  const key = { key: createPublicKey(oldKey), padding: constants.RSA_PKCS1_PADDING }
  for (const name of ['other key', 'altered'] as const) {
    const wrapped = publicEncrypt(key, dataKey)
    if (name === 'altered') wrapped[200] = (wrapped[200] ?? 0) ^ 1
    const opener = new RsaPrivateKey(name, name === 'altered' ? oldKey : otherKey)
    const found = opener.unwrapPkcs1(wrapped)
    // Undefined alone for a number beyond the modulus, which whoever has the public key sees too.
    expect(found === undefined || !dataKey.equals(found)).toBe(true)
  }
  expect(new RsaPrivateKey('old', oldKey).unwrapPkcs1(new Uint8Array(17))).toBeUndefined()
})

describe('which key is meant', () => {
  const set = new PrivateKeySet([
    { name: 'named', key: oldKey, keyIds: ['a', 'b'] },
    { name: 'any', key: otherKey, keyIds: [] },
    { name: 'knows', key: otherKey, keyIds: [], knownIds: ['k'] },
  ])
  const namesFor = (keyId: string | undefined) => set.candidates(keyId).map(({ name }) => name)

  test('a key id that one key has means that key alone', () => {
    expect(namesFor('b')).toEqual(['named'])
  })

  test.each([undefined, 'c'])('%s means those without key ids', (keyId) => {
    expect(namesFor(keyId)).toEqual(['any', 'knows'])
  })

  test('a key id that a file says comes first, and its key answers to others too', () => {
    expect(namesFor('k')).toEqual(['knows'])
    expect(set.all.map(({ name }) => name)).toEqual(['named', 'any', 'knows'])
  })
})
