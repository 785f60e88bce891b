import { createCipheriv, randomBytes } from 'node:crypto'

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import { OctetSplitter } from '../../src/formats/asn1-octets.ts'
import { cmsStreamFormat } from '../../src/formats/cms-stream.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { PrivateKeys } from '../../src/formats/legacy-format.ts'
import { headBytes } from '../../src/formats/legacy-stream.ts'
import {
  authEnveloped,
  authEnvelopedType,
  certifiedSet,
  certify,
  der,
  integer,
  messageOf,
  octets,
  oid,
  opensslEncrypt,
  recipientOf,
} from '../support/cms.ts'
import { keySet, oldKey, otherKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'

const directory = new Directory()
afterAll(() => directory[Symbol.dispose]())
const mine = certify(directory, { key: oldKey })
const others = certify(directory, { key: otherKey, subject: '/CN=Somebody else' })
const ours = certifiedSet(mine)

/** Whatever has more than a beginning is large to it. */
const streaming = cmsStreamFormat(2048)
const usual = cmsStreamFormat()

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

interface ReadOptions {
  readonly format?: typeof streaming
  readonly keys?: PrivateKeys
  readonly size?: number
}

/** The plaintext, or the code of the error. */
async function outcome(
  message: Uint8Array,
  { format = streaming, keys = ours, size = 1000 }: ReadOptions = {},
): Promise<string> {
  const value = format.recognize(message.subarray(0, headBytes), { name: 'a file' })
  if (value === undefined) return 'not recognised'
  try {
    const all: Uint8Array[] = []
    for await (const piece of value.open(pieces(message, size), keys)) all.push(piece)
    return Buffer.concat(all).toString('latin1')
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

const text = 'some lines of text, as files have them\n'.repeat(500)
const oaepOptions = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256']

describe('what openssl writes, in pieces of any size', () => {
  const ciphers = ['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc', 'aes-128-gcm', 'aes-256-gcm']
  test.each(ciphers)('%s', async (cipher) => {
    for (const plaintext of ['', 'x', text]) {
      for (const form of ['DER', 'PEM', 'SMIME']) {
        const message = opensslEncrypt(plaintext, [mine], { cipher, form })
        for (const format of [streaming, usual]) {
          for (const size of [1, 7, 4096, message.length]) {
            expect(await outcome(message, { format, size })).toBe(plaintext)
          }
        }
      }
    }
  })

  test('of indefinite length, and base64 alone', async () => {
    for (const form of ['DER', 'PEM', 'SMIME']) {
      const message = opensslEncrypt(text, [mine], { form, args: ['-stream'] })
      for (const size of [1, 7, 4096]) expect(await outcome(message, { size })).toBe(text)
    }
    const base64 = Buffer.from(
      opensslEncrypt(text, [mine])
        .toString('base64')
        .replaceAll(/(.{76})/g, '$1\r\n'),
    )
    for (const size of [1, 7, 4096]) expect(await outcome(base64, { size })).toBe(text)
  })

  test.each(['aes-256-cbc', 'aes-256-gcm'])('20 MiB: %s', async (cipher) => {
    const plaintext = randomBytes(20 * 1024 * 1024)
    for (const form of ['DER', 'PEM']) {
      const message = opensslEncrypt(plaintext, [mine], {
        cipher,
        form,
        args: cipher.endsWith('cbc') ? ['-stream'] : [],
      })
      const read = await outcome(message, { format: usual, size: 64 * 1024 })
      expect(Buffer.from(read, 'latin1').equals(plaintext)).toBe(true)
    }
  })
})

test('more than 4 GiB, in constant memory', async () => {
  const [dataKey, nonce] = [randomBytes(32), randomBytes(12)]
  const piece = Buffer.alloc(8 * 1024 * 1024)
  const count = 513
  const contentBytes = count * piece.length
  // Outer lengths as if the content stood there already.
  const long = (identifier: number, inside: Uint8Array, more: number): Buffer => {
    const header = Buffer.alloc(10)
    header[0] = identifier
    header[1] = 0x88
    header.writeBigUInt64BE(BigInt(inside.length + more), 2)
    return Buffer.concat([header, inside])
  }
  const parameters = der(0x30, octets(nonce), integer(16))
  const algorithm = der(0x30, oid('2.16.840.1.101.3.4.1.46'), parameters)
  const content = long(0x80, Buffer.alloc(0), contentBytes)
  const info = long(0x30, Buffer.concat([oid('1.2.840.113549.1.7.1'), algorithm, content]), contentBytes)
  const recipients = der(0x31, recipientOf(oldKey, dataKey))
  const behind = contentBytes + 18
  const data = long(0x30, Buffer.concat([integer(0), recipients, info]), behind)
  const head = long(0x30, Buffer.concat([oid(authEnvelopedType), long(0xa0, data, behind)]), behind)
  async function* source(): AsyncGenerator<Uint8Array, void, void> {
    yield head
    const cipher = createCipheriv('aes-256-gcm', dataKey, nonce)
    for (let i = 0; i < count; i++) yield cipher.update(piece)
    cipher.final()
    yield octets(cipher.getAuthTag())
  }
  const value = usual.recognize(head, { name: 'large' })
  expect(value).toMatchObject({ body: 'aes-256-gcm', isAuthenticated: true })
  let bytes = 0
  let highest = 0
  const before = process.memoryUsage().arrayBuffers
  for await (const plaintext of value?.open(source(), keySet(oldKey)) ?? []) {
    bytes += plaintext.length
    highest = Math.max(highest, process.memoryUsage().arrayBuffers - before)
  }
  expect(bytes).toBe(contentBytes)
  expect(bytes).toBeGreaterThan(4 * 1024 ** 3)
  expect(highest).toBeLessThan(512 * 1024 * 1024)
}, 300_000)

test('lengths up to 2^53 are counted, part by part', () => {
  const header = Buffer.from('8085ffffffffff', 'hex')
  const splitter = new OctetSplitter(0x80, Infinity)
  splitter.push(header)
  const piece = Buffer.alloc(64 * 1024 * 1024)
  let bytes = 0
  for (let i = 0; i < 16_384 - 1; i++) for (const part of splitter.push(piece)) bytes += part.length
  expect(splitter.rest).toBeUndefined()
  for (const part of splitter.push(piece)) bytes += part.length
  expect(bytes).toBe(0xff_ff_ff_ff_ff)
  expect(splitter.rest?.length).toBe(1)
  expect(splitter.passed).toBe(0xff_ff_ff_ff_ff + header.length)
})

describe('what goes wrong, at the latest at the end', () => {
  const gcm = opensslEncrypt(text, [mine], { cipher: 'aes-256-gcm' })
  const cbc = opensslEncrypt(text, [mine], { args: ['-stream'] })

  test('altered bytes and a wrong key', async () => {
    for (const at of [gcm.length - 1, gcm.length - 20, gcm.length - 10_000]) {
      const altered = Buffer.from(gcm)
      altered[at] = (altered[at] ?? 0) ^ 1
      for (const format of [streaming, usual]) expect(await outcome(altered, { format })).toBe('cannot_open')
    }
    expect(await outcome(gcm, { keys: keySet(otherKey) })).toBe('cannot_open')
    const oaep = opensslEncrypt(text, [mine], { keyOptions: oaepOptions })
    expect(await outcome(oaep, { keys: keySet(otherKey) })).toBe('cannot_open')
    expect(await outcome(oaep, { keys: keySet(otherKey, oldKey) })).toBe(text)
  })

  test('cut off, and bytes after the end', async () => {
    for (const message of [gcm, cbc]) {
      for (const length of [60, 200, 500, 5000, message.length - 19, message.length - 1]) {
        for (const format of [streaming, usual]) {
          expect(await outcome(message.subarray(0, length), { format })).toBe('malformed')
        }
      }
      expect(await outcome(Buffer.concat([message, Buffer.from('\n')]))).toBe('malformed')
    }
    const pem = opensslEncrypt(text, [mine], { form: 'PEM' })
    expect(await outcome(pem.subarray(0, -10))).toBe('malformed')
    expect(await outcome(pem.subarray(0, -30))).toBe('malformed')
    expect(await outcome(Buffer.concat([pem, pem]))).toBe('malformed')
    expect(await outcome(Buffer.concat([pem, Buffer.from('\n\n')]))).toBe(text)
  })

  test('a data key is never tried where only the end would tell', async () => {
    expect(await outcome(gcm, { keys: keySet(otherKey, oldKey) })).toBe('unauthenticated')
    expect(await outcome(gcm, { keys: keySet(otherKey, oldKey), format: usual })).toBe(text)
    expect(await outcome(gcm, { keys: certifiedSet(others, mine) })).toBe(text)
    expect(await outcome(cbc, { keys: keySet(otherKey, oldKey) })).toBe('unauthenticated')
    expect(await outcome(gcm, { keys: keySet() })).toBe('no_private_key')
  })

  test('what has to be in memory is read up to 16 MiB, and refused above', async () => {
    const attributes = der(0x30, oid('1.2.840.113549.1.9.3'), der(0x31, oid('1.2.840.113549.1.7.1')))
    const bound = authEnveloped(Buffer.from(text), oldKey, { attributes })
    const ccm = authEnveloped(Buffer.from(text), oldKey, { cipher: 'aes-256-ccm' })
    for (const message of [bound, ccm]) {
      expect(await outcome(message, { keys: keySet(oldKey), format: usual })).toBe(text)
      expect(await outcome(message, { keys: keySet(oldKey) })).toBe('unsupported')
    }
    const atEnd = authEnveloped(Buffer.from(text), oldKey, { isTagAtEnd: true })
    for (const size of [1, 7, 4096]) expect(await outcome(atEnd, { keys: keySet(oldKey), size })).toBe(text)
    atEnd[atEnd.length - 1] = (atEnd[atEnd.length - 1] ?? 0) ^ 1
    expect(await outcome(atEnd, { keys: keySet(oldKey) })).toBe('cannot_open')
  })

  test('more recipients than its beginning holds', async () => {
    const recipient = recipientOf(otherKey, Buffer.alloc(16))
    const algorithm = der(0x30, oid('2.16.840.1.101.3.4.1.2'), octets(Buffer.alloc(16)))
    const recipients = Array.from({ length: 1000 }, () => recipient)
    const message = messageOf({ recipients, algorithm, content: der(0x80, Buffer.alloc(16)) })
    expect(message.length).toBeGreaterThan(headBytes)
    expect(await outcome(message)).toBe('limit_exceeded')
  })

  test('an object that became another one since it was looked at', async () => {
    const value = usual.recognize(gcm, { name: 'x' })
    const reading = async () => {
      for await (const piece of value?.open(pieces(cbc, 1000), ours) ?? []) expect(piece).toBeDefined()
    }
    await expect(reading()).rejects.toMatchObject({ code: 'malformed' })
  })

  test('what the source throws is passed on, and a source is closed early', async () => {
    let isClosed = false
    async function* broken(): AsyncGenerator<Uint8Array, void, void> {
      try {
        yield gcm.subarray(0, 5000)
        throw new Error('the disk is gone')
      } finally {
        isClosed = true
      }
    }
    const read = async (source: AsyncIterable<Uint8Array>, keys: PrivateKeys) => {
      for await (const piece of streaming.recognize(gcm, { name: 'x' })?.open(source, keys) ?? []) {
        expect(piece.length).toBeGreaterThan(0)
      }
    }
    await expect(read(broken(), ours)).rejects.toThrow('the disk is gone')
    isClosed = false
    await expect(read(broken(), keySet())).rejects.toMatchObject({ code: 'no_private_key' })
    expect(isClosed).toBe(true)
  })

  test('mutated messages throw nothing but a LegacyError, and open as they do in memory', async () => {
    const seeds = [gcm, cbc, opensslEncrypt(text, [mine], { cipher: 'aes-128-gcm', form: 'PEM' })]
    const change = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.nat(3) })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...seeds),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        async (seed, changes) => {
          let message = Buffer.from(seed)
          for (const { at, byte, cut } of changes) {
            // Mostly in front, where the structure is.
            const place = at % (at % 2 === 0 ? message.length : 600)
            message = Buffer.concat([
              message.subarray(0, place),
              Buffer.from([byte]),
              message.subarray(place + cut),
            ])
          }
          const [whole, large] = [await outcome(message, { format: usual }), await outcome(message)]
          const isOpen = (one: string) => one.length > 100
          expect(isOpen(large)).toBe(isOpen(whole))
          expect(isOpen(large) ? large : '').toBe(isOpen(whole) ? whole : '')
        },
      ),
      { numRuns: 300 },
    )
  })

  test('neighbours are not recognised', () => {
    for (const head of [
      Buffer.from(mine.certificatePem),
      Buffer.from('x'),
      Buffer.alloc(0),
      randomBytes(1000),
    ]) {
      expect(usual.recognize(head, { name: 'x' })).toBeUndefined()
    }
  })
})
