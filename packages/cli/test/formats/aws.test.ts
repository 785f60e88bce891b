import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto'

import { AlgorithmSuiteIdentifier as suites } from '@aws-crypto/material-management-node'
import { describe, expect, test } from 'vitest'

import { looksLikeAwsMessage, readAwsMessage } from '../../src/formats/aws-message.ts'
import { awsStreamFormat } from '../../src/formats/aws-stream.ts'
import { awsFormat } from '../../src/formats/aws.ts'
import type { AwsSettings } from '../../src/formats/built-in-settings.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { Cell, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { awsEncrypt } from '../support/aws-encrypt.ts'
import { keySet, makeJwe, oldKey, openNow, otherKey, wrapOaep } from '../support/legacy-values.ts'

const format = (settings: Partial<AwsSettings> = {}, columns: readonly string[] = ['body']) =>
  awsFormat({ context: {}, padding: undefined, ...settings }, columns)

function attempt(cells: readonly Cell[] | Cell, keys: PrivateKeys = keySet(oldKey), made = format()): string {
  const value = made.recognize(Array.isArray(cells) ? cells : [cells as Cell])
  if (value === undefined) return 'not recognised'
  try {
    return `opened ${openNow(value, keys).toString()}`
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

/** The same message as a whole object, in pieces of 11 bytes. */
async function attemptStream(message: Buffer, keys: PrivateKeys = keySet(oldKey)): Promise<string> {
  const stream = awsStreamFormat({ context: {}, padding: undefined })
  const found = stream.recognize(message, { name: 'a/b' })
  if (found === undefined) return 'not recognised'
  const parts: Uint8Array[] = []
  try {
    for await (const part of found.open(piecesOf(message), keys)) parts.push(part)
    return `opened ${Buffer.concat(parts).toString()}`
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

async function* piecesOf(message: Buffer) {
  for (let at = 0; at < message.length; at += 11) yield message.subarray(at, at + 11)
}

const all = Object.values(suites).filter((id): id is suites => typeof id === 'number')
const text = 'a secret of several frames'

describe('what the SDK writes', () => {
  test('has all eleven suites', () => {
    expect(all.length).toBe(11)
  })

  test.each(all)('suite %i, in frames of several sizes, as bytes and as base64', async (suiteId) => {
    for (const plaintext of ['', 'x', text]) {
      for (const frameLength of [1, 13, text.length, 4096]) {
        const message = await awsEncrypt(plaintext, { suiteId, frameLength })
        expect(attempt(message)).toBe(`opened ${plaintext}`)
        expect(attempt(message.toString('base64'))).toBe(`opened ${plaintext}`)
        expect(await attemptStream(message)).toBe(`opened ${plaintext}`)
      }
    }
  })

  test.each(['pkcs1', 'sha1', 'sha256', 'sha384', 'sha512'] as const)('padding %s', async (padding) => {
    const message = await awsEncrypt(text, { padding })
    expect(attempt(message)).toBe(`opened ${text}`)
    const named = padding === 'pkcs1' ? padding : (`oaep-${padding}` as const)
    const said = format({ padding: named })
    expect(attempt(message, keySet(oldKey), said)).toBe(`opened ${text}`)
    expect(said.recognize([message])?.wrapping).toBe(`RSA ${named}`)
    const other = format({ padding: named === 'pkcs1' ? 'oaep-sha1' : 'pkcs1' })
    expect(attempt(message, keySet(oldKey), other)).toBe('cannot_open')
  })

  test('says what it is', async () => {
    const suiteId = suites.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
    expect(format().recognize([await awsEncrypt(text, { suiteId })])).toMatchObject({
      keyId: 'orders/2019',
      wrapping: 'RSA',
      body: 'AES-256-GCM, committing, signed',
      isAuthenticated: true,
    })
  })

  test('base64 with line ends, in a text or as bytes', async () => {
    const lines = (await awsEncrypt(text)).toString('base64').replaceAll(/.{76}/g, '$&\r\n')
    expect(attempt(lines)).toBe(`opened ${text}`)
    expect(attempt(Buffer.from(`${lines}\n`))).toBe(`opened ${text}`)
    expect(attempt(lines.replace(/.$/, '*'))).toBe('malformed')
  })

  test('a body in one piece, which the SDK for JavaScript no longer writes', () => {
    expect(attempt(wholeBody(text))).toBe(`opened ${text}`)
    expect(attempt(wholeBody(''))).toBe('opened ')
    const cut = wholeBody(text).subarray(0, -1)
    expect(attempt(cut)).toBe('malformed')
  })
})

/** After `data-format/message-body.md` of the specification, nonframed data. */
function wholeBody(plaintext: string): Buffer {
  const dataKey = randomBytes(32)
  const messageId = randomBytes(16)
  const suiteId = Buffer.from([0x01, 0x78])
  const info = Buffer.concat([suiteId, messageId])
  const key = Buffer.from(hkdfSync('sha256', dataKey, '', info, 32))
  const field = (bytes: Uint8Array | string) => {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(Buffer.from(bytes).length)
    return Buffer.concat([length, Buffer.from(bytes)])
  }
  const wrapped = wrapOaep(dataKey, { hash: 'sha256', mgf1Hash: 'sha256', label: new Uint8Array() })
  const header = Buffer.concat([
    Buffer.from([1, 0x80]),
    suiteId,
    messageId,
    Buffer.from([0, 0, 0, 1]),
    field('orders'),
    field('2019'),
    field(wrapped),
    Buffer.from([1, 0, 0, 0, 0, 12, 0, 0, 0, 0]),
  ])
  const seal = (iv: Uint8Array, aad: Uint8Array, content: string) => {
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(aad)
    return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()])
  }
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(plaintext.length))
  const iv = randomBytes(12)
  const name = Buffer.from('AWSKMSEncryptionClient Single Block')
  const aad = Buffer.concat([messageId, name, Buffer.from([0, 0, 0, 1]), length])
  const headerTag = seal(new Uint8Array(12), header, '')
  return Buffer.concat([header, Buffer.alloc(12), headerTag, iv, length, seal(iv, aad, plaintext)])
}

describe('whole objects', () => {
  test('of many frames, in base64, and with a body in one piece', async () => {
    const long = 'z'.repeat(50_000)
    const message = await awsEncrypt(long, { frameLength: 1000 })
    expect(await attemptStream(message)).toBe(`opened ${long}`)
    expect(await attemptStream(message, keySet(otherKey))).toBe('cannot_open')
    expect(await attemptStream(Buffer.from(message.toString('base64')))).toBe(`opened ${long}`)
    expect(await attemptStream(wholeBody(text))).toBe(`opened ${text}`)
    expect(awsStreamFormat({ context: {} }).recognize(message, { name: 'x' })?.keyId).toBe('orders/2019')
  })

  test('every byte counts, and the signature', async () => {
    const signed = await awsEncrypt(text, {
      suiteId: suites.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384,
      frameLength: 10,
    })
    for (let at = 0; at < signed.length; at += 13) {
      const altered = Buffer.from(signed)
      altered[at] = (altered[at] ?? 0) ^ 0x01
      expect(await attemptStream(altered), `byte ${at}`).not.toMatch(/^opened/)
    }
    const last = Buffer.from(signed)
    last[last.length - 1] = (last.at(-1) ?? 0) ^ 0x01
    expect(await attemptStream(last)).toBe('cannot_open')
  })

  test('other objects are not taken for it, and one that changes is refused', async () => {
    expect(await attemptStream(Buffer.from('a text'))).toBe('not recognised')
    expect(await attemptStream(randomBytes(500).fill(0, 0, 4))).toBe('not recognised')
    const [one, other] = [await awsEncrypt(text), await awsEncrypt(text)]
    const found = awsStreamFormat({ context: {} }).recognize(one, { name: 'x' })
    const read = async () => await Array.fromAsync(found?.open(piecesOf(other), keySet(oldKey)) ?? [])
    await expect(read()).rejects.toThrow('it changed while it was read')
    expect(() => awsStreamFormat({ context: { tenant: { column: 'owner' } } })).toThrow(RangeError)
  })
})

describe('which key', () => {
  test('is named by namespace and name, by name, or by nothing', async () => {
    const message = await awsEncrypt(text)
    const named = (keyIds: string[]) => new PrivateKeySet([{ name: 'a', key: oldKey, keyIds }])
    expect(attempt(message, named(['orders/2019']))).toBe(`opened ${text}`)
    expect(attempt(message, named(['2019']))).toBe(`opened ${text}`)
    expect(attempt(message, named(['2020']))).toBe('no_private_key')
    expect(attempt(message, keySet(otherKey))).toBe('cannot_open')
    expect(attempt(message, keySet(otherKey, oldKey))).toBe(`opened ${text}`)
    expect(attempt(message, keySet())).toBe('no_private_key')
  })

  test('may be that of any recipient', async () => {
    const message = await awsEncrypt(text, { also: otherKey })
    expect(attempt(message, keySet(oldKey))).toBe(`opened ${text}`)
    expect(attempt(message, keySet(otherKey))).toBe(`opened ${text}`)
  })

  test('is of AWS KMS alone', async () => {
    const message = await awsEncrypt(text)
    const at = message.indexOf('orders')
    const kms = Buffer.concat([
      message.subarray(0, at - 2),
      Buffer.from([0, 7]),
      Buffer.from('aws-kms'),
      message.subarray(at + 6),
    ])
    expect(attempt(kms)).toBe('unsupported')
    expect(format().recognize([kms])?.wrapping).toBe('AWS KMS')
  })
})

describe('the encryption context', () => {
  test('must hold what the settings say, as text or out of a column', async () => {
    const message = await awsEncrypt(text, { context: { tenant: 'ann', kind: 'note' } })
    const bound = format({ context: { tenant: { column: 'owner' }, kind: 'note' } }, ['body', 'owner'])
    expect(attempt([message, 'ann'], keySet(oldKey), bound)).toBe(`opened ${text}`)
    expect(attempt([message, 'bob'], keySet(oldKey), bound)).toBe('cannot_open')
    expect(attempt([message, null], keySet(oldKey), bound)).toBe('cannot_open')
    const other = format({ context: { kind: 'letter' } })
    expect(attempt(message, keySet(oldKey), other)).toBe('cannot_open')
    expect(() => format({ context: { tenant: { column: 'owner' } } })).toThrow(RangeError)
  })
})

describe('bad input', () => {
  const signed = awsEncrypt(text, {
    suiteId: suites.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    frameLength: 10,
  })
  const plain = awsEncrypt(text, { suiteId: suites.ALG_AES128_GCM_IV12_TAG16, frameLength: 10 })

  test.each([
    ['signed', signed],
    ['plain', plain],
  ])('every byte of a %s message counts', async (_, made) => {
    const message = await made
    const said = format({ padding: 'oaep-sha256' })
    for (let at = 0; at < message.length; at++) {
      const altered = Buffer.from(message)
      altered[at] = (altered[at] ?? 0) ^ 0x01
      expect(attempt(altered, keySet(oldKey), said), `byte ${at}`).not.toMatch(/^opened/)
    }
  })

  test.each([
    ['signed', signed],
    ['plain', plain],
  ])('a %s message that is cut, or has more behind it', async (_, made) => {
    const message = await made
    for (let length = 40; length < message.length; length += 7)
      expect(attempt(message.subarray(0, length))).toBe('malformed')
    expect(attempt(Buffer.concat([message, Buffer.alloc(1)]))).toBe('malformed')
    for (let length = 40; length < message.length; length += 31)
      expect(await attemptStream(message.subarray(0, length))).toBe('malformed')
    expect(await attemptStream(Buffer.concat([message, Buffer.alloc(1)]))).toBe('malformed')
  })

  test('a signed message without its signature, or with that of another', async () => {
    const message = await signed
    const { signature } = readAwsMessage(message)
    const body = signature?.covered ?? message
    expect(attempt(Buffer.from(body))).toBe('malformed')
    expect(attempt(Buffer.concat([body, Buffer.alloc(2)]))).toBe('cannot_open')
    const other = readAwsMessage(
      await awsEncrypt('other', {
        suiteId: suites.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
      }),
    )
    const theirs = other.signature?.bytes ?? new Uint8Array()
    expect(attempt(Buffer.concat([body, Buffer.from([0, theirs.length]), theirs]))).toBe('cannot_open')
  })

  test('frames of another message, or in another order', async () => {
    const message = await plain
    const { header } = readAwsMessage(message)
    const size = 4 + 12 + 10 + 16
    const swapped = Buffer.concat([
      message.subarray(0, header.end),
      message.subarray(header.end + size, header.end + 2 * size),
      message.subarray(header.end, header.end + size),
      message.subarray(header.end + 2 * size),
    ])
    expect(attempt(swapped)).toBe('malformed')
  })

  test('neighbours are not taken for it', async () => {
    expect(attempt(await makeJwe('x'))).toBe('not recognised')
    expect(attempt('AYABxyz')).toBe('not recognised')
    expect(attempt('AgR4')).toBe('not recognised')
    expect(attempt(Buffer.from([2, 4, 0x78]))).toBe('not recognised')
    expect(attempt(Buffer.from('LHR not it'))).toBe('not recognised')
    expect(attempt(null)).toBe('not recognised')
    expect(attempt(7)).toBe('not recognised')
    expect(looksLikeAwsMessage(randomBytes(0))).toBe(false)
    expect(looksLikeAwsMessage(Buffer.from([1, 0x80, 0x04, 0x78]))).toBe(false)
  })
})
