import { createHmac } from 'node:crypto'

import { expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { backend } from '../../src/primitives/backend.ts'
import { hkdfExpand } from '../../src/primitives/kdf.ts'
import '../../src/primitives/mlkem1024-p384.ts' // with SHA-384 for the portable backend
import { describeBackends } from '../backends.ts'
import { filled, hex, patterned } from '../samples.ts'
import { casesOf, tally } from '../vectors.ts'

interface HkdfCase {
  readonly tcId: number
  readonly ikm: string
  readonly salt: string
  readonly info: string
  readonly size: number
  readonly okm: string
  readonly result: 'valid' | 'invalid'
}

describeBackends(() => {
  // The three cases of each file that are invalid ask for more than 255 blocks (RFC 5869 §2.3). The library asks for
  // 76 bytes at most and has no such check: they have nothing to apply to.
  test.each([
    ['sha256', 83, 3],
    ['sha384', 80, 3],
    ['sha512', 80, 3],
  ] as const)('Wycheproof HKDF with %s: %d outputs of our HMAC, then our expand', (hash, valid, invalid) => {
    const cases = casesOf(`wycheproof/hkdf_${hash}_test.json`) as HkdfCase[] // its shape
    expect(tally(cases.map(({ result }) => result))).toEqual({ valid, invalid })
    for (const { tcId, salt, ikm, info, size, okm } of cases.filter(({ result }) => result === 'valid')) {
      const prk = backend().hmac(hash, hex(salt)).mac(hex(ikm))
      expect(toHex(hkdfExpand(backend().hmac(hash, prk), [hex(info)], size)), `case ${tcId}`).toBe(okm)
    }
  })

  test('the example of RFC 5869 appendix A.1', () => {
    const prk = hex('077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5')
    const okm = hkdfExpand(backend().hmac('sha256', prk), [hex('f0f1f2f3f4'), hex('f5f6f7f8f9')], 42)
    expect(toHex(okm)).toBe(
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    )
  })

  test('is that of RFC 5869 at every length of info and output, and leaves nothing to the next one', () => {
    const hmac = backend().hmac('sha512', filled(3))
    const bare = (...parts: readonly Uint8Array[]) =>
      createHmac('sha512', filled(3)).update(Buffer.concat(parts)).digest()
    for (const infoLength of [0, 1, 200, 1800, 1855, 1856, 1857, 8300]) {
      const info = patterned(infoLength)
      for (const length of [1, 63, 64, 65, 128, 129]) {
        let [block, expected] = [Buffer.alloc(0), Buffer.alloc(0)]
        for (let i = 1; expected.length < length; i++) {
          block = bare(block, info, Uint8Array.of(i))
          expected = Buffer.concat([expected, block])
        }
        const parts = [info.subarray(0, 7), info.subarray(7)]
        expect(toHex(hkdfExpand(hmac, parts, length))).toBe(expected.toString('hex', 0, length))
      }
      expect(toHex(hmac.mac(info))).toBe(bare(info).toString('hex'))
    }
  })

  test('HMAC with keys shorter than, as long as and longer than a block (RFC 4231, cases 2 and 6)', () => {
    const short = backend().hmac('sha256', hex('4a656665'))
    const question = new TextEncoder().encode('what do ya want for nothing?')
    const answer = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
    expect(toHex(short.mac(question))).toBe(answer)
    expect(toHex(short.mac(question.subarray(0, 5), new Uint8Array(), question.subarray(5)))).toBe(answer)

    const long = backend().hmac('sha256', filled(0xaa, 131))
    const text = new TextEncoder().encode('Test Using Larger Than Block-Size Key - Hash Key First')
    expect(toHex(long.mac(text))).toBe('60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54')
    for (const length of [63, 64, 65, 127, 128, 129]) {
      const key = filled(5, length)
      expect(backend().hmac('sha512', key).mac(key)).toHaveLength(64)
    }
  })

  test('an HMAC that was wiped is of no use, and leaves nothing to the next one', () => {
    const message = new TextEncoder().encode('what do ya want for nothing?')
    const wiped = backend().hmac('sha256', filled(0xaa, 64))
    wiped.mac(filled(7, 3000)) // longer than the buffer that is kept
    wiped.mac(filled(7, 1000))
    wiped.wipe()
    wiped.wipe()
    expect(() => wiped.mac(message)).toThrow()
    expect(() => hkdfExpand(wiped, [message], 32)).toThrow()

    const next = backend().hmac('sha256', hex('4a656665'))
    const other = backend().hmac('sha256', hex('4a656665')) // two that are alive share nothing
    const otherKey = backend().hmac('sha256', filled(1, 32))
    expect(toHex(otherKey.mac(message))).toBe(
      createHmac('sha256', filled(1, 32)).update(message).digest('hex'),
    )
    for (const hmac of [next, other]) {
      expect(toHex(hmac.mac(message))).toBe(
        '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
      )
    }
  })

  test('the hashes of FIPS 180-4 and FIPS 202, of the empty message', () => {
    const hashes = backend()
    const empty = new Uint8Array()
    expect(toHex(hashes.sha256(empty))).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    expect(toHex(hashes.sha3_256(empty))).toBe(
      'a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a',
    )
    expect(toHex(hashes.shake256(empty, 32))).toBe(
      '46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f',
    )
    expect(hashes.shake256(empty, 96).subarray(0, 32)).toEqual(hashes.shake256(empty, 32))
  })
})
