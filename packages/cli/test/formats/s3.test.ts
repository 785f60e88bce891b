import { describe, expect, test } from 'vitest'

import { builtInFormats } from '../../src/formats/built-in.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { Cell, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { instructionSuffix, isInstructionFile, withInstructions } from '../../src/formats/s3-metadata.ts'
import { s3Format, s3StreamFormat } from '../../src/formats/s3.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { hasJava, javaValues } from '../support/java-values.ts'
import { keySet, oldKey, openNow, otherKey } from '../support/legacy-values.ts'
import { s3v1, s3v2, s3v2Ecb, s3v3 } from '../support/s3-encrypt.ts'
import type { S3Object } from '../support/s3-encrypt.ts'

const columns = ['body', 'meta', 'extra']
const format = s3Format({ metadata: 'meta' }, columns)

function codeOf(error: unknown): string {
  if (error instanceof LegacyError) return error.code
  throw error
}

function attemptCells(cells: readonly Cell[], keys: PrivateKeys = keySet(oldKey), made = format): string {
  const value = made.recognize(cells)
  if (value === undefined) return 'not recognised'
  try {
    return `opened ${openNow(value, keys).toString()}`
  } catch (error) {
    return codeOf(error)
  }
}

/** The same as a column and as a whole object in pieces of 7 bytes: both must say the same. */
async function attempt({ metadata, body }: S3Object, keys: PrivateKeys = keySet(oldKey), settings = {}) {
  const asCells = attemptCells(
    [body, JSON.stringify(metadata), null],
    keys,
    s3Format({ ...settings, metadata: 'meta' }, columns),
  )
  const prefixed = Object.fromEntries(Object.entries(metadata).map(([n, v]) => [`X-Amz-Meta-${n}`, v]))
  for (const given of [metadata, prefixed]) {
    expect(await attemptStream({ metadata: given, body }, keys, settings)).toBe(asCells)
  }
  return asCells
}

async function attemptStream({ metadata, body }: S3Object, keys: PrivateKeys, settings = {}) {
  const stream = s3StreamFormat(settings).recognize(body.subarray(0, 100), { name: 'a/b', metadata })
  if (stream === undefined) return 'not recognised'
  const parts: Uint8Array[] = []
  try {
    for await (const part of stream.open(piecesOf(body), keys)) parts.push(part)
    return `opened ${Buffer.concat(parts).toString()}`
  } catch (error) {
    return codeOf(error)
  }
}

async function* piecesOf(body: Buffer) {
  for (let at = 0; at < body.length; at += 7) yield body.subarray(at, at + 7)
}

const text = 'a secret of more than one block'
const made = [
  ['version 1', s3v1(text)],
  ['version 1 with a digest', s3v1(text, { hasMd5: true })],
  ['version 2', s3v2(text)],
  ['version 2, OAEP with SHA-256, Java', s3v2Ecb(text, 'sha1')],
  ['version 2, OAEP with SHA-256, Bouncy Castle', s3v2Ecb(text, 'sha256')],
  ['version 3', s3v3(text)],
] as const

describe('objects', () => {
  test.each(made)('%s', async (_, object) => {
    expect(await attempt(object)).toBe(`opened ${text}`)
    expect(await attempt(object, keySet(otherKey))).not.toMatch(/^opened/)
    expect(await attempt(object, keySet())).toBe('no_private_key')
    expect(attemptCells([object.body.toString('base64'), JSON.stringify(object.metadata), null])).toBe(
      `opened ${text}`,
    )
  })

  test.each([
    ['version 1', (plaintext: string) => s3v1(plaintext)],
    ['version 2', (plaintext: string) => s3v2(plaintext)],
    ['version 3', (plaintext: string) => s3v3(plaintext)],
  ])('%s of all small sizes', async (_, make) => {
    for (const size of [0, 1, 6, 7, 15, 16, 17, 31, 32, 100]) {
      const plaintext = 'z'.repeat(size)
      expect(await attempt(make(plaintext))).toBe(`opened ${plaintext}`)
    }
  })

  test('say what they are', () => {
    const about = ({ metadata, body }: S3Object) => format.recognize([body, JSON.stringify(metadata), null])
    expect(about(s3v1(text))).toMatchObject({
      wrapping: 'RSA pkcs1',
      body: 'S3 version 1, aes-cbc',
      isAuthenticated: false,
    })
    expect(about(s3v1(text, { hasMd5: true }))).toMatchObject({
      body: 'S3 version 1, aes-cbc, witness md5',
      isAuthenticated: true,
    })
    expect(about(s3v3(text))).toMatchObject({
      keyId: undefined,
      wrapping: 'RSA oaep-sha1 pseudo-key',
      body: 'S3 version 3, aes-gcm',
      isAuthenticated: true,
    })
  })

  test.skipIf(!hasJava)('as Java writes them', { timeout: 60_000 }, async () => {
    const values = javaValues(text)
    for (const name of ['s3-v1', 's3-v2-cbc', 's3-v2-ecb', 's3-v2']) {
      // What LegacyValues.java prints.
      const { metadata, body } = values.get(name) as { metadata: Record<string, string>; body: string }
      expect(await attempt({ metadata, body: Buffer.from(body, 'base64') }), name).toBe(`opened ${text}`)
    }
  })
})

test('a witness makes version 1 tell, as a whole object too', async () => {
  const settings = { witness: { 'starts-with': 'a secret' } }
  const stream = await builtInFormats.s3.loadStream(settings)
  const { metadata, body } = s3v1(text)
  const found = stream.recognize(body, { name: 'a', metadata })
  expect(found?.isAuthenticated).toBe(true)
  const read = async (keys: PrivateKeys) => await Array.fromAsync(found?.open(piecesOf(body), keys) ?? [])
  expect(Buffer.concat(await read(keySet(oldKey))).toString()).toBe(text)
  await expect(read(keySet(otherKey))).rejects.toThrow(LegacyError)
  const value = await builtInFormats.s3.load({ ...settings, metadata: 'meta' }, columns)
  expect(attemptCells([body, JSON.stringify(metadata), null], keySet(oldKey), value)).toBe(`opened ${text}`)
  const other = s3v1('another text')
  expect(attemptCells([other.body, JSON.stringify(other.metadata), null], keySet(oldKey), value)).toBe(
    'cannot_open',
  )
})

describe('which key', () => {
  const both = new PrivateKeySet([
    { name: 'a', key: otherKey, keyIds: ['2018'] },
    { name: 'b', key: oldKey, keyIds: ['2019'] },
  ])

  test('is named by the material description, where the settings say by which pair', async () => {
    for (const make of [s3v1, s3v2, s3v3]) {
      const object = make(text, { description: '{"kid":"2019"}' })
      expect(await attempt(object, both, { 'key-id': 'kid' })).toBe(`opened ${text}`)
      expect(await attempt(object, both)).toBe('no_private_key')
      const wrong = make(text, { description: '{"kid":"2018"}' })
      expect(await attempt(wrong, both, { 'key-id': 'kid' })).not.toMatch(/^opened/)
    }
  })

  test('of several is tried with OAEP alone', async () => {
    expect(await attempt(s3v2(text), keySet(otherKey, oldKey))).toBe(`opened ${text}`)
    expect(await attempt(s3v3(text), keySet(otherKey, oldKey))).toBe(`opened ${text}`)
    expect(await attempt(s3v1(text, { hasMd5: true }), keySet(otherKey, oldKey))).toBe('unauthenticated')
  })
})

describe('bad input', () => {
  test('a pseudo-key for another cipher', async () => {
    expect(await attempt(s3v2(text, { named: 'AES/CBC/PKCS5Padding' }))).toBe('cannot_open')
    expect(await attempt(s3v2(text, { named: '' }))).toBe('cannot_open')
    expect(await attempt(s3v2(text, { named: '115' }))).toBe('cannot_open')
    expect(await attempt(s3v3(text, { named: 'AES/CBC/PKCS5Padding' }))).toBe('cannot_open')
    expect(await attempt(s3v3(text, { named: '115' }))).toBe(`opened ${text}`)
  })

  test('metadata that was changed to a weaker cipher', async () => {
    const { metadata, body } = s3v2(text)
    const weaker = {
      ...metadata,
      'x-amz-cek-alg': 'AES/CBC/PKCS5Padding',
      'x-amz-iv': Buffer.alloc(16).toString('base64'),
    }
    expect(await attempt({ metadata: weaker, body: Buffer.concat([body, Buffer.alloc(1)]) })).toBe(
      'cannot_open',
    )
  })

  test.each(made.slice(1))(
    '%s: each bit of its body and of its metadata counts',
    async (_, { metadata, body }) => {
      for (let at = 0; at < body.length; at += 5) {
        const altered = Buffer.from(body)
        altered[at] = (altered[at] ?? 0) ^ 0x10
        expect(await attempt({ metadata, body: altered })).not.toMatch(/^opened/)
      }
      for (const [name, value] of Object.entries(metadata)) {
        if (!/^x-amz-(?:key|iv|3|d|i|key-v2)$/.test(name)) continue
        for (const at of [0, 9]) {
          const bytes = Buffer.from(value, 'base64')
          bytes[at] = (bytes[at] ?? 0) ^ 0x10
          const changed = { ...metadata, [name]: bytes.toString('base64') }
          expect(await attempt({ metadata: changed, body }), name).not.toMatch(/^opened/)
        }
      }
    },
  )

  test.each([
    ['cut', (body: Buffer) => body.subarray(0, -1)],
    ['shorter than a tag', (body: Buffer) => body.subarray(0, 15)],
    ['empty', () => Buffer.alloc(0)],
    ['longer', (body: Buffer) => Buffer.concat([body, Buffer.alloc(16)])],
  ])('a body that is %s', async (_, change) => {
    for (const { metadata, body } of [s3v1(text), s3v2(text), s3v3(text)])
      expect(await attempt({ metadata, body: change(body) })).toMatch(/^(?:malformed|cannot_open)$/)
  })

  test.each([
    ['two versions', { 'x-amz-key': 'AAAA' }, 'malformed'],
    ['another tag', { 'x-amz-tag-len': '96' }, 'malformed'],
    ['another vector', { 'x-amz-iv': 'AAAA' }, 'malformed'],
    ['no base64', { 'x-amz-key-v2': '!' }, 'malformed'],
    ['a length that is none', { 'x-amz-unencrypted-content-length': '-1' }, 'malformed'],
    ['another length', { 'x-amz-unencrypted-content-length': '1' }, 'cannot_open'],
    ['AWS KMS', { 'x-amz-wrap-alg': 'kms+context' }, 'unsupported'],
    ['a symmetric key', { 'x-amz-wrap-alg': 'AES/GCM' }, 'unsupported'],
    ['another cipher', { 'x-amz-cek-alg': 'AES/CTR/NoPadding' }, 'unsupported'],
  ])('metadata with %s', async (_, change, code) => {
    const { metadata, body } = s3v2(text)
    expect(await attempt({ metadata: { ...metadata, ...change }, body })).toBe(code)
  })

  test.each([
    ['another suite', { 'x-amz-c': '116' }, 'unsupported'],
    ['AWS KMS', { 'x-amz-w': '12' }, 'unsupported'],
    ['a short commitment', { 'x-amz-d': 'AAAA' }, 'malformed'],
  ])('metadata of version 3 with %s', async (_, change, code) => {
    const { metadata, body } = s3v3(text)
    expect(await attempt({ metadata: { ...metadata, ...change }, body })).toBe(code)
  })

  test('objects of others, and instruction files, are not taken for it', async () => {
    const body = Buffer.from(text)
    for (const metadata of [{}, { 'x-amz-iv': 'AAAA' }, { 'content-type': 'text/plain' }])
      expect(await attempt({ metadata, body })).toBe('not recognised')
    const twice = { 'x-amz-key-v2': 'AAAA', 'X-Amz-Meta-X-Amz-Key-V2': 'BBBB' }
    expect(await attemptStream({ metadata: twice, body }, keySet(oldKey))).toBe('not recognised')
    const file = { metadata: { 'x-amz-crypto-instr-file': '', 'x-amz-key': 'AAAA' }, body }
    expect(isInstructionFile(file.metadata)).toBe(true)
    expect(await attemptStream(file, keySet(oldKey))).toBe('not recognised')
    for (const cell of [null, 'text', '[1]', '{"x-amz-key":', 7, '{"x-amz-key-v2":7}'])
      expect(attemptCells([body, cell, null])).toBe('not recognised')
    expect(attemptCells([null, JSON.stringify(s3v2(text).metadata), null])).toBe('not recognised')
    expect(attemptCells([body, '{}', null], keySet(oldKey), s3Format({}, columns))).toBe('not recognised')
    expect(() => s3Format({ metadata: 'nowhere' }, columns)).toThrow(RangeError)
  })
})

describe('instruction files', () => {
  const withFile = s3Format({ metadata: 'meta', instructions: 'extra' }, columns)

  test('version 2 has all in it', async () => {
    const { metadata, body } = s3v2(text)
    const merged = withInstructions({ 'content-type': 'text/plain' }, JSON.stringify(metadata))
    expect(await attempt({ metadata: { ...merged }, body })).toBe(`opened ${text}`)
    expect(attemptCells([body, '{}', JSON.stringify(metadata)], keySet(oldKey), withFile)).toBe(
      `opened ${text}`,
    )
  })

  test('version 3 keeps commitment and message id with the object', async () => {
    const { metadata, body } = s3v3(text)
    const { 'x-amz-3': wrapped = '', 'x-amz-w': wrap = '', 'x-amz-m': said = '', ...own } = metadata
    const file = JSON.stringify({ 'x-amz-3': wrapped, 'x-amz-w': wrap, 'x-amz-m': said })
    expect(await attempt({ metadata: { ...withInstructions(own, file) }, body })).toBe(`opened ${text}`)
    expect(attemptCells([body, JSON.stringify(own), file], keySet(oldKey), withFile)).toBe(`opened ${text}`)
    expect(await attempt({ metadata: own, body })).toBe('malformed')
  })

  test('are kept beside the object, under a name of the clients', () => {
    expect(`a/b${instructionSuffix}`).toBe('a/b.instruction')
  })

  test('that contradict the object, or are none', () => {
    const { metadata, body } = s3v3(text)
    const other = JSON.stringify(s3v3(text).metadata)
    expect(attemptCells([body, JSON.stringify(metadata), other], keySet(oldKey), withFile)).toBe('malformed')
    expect(attemptCells([body, JSON.stringify(metadata), 'no JSON'], keySet(oldKey), withFile)).toBe(
      'malformed',
    )
    expect(() => withInstructions({}, '{"a":"1","a":"2"}')).toThrow(LegacyError)
  })
})
