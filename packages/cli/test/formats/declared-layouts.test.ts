/** What the layouts of tools and libraries look like, each declared and read. */

import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { writeFileSync } from 'node:fs'

import { afterAll, describe, expect, test } from 'vitest'

import type { DeclaredLayout, Mac } from '../../src/formats/declared-layout.ts'
import { declaredFormat } from '../../src/formats/declared.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { Cell, OaepParameters, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { keySet, oldKey, openNow, otherKey, sealParts, wrapOaep } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { runTool } from '../support/tools.ts'

const columns = ['body', 'wrapped_key', 'iv', 'tag', 'owner']
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const at = (column: string, encoding: 'base64' | 'base64url' | 'hex' | 'binary' | 'utf8' = 'base64') => ({
  column,
  encoding,
})
const sha256: OaepParameters = { hash: 'sha256', mgf1Hash: 'sha256', label: new Uint8Array() }

const gcm: DeclaredLayout = {
  name: 'mine',
  wrappedKey: at('wrapped_key'),
  iv: at('iv'),
  ciphertext: at('body'),
  tag: at('tag'),
  keyId: undefined,
  padding: sha256,
  cipher: 'aes-256-gcm',
  witness: undefined,
  aad: [],
}
const cbc: DeclaredLayout = { ...gcm, cipher: 'aes-256-cbc', tag: 'none' }

function attempt(layout: DeclaredLayout, cells: readonly Cell[], keys: PrivateKeys = keySet(oldKey)): string {
  const filled = columns.map((_, index) => cells[index] ?? null)
  const value = declaredFormat(layout, columns).recognize(filled)
  if (value === undefined) return 'not recognised'
  try {
    return `opened ${openNow(value, keys).toString()}`
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

const isAuthenticated = (layout: DeclaredLayout, cells: readonly Cell[]) =>
  declaredFormat(layout, columns).recognize(columns.map((_, index) => cells[index] ?? null))?.isAuthenticated

function flipped(bytes: Uint8Array, index: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[index] = (copy[index] ?? 0) ^ 0x01
  return copy
}

function encrypt(cipher: string, key: Uint8Array, iv: Uint8Array, plaintext: string): Buffer {
  const made = createCipheriv(cipher, key, iv)
  return Buffer.concat([made.update(plaintext), made.final()])
}

function wrapPkcs1(message: Uint8Array): Buffer {
  return publicEncrypt({ key: createPublicKey(oldKey), padding: constants.RSA_PKCS1_PADDING }, message)
}

const text = 'a secret of more than one block'

describe('encryption key and MAC key', () => {
  const [key, macKey, iv] = [randomBytes(32), randomBytes(32), randomBytes(16)]
  const body = encrypt('aes-256-cbc', key, iv, text)
  const hmac = (hash: string, ...parts: Uint8Array[]) =>
    createHmac(hash, macKey).update(Buffer.concat(parts)).digest()
  const mac: Mac = {
    hash: 'sha256',
    key: 'behind',
    keyBytes: 32,
    place: 'end',
    bytes: 32,
    covers: ['iv', 'ciphertext'],
  }
  const wrapped = wrapOaep(Buffer.concat([key, macKey]), sha256)
  const layout: DeclaredLayout = { ...cbc, iv: 'front', mac }
  const value = Buffer.concat([iv, body, hmac('sha256', iv, body)])

  test('vector in front, MAC at the end', () => {
    const cells = [base64(value), base64(wrapped)]
    expect(attempt(layout, cells)).toBe(`opened ${text}`)
    expect(isAuthenticated(layout, cells)).toBe(true)
    expect(attempt(layout, cells, keySet(otherKey, oldKey))).toBe(`opened ${text}`)
    expect(attempt(layout, cells, keySet(otherKey))).toBe('cannot_open')
    for (let index = 0; index < value.length; index++)
      expect(attempt(layout, [base64(flipped(value, index)), base64(wrapped)])).toBe('cannot_open')
    expect(attempt(layout, [base64(value.subarray(0, 40)), base64(wrapped)])).toBe('malformed')
  })

  test('MAC key in front, MAC apart, cut, by another hash, over additional data', () => {
    const apart: DeclaredLayout = {
      ...cbc,
      mac: {
        ...mac,
        hash: 'sha512',
        key: 'front',
        place: at('tag', 'hex'),
        bytes: 20,
        covers: ['aad', 'iv', 'ciphertext'],
      },
      aad: [at('owner', 'utf8')],
    }
    const swapped = wrapOaep(Buffer.concat([macKey, key]), sha256)
    const code = hmac('sha512', Buffer.from('ann'), iv, body).subarray(0, 20).toString('hex')
    const cells = [base64(body), base64(swapped), base64(iv), code.toUpperCase(), 'ann']
    expect(attempt(apart, cells)).toBe(`opened ${text}`)
    expect(attempt(apart, cells.with(4, 'bob'))).toBe('cannot_open')
    expect(attempt(apart, cells.with(3, code.slice(2)))).toBe('malformed')
    expect(attempt(apart, cells.with(1, base64(wrapped)))).toBe('cannot_open')
  })

  test('a MAC that leaves the vector out does not tell all', () => {
    const loose: DeclaredLayout = { ...layout, mac: { ...mac, covers: ['ciphertext'] } }
    const cells = [base64(Buffer.concat([iv, body, hmac('sha256', body)])), base64(wrapped)]
    expect(attempt(loose, cells)).toBe(`opened ${text}`)
    expect(isAuthenticated(loose, cells)).toBe(false)
  })

  test('one key for both, in counter mode', () => {
    const one: DeclaredLayout = {
      ...cbc,
      cipher: 'aes-256-ctr',
      mac: { ...mac, key: 'same', place: at('tag') },
    }
    const stream = encrypt('aes-256-ctr', key, iv, 'odd')
    const code = createHmac('sha256', key).update(iv).update(stream).digest()
    const cells = [base64(stream), base64(wrapOaep(key, sha256)), base64(iv), base64(code)]
    expect(attempt(one, cells)).toBe('opened odd')
    expect(attempt(one, cells.with(0, base64(flipped(stream, 0))))).toBe('cannot_open')
    const bare: DeclaredLayout = { ...one, mac: undefined }
    expect(isAuthenticated(bare, cells)).toBe(false)
    expect(attempt(bare, cells.with(0, base64(flipped(stream, 0))))).toBe('opened ndd')
    expect(attempt(bare, cells, keySet(oldKey, otherKey))).toBe('unauthenticated')
  })

  test('a data key without a MAC key', () => {
    expect(attempt(layout, [base64(value), base64(wrapOaep(key, sha256))])).toBe('cannot_open')
  })
})

describe('witnesses', () => {
  const [key, iv] = [randomBytes(32), randomBytes(16)]
  const wrapped = base64(wrapOaep(key, sha256))
  const body = encrypt('aes-256-cbc', key, iv, text)

  test.each(['md5', 'sha1', 'sha256', 'sha512'] as const)('a digest by %s', (kind) => {
    const layout: DeclaredLayout = { ...cbc, witness: { kind, place: at('tag', 'hex') } }
    const digest = createHash(kind).update(text).digest('hex')
    const cells = [base64(body), wrapped, base64(iv), digest]
    expect(attempt(layout, cells)).toBe(`opened ${text}`)
    expect(attempt(layout, cells.with(0, base64(flipped(body, 0))))).toBe('cannot_open')
    expect(attempt(layout, cells.with(2, base64(flipped(iv, 0))))).toBe('cannot_open')
  })

  test('being text', () => {
    const layout: DeclaredLayout = { ...cbc, witness: { kind: 'text' } }
    const cells = [base64(body), wrapped, base64(iv)]
    expect(isAuthenticated(layout, cells)).toBe(true)
    expect(attempt(layout, cells)).toBe(`opened ${text}`)
    const control = encrypt('aes-256-cbc', key, iv, 'a\u0000b')
    expect(attempt(layout, cells.with(0, base64(control)))).toBe('cannot_open')
  })
})

describe('Fernet', () => {
  // The example of the specification (`verify.json`), whose key is wrapped here.
  const token =
    'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=='
  const key = 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4='
  const layout: DeclaredLayout = {
    ...gcm,
    cipher: 'fernet',
    ciphertext: at('body', 'base64url'),
    iv: 'none',
    tag: 'none',
    dataKeyEncoding: 'base64url',
  }

  test('with a key of 44 characters', () => {
    for (const wrapped of [key, `${key}\n`]) {
      const cells = [token, base64(wrapOaep(Buffer.from(wrapped), sha256))]
      expect(attempt(layout, cells)).toBe('opened hello')
      expect(isAuthenticated(layout, cells)).toBe(true)
      expect(attempt(layout, cells, keySet(otherKey, oldKey))).toBe('opened hello')
    }
  })

  test('with a key as bytes', () => {
    const raw = wrapOaep(Buffer.from(key, 'base64url'), sha256)
    expect(attempt({ ...layout, dataKeyEncoding: undefined }, [token, base64(raw)])).toBe('opened hello')
    expect(attempt(layout, [token, base64(raw)])).toBe('cannot_open')
  })

  test('every byte of a token counts', () => {
    const bytes = Buffer.from(token, 'base64url')
    const wrapped = base64(wrapOaep(Buffer.from(key), sha256))
    for (let index = 0; index < bytes.length; index++) {
      const altered = flipped(bytes, index).toString('base64url')
      expect(attempt(layout, [altered, wrapped])).toBe(index === 0 ? 'not recognised' : 'cannot_open')
    }
    expect(attempt(layout, [bytes.subarray(0, 60).toString('base64url'), wrapped])).toBe('malformed')
    expect(attempt(layout, ['a text', wrapped])).toBe('not recognised')
  })
})

describe('openssl enc with a password that openssl pkeyutl wrapped', () => {
  const directory = new Directory()
  afterAll(() => directory[Symbol.dispose]())
  const file = (name: string) => directory.file(name)
  writeFileSync(file('public.pem'), createPublicKey(oldKey).export({ type: 'spki', format: 'pem' }))
  runTool('openssl', ['rand', '-hex', '-out', file('password'), '32'])
  const wrapped = runTool('openssl', [
    'pkeyutl',
    '-encrypt',
    '-pubin',
    '-inkey',
    file('public.pem'),
    '-in',
    file('password'),
  ])
  const layout: DeclaredLayout = {
    ...cbc,
    iv: 'none',
    padding: 'pkcs1',
    password: { digest: 'sha256', iterations: undefined },
  }
  const enc = (...args: string[]) =>
    runTool('openssl', ['enc', '-aes-256-cbc', '-salt', '-pass', `file:${file('password')}`, ...args], {
      input: text,
    })

  test.each([
    ['of old, EVP_BytesToKey with MD5', ['-md', 'md5'], { digest: 'md5', iterations: undefined }],
    [
      'of OpenSSL 1.1, EVP_BytesToKey with SHA-256',
      ['-md', 'sha256'],
      { digest: 'sha256', iterations: undefined },
    ],
    ['-pbkdf2', ['-pbkdf2'], { digest: 'sha256', iterations: 10_000 }],
    ['-iter', ['-pbkdf2', '-iter', '777', '-md', 'sha512'], { digest: 'sha512', iterations: 777 }],
  ] as const)('%s', (_, args, password) => {
    const declared: DeclaredLayout = { ...layout, password }
    const lines = enc('-a', ...args).toString()
    expect(lines).toMatch(/^U2FsdGVkX1/)
    expect(attempt(declared, [lines, base64(wrapped)])).toBe(`opened ${text}`)
    const binary: DeclaredLayout = { ...declared, ciphertext: at('body', 'binary') }
    expect(attempt(binary, [enc(...args), base64(wrapped)])).toBe(`opened ${text}`)
    expect(isAuthenticated(declared, [lines, base64(wrapped)])).toBe(false)
    const starts: DeclaredLayout = {
      ...declared,
      witness: { kind: 'starts-with', bytes: Buffer.from('a secret') },
    }
    expect(isAuthenticated(starts, [lines, base64(wrapped)])).toBe(true)
    expect(attempt(starts, [lines, base64(wrapped)])).toBe(`opened ${text}`)
    const wrong: DeclaredLayout = { ...starts, password: { ...password, digest: 'sha1' } }
    expect(attempt(wrong, [lines, base64(wrapped)])).toBe('cannot_open')
  })

  test('is told by what it begins with', () => {
    expect(attempt(layout, [base64(randomBytes(64)), base64(wrapped)])).toBe('not recognised')
    expect(attempt(layout, [base64(Buffer.from('Salted__1234567')), base64(wrapped)])).toBe('malformed')
    expect(attempt(layout, [base64(Buffer.from('Salted__12345678short')), base64(wrapped)])).toBe('malformed')
    expect(attempt(layout, [base64(enc()), base64(wrapped)], keySet(oldKey, otherKey))).toBe(
      'unauthenticated',
    )
  })
})

describe('tags that are shorter', () => {
  test.each([4, 8, 12, 15])('%i bytes, when declared', (tagBytes) => {
    const [key, iv] = [randomBytes(32), randomBytes(12)]
    const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
    const body = Buffer.concat([cipher.update(text), cipher.final()])
    const tag = cipher.getAuthTag()
    const cells = [base64(body), base64(wrapOaep(key, sha256)), base64(iv), base64(tag)]
    const short: DeclaredLayout = { ...gcm, tagBytes }
    expect(attempt(short, cells)).toBe(`opened ${text}`)
    expect(attempt(gcm, cells)).toBe('malformed')
    expect(attempt(short, cells.with(3, base64(flipped(tag, 0))))).toBe('cannot_open')
    expect(attempt(short, cells.with(0, base64(flipped(body, 0))))).toBe('cannot_open')
    expect(isAuthenticated(short, cells)).toBe(tagBytes >= 12)
    const joined: Cell[] = [base64(Buffer.concat([body, tag])), cells[1] ?? '', cells[2] ?? '']
    expect(attempt({ ...short, tag: 'end' }, joined)).toBe(`opened ${text}`)
  })
})

describe('several recipients', () => {
  const mine = sealParts(text, '', { oaep: sha256 })
  const dataKey = privateDecrypt({ key: oldKey, oaepHash: 'sha256' }, mine.wrappedKey)
  const theirs = wrapOaep(dataKey, sha256, otherKey)
  const rest = [base64(mine.iv), base64(mine.tag)]
  const both = new PrivateKeySet([
    { name: 'a', key: oldKey, keyIds: ['2019'] },
    { name: 'b', key: otherKey, keyIds: ['2021'] },
  ])

  test('in columns with key ids that are declared', () => {
    const layout: DeclaredLayout = {
      ...gcm,
      wrappedKey: [
        { keyId: '2021', place: at('owner') },
        { keyId: '2019', place: at('wrapped_key') },
      ],
    }
    const cells = [base64(mine.ciphertext), base64(mine.wrappedKey), ...rest, base64(theirs)]
    expect(attempt(layout, cells, both)).toBe(`opened ${text}`)
    expect(attempt(layout, cells, keySet(oldKey))).toBe(`opened ${text}`)
    expect(attempt(layout, cells, new PrivateKeySet([{ name: 'b', key: otherKey, keyIds: ['2021'] }]))).toBe(
      `opened ${text}`,
    )
    expect(attempt(layout, cells, new PrivateKeySet([{ name: 'b', key: otherKey, keyIds: ['2023'] }]))).toBe(
      'no_private_key',
    )
    expect(attempt(layout, cells.with(4, ''), both)).toBe(`opened ${text}`)
    const one: Cell[] = [...cells.slice(0, 4), null]
    expect(attempt(layout, one, both)).toBe(`opened ${text}`)
    expect(declaredFormat(layout, columns).recognize(one)?.keyId).toBe('2019')
    expect(attempt(layout, [cells[0] ?? '', null, ...rest, null], both)).toBe('not recognised')
  })

  test('in an object by key id', () => {
    const layout: DeclaredLayout = {
      ...gcm,
      ciphertext: { ...at('body'), member: 'ct' },
      iv: { ...at('body'), member: 'iv' },
      tag: { ...at('body'), member: 'tag' },
      wrappedKey: { byKeyId: { ...at('body'), member: 'keys' } },
    }
    const record = {
      ct: base64(mine.ciphertext),
      iv: rest[0],
      tag: rest[1],
      keys: { 2021: base64(theirs), 2019: base64(mine.wrappedKey) },
    }
    expect(attempt(layout, [JSON.stringify(record)], both)).toBe(`opened ${text}`)
    expect(attempt(layout, [JSON.stringify({ ...record, keys: { 2019: record.keys[2019] } })], both)).toBe(
      `opened ${text}`,
    )
    expect(attempt(layout, [JSON.stringify({ ...record, keys: { 2019: '!' } })], both)).toBe('malformed')
    expect(attempt(layout, [JSON.stringify({ ...record, keys: { 2000: record.keys[2019] } })], both)).toBe(
      'no_private_key',
    )
    for (const keys of [{}, 7, undefined, { 2019: 7 }])
      expect(attempt(layout, [JSON.stringify({ ...record, keys })], both)).toBe('not recognised')
  })

  test('of a body that nothing tells: only one may be meant', () => {
    const iv = randomBytes(16)
    const body = base64(encrypt('aes-256-cbc', dataKey, iv, text))
    const layout: DeclaredLayout = {
      ...cbc,
      wrappedKey: [
        { keyId: '2021', place: at('owner') },
        { keyId: '2019', place: at('wrapped_key') },
      ],
    }
    const cells: Cell[] = [body, base64(mine.wrappedKey), base64(iv), null, base64(theirs)]
    expect(attempt(layout, cells, both)).toBe('unauthenticated')
    expect(attempt(layout, cells, new PrivateKeySet([{ name: 'a', key: oldKey, keyIds: ['2019'] }]))).toBe(
      `opened ${text}`,
    )
  })
})

test('a vector that is RSA-wrapped too', () => {
  const [key, iv] = [randomBytes(32), randomBytes(16)]
  const layout: DeclaredLayout = {
    ...cbc,
    padding: 'pkcs1',
    iv: { wrapped: at('iv', 'hex') },
    witness: { kind: 'starts-with', bytes: Buffer.from('a secret') },
  }
  const cells = [
    base64(encrypt('aes-256-cbc', key, iv, text)),
    base64(wrapPkcs1(key)),
    wrapPkcs1(iv).toString('hex').toUpperCase(),
  ]
  expect(attempt(layout, cells)).toBe(`opened ${text}`)
  expect(attempt(layout, cells.with(2, wrapPkcs1(iv.subarray(1)).toString('hex')))).toBe('cannot_open')
  expect(attempt(layout, cells.with(2, iv.toString('hex')))).toBe('cannot_open')
  expect(attempt(layout, cells, keySet(otherKey))).toBe('cannot_open')
})

test('RSA v1.5 around a data key in base64 and in hexadecimal, as JavaScript and PHP do it', () => {
  const [key, iv] = [randomBytes(32), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const body = Buffer.concat([cipher.update(text), cipher.final()])
  for (const dataKeyEncoding of ['base64', 'hex'] as const) {
    const layout: DeclaredLayout = { ...gcm, padding: 'pkcs1', dataKeyEncoding }
    const wrapped = wrapPkcs1(Buffer.from(key.toString(dataKeyEncoding)))
    const cells = [base64(body), base64(wrapped), base64(iv), base64(cipher.getAuthTag())]
    expect(attempt(layout, cells)).toBe(`opened ${text}`)
    expect(attempt(layout, cells, keySet(otherKey, oldKey))).toBe(`opened ${text}`)
    expect(attempt({ ...layout, dataKeyEncoding: undefined }, cells)).toBe('cannot_open')
    expect(attempt({ ...layout, padding: sha256 }, cells)).toBe('cannot_open')
  }
})

describe('RSA over the data itself', () => {
  const layout: DeclaredLayout = { ...gcm, wrappedKey: undefined, iv: 'none', tag: 'none', cipher: 'rsa' }
  const oaepBlock = (message: string) => wrapOaep(Buffer.from(message), sha256)

  test('OAEP tells by itself, in one block and in several', () => {
    const cells = [base64(oaepBlock('short'))]
    expect(attempt(layout, cells)).toBe('opened short')
    expect(isAuthenticated(layout, cells)).toBe(true)
    expect(attempt(layout, cells, keySet(otherKey, oldKey))).toBe('opened short')
    expect(attempt(layout, cells, keySet(otherKey))).toBe('cannot_open')
    expect(attempt(layout, [base64(flipped(oaepBlock('short'), 7))])).toBe('cannot_open')
    expect(attempt(layout, [base64(oaepBlock(''))])).toBe('opened ')
    const many = Buffer.concat([oaepBlock('one '), oaepBlock('two '), oaepBlock('three')])
    expect(attempt(layout, [base64(many)])).toBe('opened one two three')
    expect(attempt(layout, [base64(many.subarray(1))])).toBe('malformed')
    expect(attempt(layout, [''])).toBe('malformed')
    expect(attempt(layout, cells, keySet())).toBe('no_private_key')
  })

  test('v1.5 does not', () => {
    const bare: DeclaredLayout = { ...layout, padding: 'pkcs1' }
    const cells = [base64(wrapPkcs1(Buffer.from('{"pin":1234}')))]
    expect(attempt(bare, cells)).toBe('opened {"pin":1234}')
    expect(isAuthenticated(bare, cells)).toBe(false)
    expect(attempt(bare, cells, keySet(oldKey, otherKey))).toBe('unauthenticated')
    const json: DeclaredLayout = { ...bare, witness: { kind: 'json' } }
    expect(isAuthenticated(json, cells)).toBe(true)
    expect(attempt(json, cells, keySet(otherKey, oldKey))).toBe('opened {"pin":1234}')
    expect(attempt(json, cells, keySet(otherKey))).toBe('cannot_open')
  })

  test('what openssl pkeyutl writes, chosen by key id', () => {
    using directory = new Directory()
    writeFileSync(
      directory.file('public.pem'),
      createPublicKey(oldKey).export({ type: 'spki', format: 'pem' }),
    )
    const args = [
      '-encrypt',
      '-pubin',
      '-inkey',
      directory.file('public.pem'),
      '-pkeyopt',
      'rsa_padding_mode:oaep',
    ]
    const made = runTool('openssl', ['pkeyutl', ...args, '-pkeyopt', 'rsa_oaep_md:sha256'], {
      input: 'from openssl',
    })
    const named: DeclaredLayout = { ...layout, keyId: at('owner', 'utf8') }
    const keys = new PrivateKeySet([{ name: 'a', key: oldKey, keyIds: ['k1'] }])
    expect(attempt(named, [base64(made), null, null, null, 'k1'], keys)).toBe('opened from openssl')
    expect(attempt(named, [base64(made), null, null, null, 'k2'], keys)).toBe('no_private_key')
  })
})
