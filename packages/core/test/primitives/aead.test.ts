import * as crypto from 'node:crypto'

import { afterEach, expect, test, vi } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { backend, testingUseBackend } from '../../src/primitives/backend.ts'
import { describeBackends } from '../backends.ts'
import { filled, flipped, hex } from '../samples.ts'
import { casesOf } from '../vectors.ts'

interface AeadCase {
  readonly tcId: number
  readonly keySize: number
  readonly ivSize: number
  readonly tagSize: number
  readonly key: string
  readonly iv: string
  readonly aad: string
  readonly msg: string
  readonly ct: string
  readonly tag: string
  readonly result: 'valid' | 'invalid'
}

describeBackends(() => {
  const ours = (result: AeadCase['result']) =>
    (casesOf('wycheproof/aes_gcm_test.json') as AeadCase[]).filter(
      (each) => each.keySize === 256 && each.ivSize === 96 && each.tagSize === 128 && each.result === result,
    )

  test('Wycheproof: 39 messages with keys of 256, nonces of 96 and tags of 128 bits', () => {
    const cases = ours('valid')
    expect(cases).toHaveLength(39)
    for (const { tcId, key, iv, aad, msg, ct, tag } of cases) {
      const aead = backend().aes256gcm(hex(key))
      const sealed = new Uint8Array(msg.length / 2 + 16)
      aead.seal(hex(iv), hex(msg), hex(aad), sealed)
      expect(toHex(sealed), `case ${tcId}`).toBe(ct + tag)
      const opened = aead.open(hex(iv), sealed, hex(aad)) ?? filled(0xee)
      expect(toHex(opened), `case ${tcId}`).toBe(msg)
      const into = new Uint8Array(opened.length)
      expect(aead.openInto(hex(iv), sealed, hex(aad), into), `case ${tcId}`).toBe(true)
      expect(toHex(into), `case ${tcId}`).toBe(msg)
    }
  })

  test('Wycheproof: 27 altered tags', () => {
    const cases = ours('invalid')
    expect(cases).toHaveLength(27)
    for (const { tcId, key, iv, aad, ct, tag } of cases) {
      const aead = backend().aes256gcm(hex(key))
      expect(aead.open(hex(iv), hex(ct + tag), hex(aad)), `case ${tcId}`).toBeUndefined()
      const into = filled(7, ct.length / 2)
      expect(aead.openInto(hex(iv), hex(ct + tag), hex(aad), into), `case ${tcId}`).toBe(false)
      expect(into, `case ${tcId}`).toEqual(filled(7, ct.length / 2))
    }
  })

  test('a wrong tag gives nothing, whichever bit is another', () => {
    const aead = backend().aes256gcm(filled(1))
    const sealed = new Uint8Array(48)
    aead.seal(filled(2, 12), filled(3), new Uint8Array(), sealed)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      expect(aead.open(filled(2, 12), flipped(sealed, bit), new Uint8Array())).toBeUndefined()
    }
  })

  test.each([0, 1, 100, 4096, 16_384])('%i bytes of plaintext share their memory with nothing', (length) => {
    const aead = backend().aes256gcm(filled(1))
    const sealed = new Uint8Array(length + 16)
    aead.seal(filled(2, 12), filled(3, length), new Uint8Array(), sealed)
    const opened = aead.open(filled(2, 12), sealed, new Uint8Array()) ?? filled(0xee)
    expect(opened).toStrictEqual(filled(3, length)) // a Buffer would be something else
    expect(opened.buffer.byteLength).toBe(length)
  })

  test.each([0, 1, 4095, 4096, 16_384])('%i bytes opened into the place that was given', (length) => {
    const aead = backend().aes256gcm(filled(1))
    const sealed = new Uint8Array(length + 16)
    aead.seal(filled(2, 12), filled(3, length), new Uint8Array(), sealed)
    const around = filled(7, length + 2)
    const place = around.subarray(1, length + 1)
    expect(aead.openInto(filled(2, 12), sealed, new Uint8Array(), place)).toBe(true)
    expect(around).toEqual(Uint8Array.of(7, ...filled(3, length), 7))
  })
})

afterEach(() => {
  vi.restoreAllMocks()
  testingUseBackend('chosen')
})

/** What node:crypto decrypted while `act` ran. */
function decryptedBy(act: () => void): Buffer[] {
  const update = vi.spyOn(crypto.Decipheriv.prototype, 'update')
  act()
  return update.mock.results.map(({ value }) => value as Buffer) // update without an encoding gives these
}

test('what node:crypto decrypted before it saw the wrong tag is wiped', () => {
  testingUseBackend('native')
  const aead = backend().aes256gcm(filled(1))
  const sealed = new Uint8Array(48)
  aead.seal(filled(2, 12), filled(3), new Uint8Array(), sealed)
  const decrypted = decryptedBy(() => aead.open(filled(2, 12), flipped(sealed, 383), new Uint8Array()))
  expect(decrypted.map((bytes) => toHex(bytes))).toEqual(['00'.repeat(32)])
})

test.each([4095, 4096])(
  'what node:crypto made on the way to %i bytes is left with nothing in it',
  (length) => {
    testingUseBackend('native')
    const aead = backend().aes256gcm(filled(1))
    const sealed = new Uint8Array(length + 16)
    aead.seal(filled(2, 12), filled(3, length), new Uint8Array(), sealed)
    const decrypted = decryptedBy(() =>
      aead.openInto(filled(2, 12), sealed, new Uint8Array(), new Uint8Array(length)),
    )
    expect(decrypted.map(({ buffer }) => buffer.byteLength)).toEqual([length < 4096 ? length : 0])
    const left = decrypted.flatMap(({ buffer }) => (buffer.byteLength > 0 ? [...new Uint8Array(buffer)] : []))
    expect(left.some((byte) => byte !== 0)).toBe(false)
  },
)

test('what a runtime decrypts into a pool comes out in memory of its own, and leaves none there', () => {
  testingUseBackend('native')
  const aead = backend().aes256gcm(filled(1))
  const sealed = new Uint8Array(48)
  aead.seal(filled(2, 12), filled(3), new Uint8Array(), sealed)
  const pool = Buffer.alloc(100, 7)
  vi.spyOn(crypto.Decipheriv.prototype, 'update').mockImplementation(() => {
    pool.fill(3, 10, 42)
    return pool.subarray(10, 42) as never // the encodings that give text are not used
  })
  vi.spyOn(crypto.Decipheriv.prototype, 'final').mockReturnValue(Buffer.alloc(0) as never) // as above
  const opened = aead.open(filled(2, 12), sealed, new Uint8Array())
  expect(opened).toStrictEqual(filled(3))
  expect(opened?.buffer.byteLength).toBe(32)
  expect(toHex(pool)).toBe('07'.repeat(10) + '00'.repeat(32) + '07'.repeat(58))
})
