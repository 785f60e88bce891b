import { createPublicKey } from 'node:crypto'
import type { webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'

import { GeneralEncrypt, FlattenedEncrypt } from 'jose'
import { describe, expect, test } from 'vitest'

import { jwe } from '../../src/formats/jwe.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { keySet, makeJwe, oldKey, openNow, otherKey } from '../support/legacy-values.ts'

type JsonWebKey = webcrypto.JsonWebKey

const read = (cell: string | Uint8Array, keys = keySet(oldKey)) => {
  const value = jwe.recognize([cell])
  if (value === undefined) throw new Error('not recognised')
  return openNow(value, keys).toString()
}

function codeOf(step: () => unknown): string {
  try {
    step()
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
  return 'opened'
}

/** Replaces the protected header without resealing: only what is checked before the tag can be seen so. */
const withHeader = (token: string, header: string): string =>
  [Buffer.from(header).toString('base64url'), ...token.split('.').slice(1)].join('.')

describe('what a library writes', () => {
  const algorithms = ['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512']
  const encryptions = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512']
  const pairs = algorithms.flatMap((alg) => encryptions.map((enc) => ({ alg, enc })))

  test.each(pairs)('$alg $enc, compact', async ({ alg, enc }) => {
    for (const plaintext of ['', 'x', 'a secret of some length, longer than a block or two of AES']) {
      const token = await makeJwe(plaintext, { alg, enc })
      expect(read(token)).toBe(plaintext)
      expect(read(Buffer.from(token))).toBe(plaintext)
      expect(jwe.recognize([token])).toMatchObject({
        keyId: 'old',
        wrapping: alg,
        body: enc,
        isAuthenticated: true,
      })
    }
  })

  test('flattened, with header parameters in three places and additional data', async () => {
    const token = await new FlattenedEncrypt(Buffer.from('flat'))
      .setProtectedHeader({ enc: 'A256GCM' })
      .setSharedUnprotectedHeader({ alg: 'RSA-OAEP-256' })
      .setUnprotectedHeader({ kid: 'k' })
      .setAdditionalAuthenticatedData(Buffer.from('more'))
      .encrypt(createPublicKey(oldKey))
    expect(read(JSON.stringify(token))).toBe('flat')
    expect(read(JSON.stringify(token, undefined, 2))).toBe('flat')
    expect(jwe.recognize([JSON.stringify(token)])?.keyId).toBe('k')
    expect(codeOf(() => read(JSON.stringify({ ...token, aad: 'AAAA' })))).toBe('cannot_open')
  })

  test('general, for several recipients, whichever of them is ours', async () => {
    const token = await new GeneralEncrypt(Buffer.from('general'))
      .setProtectedHeader({ enc: 'A128CBC-HS256' })
      .addRecipient(createPublicKey(otherKey))
      .setUnprotectedHeader({ alg: 'RSA-OAEP', kid: 'other' })
      .addRecipient(createPublicKey(oldKey))
      .setUnprotectedHeader({ alg: 'RSA-OAEP-256', kid: 'old' })
      .encrypt()
    expect(read(JSON.stringify(token))).toBe('general')
    expect(read(JSON.stringify(token), keySet(otherKey))).toBe('general')
  })

  test('several private keys are tried, since a wrong one cannot go unnoticed', async () => {
    expect(read(await makeJwe('second'), keySet(otherKey, oldKey))).toBe('second')
  })
})

describe('published examples', () => {
  const vectors = (path: string): unknown =>
    JSON.parse(readFileSync(new URL(`../../../../test/vectors/${path}`, import.meta.url), 'utf8'))
  interface Cookbook {
    readonly input: { readonly plaintext: string; readonly key: JsonWebKey | JsonWebKey[] }
    readonly output: { readonly compact?: string; readonly json: object; readonly json_flat?: object }
  }
  const keyOf = (key: JsonWebKey) => {
    const [found] = readKeyFile(Buffer.from(JSON.stringify(key)), undefined)
    if (found === undefined) throw new Error('no key')
    return new PrivateKeySet([{ ...found, name: 'vector', keyIds: [] }])
  }

  test('RFC 7520 §5.2, all three serialisations', () => {
    const example = vectors('jose/cookbook/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json') as Cookbook
    const keys = keyOf(example.input.key as JsonWebKey)
    const { compact = '', json, json_flat } = example.output
    for (const text of [compact, JSON.stringify(json), JSON.stringify(json_flat)]) {
      expect(read(text, keys)).toBe(example.input.plaintext)
    }
  })

  test('RFC 7520 §5.1, RSA PKCS #1 v1.5', () => {
    const example = vectors(
      'jose/cookbook/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json',
    ) as Cookbook
    const text = example.output.compact ?? ''
    expect(jwe.recognize([text])?.wrapping).toBe('RSA1_5')
    expect(read(text, keyOf(example.input.key as JsonWebKey))).toBe(example.input.plaintext)
    expect(codeOf(() => read(text))).toBe('cannot_open')
  })

  test('RFC 7520 §5.13 has one recipient with RSA among three', () => {
    const example = vectors('jose/cookbook/5_13.encrypting_to_multiple_recipients.json') as Cookbook
    const [rsa] = example.input.key as JsonWebKey[]
    if (rsa === undefined) throw new Error('no key')
    expect(read(JSON.stringify(example.output.json), keyOf(rsa))).toBe(example.input.plaintext)
  })

  interface Wycheproof {
    readonly testGroups: readonly {
      readonly private: JsonWebKey & { readonly alg: string }
      readonly tests: readonly {
        readonly tcId: number
        readonly comment: string
        readonly pt: string
        readonly jwe: string
        readonly result: string
      }[]
    }[]
  }
  const wycheproof = vectors('wycheproof/json_web_encryption_test.json') as Wycheproof
  const cases = wycheproof.testGroups
    .filter((group) => group.private.kty === 'RSA')
    .flatMap((group) => group.tests.map((one) => ({ ...one, key: group.private })))

  test('Wycheproof has cases with RSA', () => {
    expect(cases.length).toBe(44)
  })

  test.each(cases)('Wycheproof $tcId $comment ($result)', ({ key, jwe: token, pt, result }) => {
    const outcome = codeOf(() => {
      if (read(token, keyOf(key)) !== Buffer.from(pt, 'hex').toString()) throw new Error('another plaintext')
    })
    expect(outcome).toBe(result === 'valid' ? 'opened' : 'cannot_open')
  })
})

describe('what is refused', () => {
  const header = { alg: 'RSA-OAEP-256', enc: 'A256GCM' }

  test('a wrong key, and every altered part, give one and the same error', async () => {
    const token = await makeJwe('secret')
    const messages = new Set<string>()
    const note = (text: string, keys = keySet(oldKey)) => {
      try {
        read(text, keys)
        messages.add('opened')
      } catch (error) {
        messages.add(String(error))
      }
    }
    note(token, keySet(otherKey))
    for (const [index, part] of token.split('.').entries()) {
      if (index === 0) continue
      const parts = token.split('.')
      parts[index] = `${part.startsWith('A') ? 'B' : 'A'}${part.slice(1)}`
      note(parts.join('.'))
    }
    note(withHeader(token, JSON.stringify({ ...header, kid: 'other' })))
    expect(messages.size).toBe(1)
    expect([...messages][0]).toMatch(/the private key is another one, or bytes were altered or cut/)
  })

  test.each([
    ['crit', '{"alg":"RSA-OAEP-256","enc":"A256GCM","crit":["exp"],"exp":1}', 'unsupported'],
    ['an unknown enc', '{"alg":"RSA-OAEP-256","enc":"A512GCM"}', 'unsupported'],
    ['ECDH', '{"alg":"ECDH-ES","enc":"A256GCM"}', 'unsupported'],
    ['direct', '{"alg":"dir","enc":"A256GCM"}', 'unsupported'],
    ['another compression', '{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":"GZ"}', 'unsupported'],
    ['a duplicate', '{"alg":"RSA-OAEP-256","alg":"RSA-OAEP-256","enc":"A256GCM"}', 'malformed'],
    ['a duplicate in disguise', '{"alg":"RSA-OAEP-256","\\u0061lg":"dir","enc":"A256GCM"}', 'malformed'],
    ['no alg', '{"enc":"A256GCM"}', 'malformed'],
    ['no enc', '{"alg":"RSA-OAEP-256"}', 'malformed'],
    ['a number for alg', '{"alg":1,"enc":"A256GCM"}', 'malformed'],
    ['a number for kid', '{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":7}', 'malformed'],
    ['an array', '["RSA-OAEP-256"]', 'not recognised'],
    ['lenient JSON', "{'alg':'RSA-OAEP-256','enc':'A256GCM'}", 'not recognised'],
    ['trailing text', '{"alg":"RSA-OAEP-256","enc":"A256GCM"} x', 'malformed'],
  ])('a header with %s', async (_, text, code) => {
    const value = jwe.recognize([withHeader(await makeJwe('x'), text)])
    expect(value === undefined ? 'not recognised' : codeOf(() => value.open(keySet(oldKey)))).toBe(code)
  })

  test.each([12, 13, 14, 15, 17, 0])('a tag of %i bytes', async (length) => {
    const parts = (await makeJwe('x')).split('.')
    parts[4] = Buffer.alloc(length).toString('base64url')
    expect(codeOf(() => read(parts.join('.')))).toBe('malformed')
  })

  test.each([0, 8, 16])('a vector of %i bytes for GCM', async (length) => {
    const parts = (await makeJwe('x')).split('.')
    parts[2] = Buffer.alloc(length).toString('base64url')
    expect(codeOf(() => read(parts.join('.')))).toBe('malformed')
  })

  test.each([1, 2, 3, 4])('padding or other alphabets in part %i', async (index) => {
    const parts = (await makeJwe('some text here')).split('.')
    for (const [from, to] of [
      [/$/, '='],
      [/^../, '+/'],
      [/$/, '\n'],
      [/^/, ' '],
    ] as const) {
      const changed = [...parts]
      changed[index] = (parts[index] ?? '').replace(from, to)
      expect(codeOf(() => read(changed.join('.')))).toBe('malformed')
    }
  })

  test('parts in two places of the JSON forms', async () => {
    const [protectedText, encrypted_key, iv, ciphertext, tag] = (await makeJwe('x')).split('.')
    const flat = { protected: protectedText, encrypted_key, iv, ciphertext, tag }
    const attempt = (change: object) => codeOf(() => read(JSON.stringify({ ...flat, ...change })))
    expect(attempt({})).toBe('opened')
    expect(attempt({ unprotected: { alg: 'RSA-OAEP' } })).toBe('malformed')
    expect(attempt({ header: { enc: 'A128GCM' } })).toBe('malformed')
    expect(attempt({ unprotected: { zip: 'DEF' } })).toBe('malformed')
    expect(attempt({ unprotected: { crit: ['x'] } })).toBe('unsupported')
    expect(attempt({ recipients: [{}] })).toBe('malformed')
    expect(attempt({ encrypted_key: undefined, recipients: [] })).toBe('malformed')
    expect(attempt({ iv: 12 })).toBe('malformed')
    expect(codeOf(() => read(`{"iv":"AA",${JSON.stringify(flat).slice(1)}`))).toBe('malformed')
  })

  test('compressed plaintext opens, and is bounded', async () => {
    // jose writes no zip: the deflated bytes are sealed under a header that says so.
    const sealed = async (plaintext: Uint8Array) =>
      await new FlattenedEncrypt(plaintext).setProtectedHeader({ ...header }).encrypt(createPublicKey(oldKey))
    const flat = await sealed(Buffer.from('x'))
    expect(read(JSON.stringify(flat))).toBe('x')
    const { sealJwe } = await import('../support/seal-jwe.ts')
    const zip = { ...header, zip: 'DEF' }
    expect(read(sealJwe(zip, deflateRawSync(Buffer.from('deflated'))))).toBe('deflated')
    expect(read(sealJwe(zip, deflateRawSync(Buffer.alloc(0))))).toBe('')
    const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024 + 1))
    expect(codeOf(() => read(sealJwe(zip, bomb)))).toBe('limit_exceeded')
    expect(codeOf(() => read(sealJwe(zip, Buffer.from('not deflated'))))).toBe('malformed')
  })

  test.each([
    'eyJhbGciOiJIUzI1NiJ9.e30.c2ln',
    'hello',
    '',
    '{"ciphertext":"AA","iv":"AA","tag":"AA","encrypted_key":"AA"}',
    'eyJ.',
    'a.b.c.d.e',
  ])('%s is not taken for a JWE', (text) => {
    expect(jwe.recognize([text])).toBeUndefined()
  })

  test.each([null, 7n, 1.5, new Uint8Array(3)])('%s is no JWE', (cell) => {
    expect(jwe.recognize([cell])).toBeUndefined()
  })

  test('without a key for its key id', async () => {
    const token = await makeJwe('x')
    expect(codeOf(() => read(token, keySet()))).toBe('no_private_key')
  })

  test('names from the data are repeated only when they look like names', async () => {
    const evil = withHeader(await makeJwe('x'), '{"alg":"\\u001b[31mred","enc":"A256GCM"}')
    expect(jwe.recognize([evil])?.wrapping).toBe('unknown')
    expect(() => read(evil)).toThrow(/key encryption unknown is not read/)
  })
})
