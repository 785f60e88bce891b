import { createCipheriv, createHash, randomBytes } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { layoutColumns } from '../../src/formats/declared-layout.ts'
import type { DeclaredLayout } from '../../src/formats/declared-layout.ts'
import { declaredFormat } from '../../src/formats/declared.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { Cell } from '../../src/formats/legacy-format.ts'
import {
  javaLayout,
  javaOaep,
  keySet,
  oldKey,
  otherKey,
  sealParts,
  wrapOaep,
  openNow,
} from '../support/legacy-values.ts'

const columns = ['body', 'wrapped_key', 'iv', 'tag', 'owner']

function attempt(layout: DeclaredLayout, cells: readonly Cell[], keys = keySet(oldKey)): string {
  const value = declaredFormat(layout, columns).recognize(cells)
  if (value === undefined) return 'not recognised'
  try {
    return `opened ${openNow(value, keys).toString()}`
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

const { wrappedKey, iv, ciphertext, tag } = sealParts('secret', 'ann')
const text = (bytes: Buffer) => bytes.toString('base64')
const joined = Buffer.concat([ciphertext, tag])
const javaCells: Cell[] = [text(joined), text(wrappedKey), text(iv), null, 'ann']

describe('a layout of several columns', () => {
  test('opens', () => {
    expect(attempt(javaLayout, javaCells)).toBe('opened secret')
  })

  test('says what it is', () => {
    expect(declaredFormat(javaLayout, columns).recognize(javaCells)).toMatchObject({
      wrapping: 'RSA-OAEP sha256, MGF1 sha1',
      body: 'aes-256-gcm',
      isAuthenticated: true,
      keyId: undefined,
    })
  })

  test('names the columns it replaces and those it only reads', () => {
    expect(layoutColumns(javaLayout)).toEqual({ own: ['body', 'wrapped_key', 'iv'], read: ['owner'] })
  })

  test('is not recognised where one of its columns is NULL', () => {
    for (const index of [0, 1, 2])
      expect(attempt(javaLayout, javaCells.with(index, null))).toBe('not recognised')
  })

  test('a missing column is a wrong call', () => {
    expect(() => declaredFormat(javaLayout, ['body', 'iv'])).toThrow(RangeError)
  })

  test.each([
    ['another AAD', 4, 'bob', 'cannot_open'],
    ['no AAD', 4, null, 'malformed'],
    ['a cut ciphertext', 0, text(joined.subarray(1)), 'cannot_open'],
    ['a ciphertext shorter than its tag', 0, text(joined.subarray(0, 15)), 'malformed'],
    ['an empty ciphertext', 0, '', 'malformed'],
    ['a cut wrapped key', 1, text(wrappedKey.subarray(0, 255)), 'malformed'],
    ['an altered wrapped key', 1, text(Buffer.from(wrappedKey).fill(1, 9, 10)), 'cannot_open'],
    ['a short vector', 2, text(iv.subarray(0, 8)), 'malformed'],
    ['text that is not base64', 2, '!!!', 'malformed'],
    ['bytes where text is declared', 0, joined, 'malformed'],
    ['a number', 2, 1.5, 'malformed'],
  ])('%s', (_, index, cell, outcome) => {
    expect(attempt(javaLayout, javaCells.with(index, cell))).toBe(outcome)
  })

  test('a wrong key, and a right one behind it', () => {
    expect(attempt(javaLayout, javaCells, keySet(otherKey))).toBe('cannot_open')
    expect(attempt(javaLayout, javaCells, keySet(otherKey, oldKey))).toBe('opened secret')
    expect(attempt(javaLayout, javaCells, keySet())).toBe('no_private_key')
  })

  test('the MGF1 hash must be the declared one', () => {
    const assumed = { ...javaLayout, padding: { ...javaOaep, mgf1Hash: 'sha256' } } as const
    expect(attempt(assumed, javaCells)).toBe('cannot_open')
  })
})

describe('other places and spellings', () => {
  const place = (column: string, encoding: 'base64' | 'base64url' | 'hex' | 'binary') => ({
    column,
    encoding,
  })
  const layout: DeclaredLayout = { ...javaLayout, aad: [], iv: 'front', tag: 'end' }
  const bare = sealParts('bare', '')

  test('vector in front, tag at the end, bytes', () => {
    const binary: DeclaredLayout = {
      ...layout,
      ciphertext: place('body', 'binary'),
      wrappedKey: place('wrapped_key', 'binary'),
    }
    const body = Buffer.concat([bare.iv, bare.ciphertext, bare.tag])
    expect(attempt(binary, [body, bare.wrappedKey, null, null, null])).toBe('opened bare')
    expect(attempt(binary, [text(body), bare.wrappedKey, null, null, null])).toBe('malformed')
    expect(attempt(binary, [body.subarray(0, 11), bare.wrappedKey, null, null, null])).toBe('malformed')
    expect(attempt(binary, [body.subarray(0, 27), bare.wrappedKey, null, null, null])).toBe('malformed')
  })

  test('tag apart, hexadecimal and base64url, base64 with line breaks', () => {
    const apart: DeclaredLayout = {
      ...layout,
      ciphertext: place('body', 'hex'),
      iv: place('iv', 'base64url'),
      tag: place('tag', 'hex'),
    }
    const wrapped = text(bare.wrappedKey).replaceAll(/.{64}/g, '$&\r\n')
    const cells = [
      bare.ciphertext.toString('hex').toUpperCase(),
      wrapped,
      bare.iv.toString('base64url'),
      bare.tag.toString('hex'),
      null,
    ]
    expect(attempt(apart, cells)).toBe('opened bare')
    expect(attempt(apart, cells.with(3, bare.tag.toString('hex').slice(2)))).toBe('malformed')
  })

  test('an empty plaintext', () => {
    const empty = sealParts('', '')
    const apart: DeclaredLayout = { ...layout, iv: place('iv', 'base64'), tag: place('tag', 'base64') }
    expect(attempt(apart, ['', text(empty.wrappedKey), text(empty.iv), text(empty.tag), null])).toBe(
      'opened ',
    )
  })

  test.each([
    ['aes-128-gcm', 16],
    ['aes-192-gcm', 24],
  ] as const)('%s, and a data key of another length', (cipher, dataKeyBytes) => {
    const sealed = sealParts('smaller', '', { dataKeyBytes })
    const body = text(Buffer.concat([sealed.iv, sealed.ciphertext, sealed.tag]))
    const cells = [body, text(sealed.wrappedKey), null, null, null]
    expect(attempt({ ...layout, cipher }, cells)).toBe('opened smaller')
    expect(attempt(layout, cells)).toBe('cannot_open')
  })

  test('a vector of 16 bytes, as some write it', () => {
    const sealed = sealParts('long vector', '', { ivBytes: 16 })
    const apart: DeclaredLayout = { ...layout, iv: place('iv', 'base64') }
    const body = text(Buffer.concat([sealed.ciphertext, sealed.tag]))
    expect(attempt(apart, [body, text(sealed.wrappedKey), text(sealed.iv), null, null])).toBe(
      'opened long vector',
    )
  })

  test('a label, and additional data of several parts', () => {
    const oaep = { ...javaOaep, label: Buffer.from('v1') }
    const sealed = sealParts('labelled', 'v1:ann:7', { oaep })
    const labelled: DeclaredLayout = {
      ...layout,
      padding: oaep,
      aad: [
        { bytes: Buffer.from('v1:') },
        { column: 'owner', encoding: 'utf8' },
        { bytes: Buffer.from(':') },
        { column: 'tag', encoding: 'utf8' },
      ],
    }
    const body = text(Buffer.concat([sealed.iv, sealed.ciphertext, sealed.tag]))
    const cells: Cell[] = [body, text(sealed.wrappedKey), null, 7n, 'ann']
    expect(attempt(labelled, cells)).toBe('opened labelled')
    expect(attempt({ ...labelled, padding: javaOaep }, cells)).toBe('cannot_open')
  })

  test('members of JSON in one column', () => {
    const inJson = (member: string) => ({ column: 'body', member, encoding: 'base64' }) as const
    const json: DeclaredLayout = {
      ...layout,
      wrappedKey: inJson('ek'),
      iv: inJson('iv'),
      ciphertext: inJson('ct'),
      tag: inJson('tag'),
      keyId: { column: 'body', member: 'kid', encoding: 'utf8' },
    }
    const object = {
      ek: text(bare.wrappedKey),
      iv: text(bare.iv),
      ct: text(bare.ciphertext),
      tag: text(bare.tag),
      kid: 'k1',
    }
    const cells = (value: object | string): Cell[] => [
      typeof value === 'string' ? value : JSON.stringify(value),
      null,
      null,
      null,
      null,
    ]
    expect(attempt(json, cells(object))).toBe('opened bare')
    expect(declaredFormat(json, columns).recognize(cells(object))?.keyId).toBe('k1')
    expect(layoutColumns(json)).toEqual({ own: ['body'], read: [] })
    const { tag: _, ...without } = object
    expect(attempt(json, cells(without))).toBe('not recognised')
    expect(attempt(json, cells({ ...object, tag: 7 }))).toBe('not recognised')
    expect(attempt(json, cells(`{"ek":"AA",${JSON.stringify(object).slice(1)}`))).toBe('not recognised')
    expect(attempt(json, cells('eyJ.not.json'))).toBe('not recognised')
  })
})

describe('AES-CBC, which has no tag', () => {
  const dataKey = randomBytes(32)
  const blockIv = randomBytes(16)
  const wrapped = wrapOaep(dataKey, javaOaep)
  const seal = (plaintext: string) => {
    const cipher = createCipheriv('aes-256-cbc', dataKey, blockIv)
    return Buffer.concat([cipher.update(plaintext), cipher.final()])
  }
  const layout: DeclaredLayout = { ...javaLayout, aad: [], tag: 'none', cipher: 'aes-256-cbc' }
  const cellsOf = (body: Buffer, witness: string | null = null): Cell[] => [
    body.toString('base64'),
    wrapped.toString('base64'),
    blockIv.toString('base64'),
    witness,
    null,
  ]
  const plaintext = '{"a":"secret of more than one block"}'
  const sha256 = { kind: 'sha256', place: { column: 'tag', encoding: 'hex' } } as const

  test('without a witness it says so, and asks for one key', () => {
    expect(declaredFormat(layout, columns).recognize(cellsOf(seal('x')))).toMatchObject({
      isAuthenticated: false,
      body: 'aes-256-cbc',
    })
    expect(attempt(layout, cellsOf(seal('x')))).toBe('opened x')
    expect(attempt(layout, cellsOf(seal('x')), keySet(oldKey, otherKey))).toBe('unauthenticated')
  })

  test.each([
    ['sha256', sha256],
    ['starts-with', { kind: 'starts-with', bytes: Buffer.from('{"a":') }],
    ['json', { kind: 'json' }],
  ] as const)('a witness of the kind %s', (kind, witness) => {
    const witnessed: DeclaredLayout = { ...layout, witness }
    const digest = createHash('sha256').update(plaintext).digest('hex')
    const body = seal(plaintext)
    expect(declaredFormat(witnessed, columns).recognize(cellsOf(body))).toMatchObject({
      isAuthenticated: true,
      body: `aes-256-cbc, witness ${kind}`,
    })
    expect(attempt(witnessed, cellsOf(body, digest))).toBe(`opened ${plaintext}`)
    expect(attempt(witnessed, cellsOf(body, digest), keySet(otherKey, oldKey))).toBe(`opened ${plaintext}`)
    // The first block becomes garbage, the padding at the end stays right.
    const altered = Buffer.from(body)
    altered[3] = (altered[3] ?? 0) ^ 1
    expect(attempt(layout, cellsOf(altered))).toMatch(/^opened /)
    expect(attempt(witnessed, cellsOf(altered, digest))).toBe('cannot_open')
  })

  test('a witness in a column is only read', () => {
    expect(layoutColumns({ ...layout, witness: sha256 })).toEqual({
      own: ['body', 'wrapped_key', 'iv'],
      read: ['tag'],
    })
    expect(attempt({ ...layout, witness: sha256 }, cellsOf(seal('x')))).toBe('malformed')
  })

  test('vector in front, and what is no whole number of blocks', () => {
    const front: DeclaredLayout = { ...layout, iv: 'front' }
    expect(attempt(front, cellsOf(Buffer.concat([blockIv, seal('in front')])))).toBe('opened in front')
    expect(attempt(front, cellsOf(blockIv))).toBe('malformed')
    expect(attempt(layout, cellsOf(seal('x').subarray(1)))).toBe('malformed')
    expect(attempt(layout, cellsOf(seal('x')).with(2, blockIv.subarray(4).toString('base64')))).toBe(
      'malformed',
    )
    expect(attempt(layout, cellsOf(Buffer.alloc(0)))).toBe('malformed')
  })
})
