import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'

import { afterAll, describe, expect, test } from 'vitest'

import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { LegacyFormat, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { headBytes } from '../../src/formats/legacy-stream.ts'
import type { LegacyStreamFormat } from '../../src/formats/legacy-stream.ts'
import { openPgpStreamFormat } from '../../src/formats/openpgp-stream.ts'
import { openPgpFormat } from '../../src/formats/openpgp.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { GpgHome, hasGpg } from '../support/gpg.ts'
import { keySet, makeJwe, otherKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'

const text = 'a secret of some length, longer than a block or two of AES'
const native = ['AES', 'AES192', 'AES256', '3DES', 'CAMELLIA128', 'CAMELLIA192', 'CAMELLIA256']
const byLibrary = ['CAST5', 'BLOWFISH', 'TWOFISH']
const openpgp = openPgpFormat()
const compressible = [Buffer.alloc(0), Buffer.from(text), Buffer.alloc(300_000, 'abc'), randomBytes(100_000)]

async function codeOf(step: () => unknown): Promise<string> {
  try {
    await step()
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
  return 'opened'
}

describe.skipIf(!hasGpg)('what gpg writes', async () => {
  const directory = new Directory()
  const home = new GpgHome(directory)
  afterAll(() => {
    home[Symbol.dispose]()
    directory[Symbol.dispose]()
  })
  home.makeKey('Old')
  home.makeKey('Other')
  home.makeKey('Curve', { type: 'EDDSA', subkeyType: 'ECDH' })
  const ours = await home.keys('Old')
  const message = home.encrypt(text, ['Old'])
  const armored = home.encrypt(text, ['Old'], ['--armor'])

  async function read(cell: string | Uint8Array, keys: PrivateKeys = ours): Promise<Buffer> {
    const value = openpgp.recognize([cell])
    if (value === undefined) throw new Error('not recognised')
    return Buffer.from(await value.open(keys))
  }

  async function stream(bytes: Uint8Array, size: number, keys: PrivateKeys = ours): Promise<Buffer> {
    return await streamAs(openPgpStreamFormat(), bytes, size, keys)
  }

  /** As a message that is too large to be read as a whole. */
  async function streamLarge(bytes: Uint8Array, size: number, keys: PrivateKeys = ours): Promise<Buffer> {
    return await streamAs(openPgpStreamFormat(undefined, 300), bytes, size, keys)
  }

  async function streamAs(
    format: LegacyStreamFormat,
    bytes: Uint8Array,
    size: number,
    keys: PrivateKeys,
  ): Promise<Buffer> {
    const value = format.recognize(bytes.subarray(0, headBytes), { name: 'file.gpg' })
    if (value === undefined) throw new Error('not recognised')
    const pieces: Uint8Array[] = []
    for await (const piece of value.open(piecesOf(bytes, size), keys)) pieces.push(Uint8Array.from(piece))
    return Buffer.concat(pieces)
  }

  async function* piecesOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield Uint8Array.from(bytes.subarray(at, at + size))
  }

  const plaintexts = ['', 'x', text, 'y'.repeat(20_000)]

  test.each(native)('%s', async (cipher) => {
    for (const plaintext of plaintexts) {
      const one = home.encrypt(plaintext, ['Old'], ['--cipher-algo', cipher])
      expect((await read(one)).toString()).toBe(plaintext)
      expect((await stream(one, 5000)).toString()).toBe(plaintext)
      expect((await streamLarge(one, 5000)).toString()).toBe(plaintext)
    }
  })

  test.each(byLibrary)('%s, in memory', async (cipher) => {
    for (const plaintext of plaintexts) {
      const one = home.encrypt(plaintext, ['Old'], ['--cipher-algo', cipher])
      expect((await read(one)).toString()).toBe(plaintext)
      expect((await stream(one, 5000)).toString()).toBe(plaintext)
      await expect(streamLarge(one, 5000)).rejects.toThrow(`${cipher} of this size is not read: gpg reads it`)
    }
  })

  test('IDEA is named, and gpg with it', async () => {
    const one = home.encrypt(text, ['Old'], ['--cipher-algo', 'IDEA'])
    await expect(read(one)).rejects.toThrow('IDEA is not read: gpg reads it')
    expect(await codeOf(() => stream(one, 100))).toBe('unsupported')
  })

  test.each(['Uncompressed', 'ZIP', 'ZLIB'])('compression %s', async (compression) => {
    for (const plaintext of compressible) {
      const one = home.encrypt(plaintext, ['Old'], ['--compress-algo', compression])
      expect((await read(one)).equals(plaintext)).toBe(true)
      for (const size of [1000, 1_000_000]) {
        expect((await streamLarge(one, size)).equals(plaintext)).toBe(true)
      }
    }
    const small = home.encrypt(text, ['Old'], ['--compress-algo', compression])
    expect((await streamLarge(small, 1)).toString()).toBe(text)
  })

  test('more plaintext than fits into memory: streamed, and refused as a value', async () => {
    const plaintext = Buffer.alloc(65 * 1024 * 1024, 'all the same')
    const one = home.encrypt(plaintext, ['Old'], ['--compress-algo', 'ZIP'])
    expect(one.length).toBeLessThan(1_000_000)
    expect((await stream(one, 65_536)).equals(plaintext)).toBe(true)
    expect(await codeOf(() => read(one))).toBe('limit_exceeded')
    const exact = home.encrypt(plaintext.subarray(0, 64 * 1024 * 1024), ['Old'])
    expect(await read(exact)).toHaveLength(64 * 1024 * 1024)
  })

  test('compression BZIP2, in memory', async () => {
    for (const plaintext of compressible.slice(1)) {
      const one = home.encrypt(plaintext, ['Old'], ['--compress-algo', 'BZIP2'])
      expect((await read(one)).equals(plaintext)).toBe(true)
      expect((await stream(one, 1000)).equals(plaintext)).toBe(true)
      expect(await codeOf(() => streamLarge(one, 1000))).toBe('unsupported')
    }
  })

  test('armored, as text, and in base64', async () => {
    const crlf = armored.toString().replaceAll('\n', '\r\n')
    for (const cell of [armored, armored.toString(), crlf, `\n${crlf}\n`, message.toString('base64')]) {
      expect((await read(cell)).toString()).toBe(text)
    }
    for (const size of [1, 50, 10_000]) expect((await stream(armored, size)).toString()).toBe(text)
  })

  test('who it is for, without a key', () => {
    expect(openpgp.recognize([message])).toMatchObject({
      keyId: expect.stringMatching(/^[0-9A-F]{16}$/) as string,
      wrapping: 'RSA PKCS #1 v1.5',
      body: 'CFB with MDC',
      isAuthenticated: true,
    })
    expect(openpgp.recognize([home.encrypt(text, ['Curve'])])?.wrapping).toBe('ECDH')
  })

  test('several recipients, hidden recipients, and other kinds of keys beside RSA', async () => {
    const two = home.encrypt(text, ['Other', 'Old', 'Curve'])
    const hidden = home.encrypt(text, ['Other', 'Old'], ['--throw-keyids'])
    const old = home.encrypt(text, ['Old'], ['--rfc4880'])
    const withPassphrase = home.encrypt(
      text,
      ['Old'],
      ['--symmetric', '--pinentry-mode', 'loopback', '--passphrase', 'open'],
    )
    for (const one of [two, hidden, old, withPassphrase]) {
      expect((await read(one)).toString()).toBe(text)
      expect((await stream(one, 77)).toString()).toBe(text)
    }
    expect((await read(hidden, await home.keys('Other'))).toString()).toBe(text)
    expect((await read(two, await home.keys('Other', 'Old'))).toString()).toBe(text)
    expect(openpgp.recognize([hidden])?.keyId).toBeUndefined()
  })

  test('signed and encrypted: the content alone', async () => {
    const signed = home.encrypt(text, ['Old'], ['--sign', '--local-user', 'Other'])
    expect((await read(signed)).toString()).toBe(text)
    expect((await stream(signed, 100)).toString()).toBe(text)
  })

  test('text mode: line ends as they were encrypted', async () => {
    expect((await read(home.encrypt('one\ntwo\n', ['Old'], ['--textmode']))).toString()).toBe(
      'one\r\ntwo\r\n',
    )
    expect((await read(home.encrypt('one\ntwo\r\n', ['Old']))).toString()).toBe('one\ntwo\r\n')
  })

  test('for another kind of key, or a passphrase alone', async () => {
    await expect(read(home.encrypt(text, ['Curve']))).rejects.toThrow('it is for ECDH, not for RSA')
    const symmetric = home.run(['--symmetric', '--pinentry-mode', 'loopback', '--passphrase', 'x'], text)
    await expect(read(symmetric)).rejects.toThrow('a passphrase alone protects it')
    expect(await codeOf(() => read(symmetric))).toBe('unsupported')
  })

  test('another key, or one that is for other key ids', async () => {
    const other = await home.keys('Other')
    expect(await codeOf(() => read(message, other))).toBe('cannot_open')
    expect(await codeOf(() => read(message, keySet(otherKey)))).toBe('cannot_open')
    expect(await codeOf(() => read(message, keySet()))).toBe('no_private_key')
    expect(await codeOf(() => stream(message, 100, other))).toBe('cannot_open')
    const said = new PrivateKeySet([{ name: 'said', key: otherKey, keyIds: ['0123456789ABCDEF'] }])
    expect(await codeOf(() => read(message, said))).toBe('no_private_key')
  })

  const uncompressed = home.encrypt(text, ['Old'], ['--rfc4880', '--compress-algo', 'none'])
  const refused = /^(?:malformed|cannot_open|unsupported|unauthenticated)$/

  test.each([message, uncompressed])('cut anywhere: never opened', async (whole) => {
    for (let end = 13; end < whole.length; end++) {
      expect(await codeOf(() => read(whole.subarray(0, end)))).toBe('malformed')
    }
    for (let end = 14; end < whole.length; end += 3) {
      expect(await codeOf(() => streamLarge(whole.subarray(0, end), 100))).toMatch(
        /^(?:malformed|cannot_open)$/,
      )
    }
  })

  test.each([message, uncompressed])('with more behind it: never opened', async (whole) => {
    for (const more of [Buffer.from([0]), whole, whole.subarray(271)]) {
      const longer = Buffer.concat([whole, more])
      expect(await codeOf(() => read(longer))).toBe('malformed')
      expect(await codeOf(() => streamLarge(longer, 100))).toMatch(/^(?:malformed|cannot_open)$/)
    }
  })

  test.each([message, uncompressed])('one bit flipped: never opened', async (whole) => {
    // But the key id, which is not covered, and the number of bits of a number within its byte.
    const places = [...whole.keys()].filter((at) => (at < 4 || at > 11) && at !== 14)
    for (const at of places) {
      const altered = Buffer.from(whole)
      altered[at] = (altered[at] ?? 0) ^ 1
      const isKnown = openpgp.recognize([altered]) !== undefined
      expect(isKnown ? await codeOf(() => read(altered)) : 'malformed').toMatch(refused)
      expect(isKnown ? await codeOf(() => streamLarge(altered, 100)) : 'malformed').toMatch(refused)
    }
  })

  test('armor that is cut, or has more around it', async () => {
    for (let end = 40; end < armored.length - 1; end += 7) {
      expect(await codeOf(() => read(armored.subarray(0, end)))).toBe('malformed')
    }
    expect(await codeOf(() => read(`${armored.toString()}more`))).toBe('malformed')
    expect(openpgp.recognize([`more${armored.toString()}`])).toBeUndefined()
  })

  test('a session key alone: gpg is content with it, this is not', async () => {
    const alone = message.subarray(0, 271)
    expect(openpgp.recognize([alone])).toBeDefined()
    expect(await codeOf(() => read(alone))).toBe('malformed')
    expect(await codeOf(() => stream(alone, 100))).toBe('malformed')
  })

  describe('by gpg itself', () => {
    const settings = { program: 'gpg', home: home.path }
    const byGpg = openPgpFormat(settings)
    const nobody = new PrivateKeySet([])

    async function readBy(format: LegacyFormat, cell: Uint8Array): Promise<string> {
      const value = format.recognize([cell])
      if (value === undefined) throw new Error('not recognised')
      return Buffer.from(await value.open(nobody)).toString()
    }

    async function streamBy(bytes: Uint8Array, size: number): Promise<Buffer> {
      return await streamAs(openPgpStreamFormat(settings, 300), bytes, size, nobody)
    }

    test.each(['IDEA', 'CAMELLIA128', 'AES256'])('%s', async (cipher) => {
      const one = home.encrypt(text, ['Old'], ['--cipher-algo', cipher, '--sign', '--local-user', 'Other'])
      expect(await readBy(byGpg, one)).toBe(text)
      expect((await streamBy(one, 100)).toString()).toBe(text)
    })

    test('other kinds of keys, and much data', async () => {
      const large = randomBytes(3_000_000)
      const one = home.encrypt(large, ['Curve'])
      expect((await streamBy(one, 65_536)).equals(large)).toBe(true)
      expect(await readBy(byGpg, home.encrypt('', ['Curve']))).toBe('')
    })

    test('altered, cut, and a session key alone: refused, though gpg may end well', async () => {
      const altered = Buffer.from(uncompressed)
      altered[altered.length - 30] = (altered[altered.length - 30] ?? 0) ^ 1
      expect(await codeOf(() => readBy(byGpg, altered))).toBe('cannot_open')
      expect(await codeOf(() => streamBy(altered, 100))).toBe('cannot_open')
      expect(await codeOf(() => readBy(byGpg, message.subarray(0, -1)))).toBe('malformed')
      expect(await codeOf(() => streamBy(message.subarray(0, -1), 100))).toBe('cannot_open')
      expect(await codeOf(() => streamBy(message.subarray(0, 280), 100))).toBe('cannot_open')
      expect(await codeOf(() => readBy(byGpg, message.subarray(0, 271)))).toBe('malformed')
    })

    test('gpg without the key', async () => {
      const elsewhere = new GpgHome(directory, 'empty')
      const format = openPgpFormat({ program: 'gpg', home: elsewhere.path })
      expect(await codeOf(() => readBy(format, message))).toBe('no_private_key')
      elsewhere[Symbol.dispose]()
    })

    test('a program that ends well and says nothing is not believed', async () => {
      const program = directory.file('silent')
      writeFileSync(program, '#!/bin/sh\ncat >/dev/null\necho garbage\n', { mode: 0o755 })
      expect(await codeOf(() => readBy(openPgpFormat({ program, home: undefined }), message))).toBe(
        'cannot_open',
      )
    })
  })

  test('neighbours are not recognised', async () => {
    const signed = home.run(['--sign', '--local-user', 'Old'], text)
    const clear = home.run(['--clearsign', '--local-user', 'Old'], text)
    const store = home.run(['--store'], text)
    for (const cell of [
      signed,
      clear,
      clear.toString(),
      store,
      home.exportKey('Old'),
      home.exportKey('Old', { isArmored: true }),
      home.run(['--export', 'Old']),
      home.run(['--armor', '--export', 'Old']).toString(),
      await makeJwe(text),
      'hQEMA',
      'hello there, how are you',
      'wagon',
      '',
      Buffer.alloc(300, 0x85),
      Buffer.from([0x84, 0x0c, 3]),
      new Uint8Array(),
      7n,
      null,
    ]) {
      expect(openpgp.recognize([cell])).toBeUndefined()
    }
  })
})
