import { createPrivateKey, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import type { OaepHash, OaepParameters } from '../../src/formats/legacy-format.ts'
import { decodeOaep, hashBytes } from '../../src/legacy-keys/oaep.ts'
import { RsaPrivateKey } from '../../src/legacy-keys/rsa-private-key.ts'
import { encryptRaw, oldKey, wrapOaep } from '../support/legacy-values.ts'

interface Vectors {
  readonly numberOfTests: number
  readonly testGroups: readonly {
    readonly sha: string
    readonly mgfSha: string
    readonly privateKeyPem: string
    readonly tests: readonly {
      readonly tcId: number
      readonly comment: string
      readonly msg: string
      readonly ct: string
      readonly label: string
      readonly result: 'valid' | 'invalid' | 'acceptable'
    }[]
  }[]
}

const names: Readonly<Record<string, OaepHash>> = { 'SHA-1': 'sha1', 'SHA-256': 'sha256' }

describe.each(['sha1_mgf1sha1', 'sha256_mgf1sha1', 'sha256_mgf1sha256'])(
  'Wycheproof RSA-OAEP 2048 %s',
  (name) => {
    const url = new URL(
      `../../../../test/vectors/wycheproof/rsa_oaep_2048_${name}_test.json`,
      import.meta.url,
    )
    const vectors = JSON.parse(readFileSync(url, 'utf8')) as Vectors
    const cases = vectors.testGroups.flatMap((group) => {
      const key = new RsaPrivateKey('vectors', createPrivateKey(group.privateKeyPem))
      const hash = names[group.sha] ?? 'sha512'
      const mgf1Hash = names[group.mgfSha] ?? 'sha512'
      return group.tests.map((one) => ({ ...one, key, hash, mgf1Hash }))
    })

    test('every case is there', () => {
      expect(cases.length).toBe(vectors.numberOfTests)
      expect(cases.length).toBeGreaterThan(30)
    })

    test.each(cases)('$tcId $comment ($result)', ({ key, hash, mgf1Hash, label, msg, ct, result }) => {
      const parameters: OaepParameters = { hash, mgf1Hash, label: Buffer.from(label, 'hex') }
      const wrapped = Buffer.from(ct, 'hex')
      const expected = result === 'invalid' ? undefined : msg
      // Our own decoding, whatever the hashes; and the way the class takes, which is OpenSSL's where it can be.
      let own: Uint8Array | undefined
      if (wrapped.length === key.modulusBytes) {
        try {
          own = decodeOaep(key.rawDecrypt(wrapped), parameters)
        } catch {
          own = undefined // a number beyond the modulus
        }
      }
      expect(own && Buffer.from(own).toString('hex')).toBe(expected)
      const unwrapped = key.unwrapOaep(wrapped, parameters)
      expect(unwrapped && Buffer.from(unwrapped).toString('hex')).toBe(expected)
    })
  },
)

describe('our own decoding', () => {
  const hashes = Object.keys(hashBytes) as OaepHash[]
  const pairs = hashes.flatMap((hash) => hashes.map((mgf1Hash) => ({ hash, mgf1Hash })))
  const key = new RsaPrivateKey('old', oldKey)

  test.each(pairs)('label $hash, MGF1 $mgf1Hash', ({ hash, mgf1Hash }) => {
    const parameters = { hash, mgf1Hash, label: Buffer.from('a label') }
    const longest = key.modulusBytes - 2 * hashBytes[hash] - 2
    for (const length of [0, 1, 32, longest]) {
      const message = randomBytes(length)
      const wrapped = wrapOaep(message, parameters)
      expect(Buffer.from(decodeOaep(key.rawDecrypt(wrapped), parameters) ?? [255])).toEqual(message)
      expect(Buffer.from(key.unwrapOaep(wrapped, parameters) ?? [255])).toEqual(message)
      const otherLabel = { ...parameters, label: Buffer.from('another') }
      expect(decodeOaep(key.rawDecrypt(wrapped), otherLabel)).toBeUndefined()
    }
  })

  test('every byte of the encoded message matters', () => {
    const parameters = { hash: 'sha256', mgf1Hash: 'sha1', label: new Uint8Array() } as const
    const wrapped = wrapOaep(randomBytes(32), parameters)
    const encoded = key.rawDecrypt(wrapped)
    let refused = 0
    // The message itself is not covered by OAEP: its 32 bytes are masked, and any of them may be what was meant.
    for (let at = 0; at < encoded.length - 32; at++) {
      const changed = Buffer.from(encoded)
      changed[at] = (changed[at] ?? 0) ^ 1
      if (decodeOaep(changed, parameters) === undefined) refused++
    }
    expect(refused).toBe(encoded.length - 32)
  })

  test('wipes what it was given', () => {
    const parameters = { hash: 'sha256', mgf1Hash: 'sha1', label: new Uint8Array() } as const
    const encoded = key.rawDecrypt(wrapOaep(Buffer.from('data key'), parameters))
    decodeOaep(encoded, parameters)
    expect(encoded.every((byte) => byte === 0)).toBe(true)
  })

  test.each([0, 1, 41])('an encoded message of %i bytes is too short', (length) => {
    expect(
      decodeOaep(Buffer.alloc(length), { hash: 'sha1', mgf1Hash: 'sha1', label: new Uint8Array() }),
    ).toBeUndefined()
  })

  test('a wrapped key of another length is refused without asking OpenSSL', () => {
    const parameters = { hash: 'sha256', mgf1Hash: 'sha256', label: new Uint8Array() } as const
    const wrapped = wrapOaep(randomBytes(32), parameters)
    expect(key.unwrapOaep(wrapped.subarray(1), parameters)).toBeUndefined()
    expect(key.unwrapOaep(Buffer.concat([Buffer.alloc(1), wrapped]), parameters)).toBeUndefined()
  })

  test('zeros all the way are no message', () => {
    const parameters = { hash: 'sha256', mgf1Hash: 'sha1', label: new Uint8Array() } as const
    expect(key.unwrapOaep(encryptRaw(Buffer.alloc(256)), parameters)).toBeUndefined()
  })
})
