import { createHash } from 'node:crypto'
import { inflateSync } from 'node:zlib'

import { afterEach, describe, expect, test, vi } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { DataKey } from '../../src/keys/data-key.ts'
import { backend } from '../../src/primitives/backend.ts'
import {
  MessageCipher,
  bodyLength,
  chunkBytes,
  chunkNonce,
  deriveMessageKey,
  openBody,
  plaintextLength,
  preambleBytes,
  sealBody,
} from '../../src/primitives/cobblestone.ts'
import { describeBackends } from '../backends.ts'
import { syncCodeOf } from '../refusals.ts'
import { changed, filled, hex, patterned } from '../samples.ts'
import { casesOf } from '../vectors.ts'

interface ChunkedCase {
  readonly tcId: number
  readonly key: string
  readonly ctx: string
  /** zlib, then hexadecimal. */
  readonly ct: string
  readonly aeadKey?: string
  readonly baseNonce?: string
  readonly msgLength?: number
  readonly msgSha512?: string
  readonly result: 'valid' | 'invalid'
}

const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex')
const inputKey = (bytes: Uint8Array) => backend().hmac('sha512', bytes)

const cases = casesOf('wycheproof/c2sp_chunked_encryption_aes_256_gcm_test.json') as ChunkedCase[] // its shape
/** Only a data key of 32 bytes reaches the construction. */
const hasRightKey = ({ key }: ChunkedCase) => key.length === 64
const bodyOf = ({ ct }: ChunkedCase) => new Uint8Array(inflateSync(hex(ct)))

describeBackends(() => {
  test('Wycheproof: 10 messages opened and written again', () => {
    const valid = cases.filter(({ result }) => result === 'valid')
    expect(valid).toHaveLength(10)
    for (const each of valid) {
      const body = bodyOf(each)
      const context = [hex(each.ctx)]
      const plaintext = openBody(inputKey(hex(each.key)), { context, body }) ?? new Uint8Array()
      expect(plaintext, `case ${each.tcId}`).toHaveLength(each.msgLength ?? -1)
      expect(sha512(plaintext), `case ${each.tcId}`).toBe(each.msgSha512)
      const out = new Uint8Array(bodyLength(plaintext.length))
      sealBody(inputKey(hex(each.key)), { salt: body.subarray(0, 24), context, plaintext, out })
      expect(sha512(out), `case ${each.tcId}`).toBe(sha512(body))
    }
  })

  test('Wycheproof: 23 messages refused, and keys of 31 and 33 bytes', () => {
    const invalid = cases.filter(({ result }) => result === 'invalid')
    expect(invalid.filter(hasRightKey)).toHaveLength(23)
    for (const each of invalid.filter(hasRightKey)) {
      const opened = openBody(inputKey(hex(each.key)), { context: [hex(each.ctx)], body: bodyOf(each) })
      expect(opened, `case ${each.tcId}`).toBeUndefined()
    }
    const keys = invalid.filter((each) => !hasRightKey(each)).map(({ key }) => hex(key))
    expect(keys.map(({ length }) => length)).toEqual([31, 33])
    for (const key of keys) expect(syncCodeOf(() => DataKey.from(key))).toBe('bad_input')
  })

  test('Wycheproof: the keys and base nonces of 25 messages', () => {
    const derived = cases.filter(({ aeadKey }) => aeadKey !== undefined)
    expect(derived).toHaveLength(25)
    for (const each of derived) {
      const salt = bodyOf(each).subarray(0, 24)
      const { key, baseNonce } = deriveMessageKey(inputKey(hex(each.key)), salt, [hex(each.ctx)])
      expect([toHex(key), toHex(baseNonce)], `case ${each.tcId}`).toEqual([each.aeadKey, each.baseNonce])
    }
  })

  test('the parts of a context are joined: where they are cut changes nothing', () => {
    const salt = filled(1, 24)
    const whole = deriveMessageKey(inputKey(filled(2)), salt, [hex('aabbcc')])
    const parts = deriveMessageKey(inputKey(filled(2)), salt, [hex('aa'), hex(''), hex('bbcc')])
    expect(parts).toEqual(whole)
  })

  test('chunks put in another order, repeated or taken from another message do not open', () => {
    const seal = (salt: Uint8Array, plaintext: Uint8Array) => {
      const out = new Uint8Array(bodyLength(plaintext.length))
      sealBody(inputKey(filled(2)), { salt, context: [], plaintext, out })
      return out
    }
    const open = (body: Uint8Array) => openBody(inputKey(filled(2)), { context: [], body })
    const body = seal(filled(1, 24), patterned(3 * chunkBytes))
    const other = seal(filled(3, 24), patterned(3 * chunkBytes))
    const at = (chunk: number) => preambleBytes + chunk * (chunkBytes + 16)
    const chunk = (of: Uint8Array, i: number) => of.subarray(at(i), at(i + 1))

    expect(open(body)).toEqual(patterned(3 * chunkBytes))
    const swapped = changed(changed(body, at(0), ...chunk(body, 1)), at(1), ...chunk(body, 0))
    expect(open(swapped)).toBeUndefined()
    expect(open(changed(body, at(2), ...chunk(body, 1)))).toBeUndefined()
    expect(open(changed(body, at(1), ...chunk(other, 1)))).toBeUndefined()
    expect(open(body.subarray(0, at(3)))).toBeUndefined() // the final, empty chunk is missing
    expect(open(body.subarray(0, at(2)))).toBeUndefined()
  })
})

describe('chunk nonces', () => {
  const base = hex('000102030405060708090a0b')

  test.each([
    [0, '000102030405060708090a0b'],
    [1, '000102030405060708090a0a'],
    [0xff, '000102030405060708090af4'],
    [2 ** 31, '000102030405060788090a0b'],
    [2 ** 32 - 1, '0001020304050607f7f6f5f4'],
    [2 ** 32, '000102030405060608090a0b'],
    [2 ** 32 + 1, '000102030405060608090a0a'],
    [2 ** 38 - 1, '0001020304050638f7f6f5f4'],
  ])('of chunk %d', (chunk, expected) => {
    expect(toHex(chunkNonce(base, chunk))).toBe(expected)
    expect(toHex(base)).toBe('000102030405060708090a0b')
  })

  test.each([2 ** 38, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])(
    'of chunk %d there is none',
    (chunk) => {
      expect(() => chunkNonce(base, chunk)).toThrow('not below 2^38')
    },
  )
})

describe('lengths', () => {
  test.each([
    [0, 72],
    [1, 73],
    [16_383, 16_455],
    [16_384, 16_472],
    [16_385, 16_473],
    [32_768, 32_872],
  ])('%d bytes of plaintext make a body of %d', (plaintext, body) => {
    expect(bodyLength(plaintext)).toBe(body)
    expect(plaintextLength(body)).toBe(plaintext)
  })

  test('of all body lengths up to three chunks, those that no body has are named', () => {
    const real = new Set(Array.from({ length: 3 * chunkBytes }, (_, length) => bodyLength(length)))
    for (let length = 0; length < bodyLength(3 * chunkBytes); length++) {
      const found = plaintextLength(length)
      expect(found !== undefined).toBe(real.has(length))
      if (found !== undefined && bodyLength(found) !== length)
        throw new Error(`${length} is read as ${found}`)
    }
  })
})

describeBackends(() => {
  test('a wiped cipher seals and opens nothing: its key would be zeros', () => {
    const cipher = new MessageCipher(inputKey(filled(1)), filled(2, 24), [])
    const out = new Uint8Array(20)
    cipher.wipe()
    expect(syncCodeOf(() => cipher.sealChunk(0, filled(3, 4), out))).toBe('bad_input')
    expect(syncCodeOf(() => cipher.openChunk(0, out))).toBe('bad_input')
    expect(out).toEqual(new Uint8Array(20))
  })

  test('a wiped cipher has nothing to do with the next message, which may use its memory', () => {
    const cipherOf = (salt: number) => new MessageCipher(inputKey(filled(1)), filled(salt, 24), [])
    const sealedBy = (cipher: MessageCipher) => {
      const out = new Uint8Array(20)
      cipher.sealChunk(5, filled(3, 4), out)
      return toHex(out)
    }
    const [one, alive] = [cipherOf(2), cipherOf(3)]
    const [expected, preamble] = [sealedBy(one), toHex(one.preamble)]
    const ofTheLiving = sealedBy(alive)
    one.wipe()
    const again = cipherOf(2)
    one.wipe()
    const another = cipherOf(4)
    expect(syncCodeOf(() => sealedBy(one))).toBe('bad_input')
    expect(syncCodeOf(() => one.preamble)).toBe('bad_input')
    expect([sealedBy(again), toHex(again.preamble)]).toEqual([expected, preamble])
    expect(sealedBy(alive)).toBe(ofTheLiving)
    expect(sealedBy(another)).not.toBe(expected)
  })
})

describeBackends(() => {
  afterEach(() => vi.restoreAllMocks())

  const context = [filled(4, 3)]
  const plaintext = patterned(chunkBytes + 5)
  const sealed = () => {
    const out = new Uint8Array(bodyLength(plaintext.length))
    sealBody(inputKey(filled(1)), { salt: filled(2, 24), context, plaintext, out })
    return out
  }
  const openedWith = (key: Uint8Array, body: Uint8Array) => openBody(inputKey(key), { context, body })

  test.each<[string, (body: Uint8Array) => unknown]>([
    ['was sealed', sealed],
    ['was opened', (body) => openedWith(filled(1), body)],
    ['does not open under another key', (body) => openedWith(filled(7), body)],
    [
      'does not open because its end was altered',
      (body) => openedWith(filled(1), changed(body, body.length - 1, 0)),
    ],
  ])('the key of a message that %s is wiped', (_, act) => {
    const body = sealed()
    const asked = vi.spyOn(backend(), 'aes256gcm')
    act(body)
    expect(asked.mock.calls.map(([key]) => toHex(key))).toEqual(['00'.repeat(32)])
  })

  test('what was opened before a chunk that does not open is wiped', () => {
    const body = sealed()
    const aes256gcm = backend().aes256gcm.bind(backend())
    const places: Uint8Array[] = []
    vi.spyOn(backend(), 'aes256gcm').mockImplementation((key) => {
      const real = aes256gcm(key)
      return {
        ...real,
        openInto(nonce, piece, aad, out) {
          places.push(out)
          return real.openInto(nonce, piece, aad, out)
        },
      }
    })
    expect(openedWith(filled(1), body)).toEqual(plaintext)
    expect(places.map(({ length }) => length)).toEqual([chunkBytes, 5])
    expect(openedWith(filled(1), changed(body, body.length - 1, 0))).toBeUndefined()
    expect(places).toHaveLength(4)
    const hasContent = places.map((place) => place.some((byte) => byte !== 0))
    expect(hasContent).toEqual([true, true, false, false])
  })
})
