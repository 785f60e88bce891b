import { expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import type { HashName } from '../../src/primitives/backend-interface.ts'
import { backend } from '../../src/primitives/backend.ts'
import { chunkNonce } from '../../src/primitives/cobblestone.ts'
import { keySchedule, openBase, sealBase } from '../../src/primitives/hpke.ts'
import type { HpkeSuite } from '../../src/primitives/hpke.ts'
import { mlKem768X25519 } from '../../src/primitives/hybrid-kem.ts'
import '../../src/primitives/mlkem1024-p384.ts' // with SHA-384 for the portable backend
import { describeBackends } from '../backends.ts'
import { filled, flipped, hex } from '../samples.ts'
import { readVectors } from '../vectors.ts'

interface HpkeVector {
  readonly mode: number
  readonly kem_id: number
  readonly kdf_id: number
  readonly aead_id: number
  readonly info: string
  readonly shared_secret: string
  readonly key: string
  readonly base_nonce: string
  readonly encryptions: readonly {
    readonly seq?: number
    readonly aad: string
    readonly ct: string
    readonly nonce: string
    readonly pt: string
  }[]
}

/** Our own suite, in the file of vectors made for it. */
interface SuiteVector {
  readonly skR: string
  readonly enc: string
  readonly info: string
  readonly aad: string
  readonly pt: string
  readonly ct: string
}

const hashes: Readonly<Record<number, HashName>> = { 1: 'sha256', 2: 'sha384', 3: 'sha512' }
const ours: HpkeSuite = { kemId: 0x647a, kdfId: 1, aeadId: 2, hash: 'sha256' }

/** Mode Base, the two-stage schedule, and an AEAD with keys of 32 bytes: AES-256-GCM or ChaCha20-Poly1305. */
const applicable = ({ mode, kdf_id, aead_id }: HpkeVector) =>
  mode === 0 && hashes[kdf_id] !== undefined && (aead_id === 2 || aead_id === 3)

describeBackends(() => {
  test.each([
    ['hpke/hpke-pq-04.test-vectors.json', 3, 20],
    ['hpke/rfc9180-dhkem-x25519-base-psk.json', 4, 12],
  ])('the key schedule of %s, %d vectors, and %d AES-256-GCM messages', (file, schedules, messages) => {
    const vectors = (readVectors(file) as HpkeVector[]).filter(applicable)
    expect(vectors).toHaveLength(schedules)
    let checked = 0
    for (const vector of vectors) {
      const hash = hashes[vector.kdf_id] ?? 'sha256'
      const suite = { kemId: vector.kem_id, kdfId: vector.kdf_id, aeadId: vector.aead_id, hash }
      const { key, baseNonce } = keySchedule(suite, hex(vector.shared_secret), hex(vector.info))
      expect(toHex(key)).toBe(vector.key)
      expect(toHex(baseNonce)).toBe(vector.base_nonce)
      if (vector.aead_id !== 2) continue
      vector.encryptions.forEach(({ seq, aad, ct, nonce, pt }, i) => {
        const nonceOfMessage = chunkNonce(baseNonce, seq ?? i) // RFC 9180 §5.2 computes it as Cobblestone does
        expect(toHex(nonceOfMessage)).toBe(nonce)
        const sealed = new Uint8Array(ct.length / 2)
        backend().aes256gcm(key).seal(nonceOfMessage, hex(pt), hex(aad), sealed)
        expect(toHex(sealed)).toBe(ct)
        checked++
      })
    }
    expect(checked).toBe(messages)
  })

  test('single shot, our suite: what the vectors sealed opens, under its own info alone', () => {
    const { vectors } = readVectors('longhold/hpke-647a-0001-0002.json') as { vectors: SuiteVector[] }
    const withoutAad = vectors.filter(({ aad }) => aad === '')
    expect(vectors).toHaveLength(4)
    expect(withoutAad.length).toBeGreaterThan(0)
    for (const { skR, enc, info, pt, ct } of withoutAad) {
      const key = mlKem768X25519.decapsulationKey(hex(skR))
      const sealed = { encapsulatedKey: hex(enc), ciphertext: hex(ct) }
      expect(openBase(ours, key, { ...sealed, info: hex(info) })).toEqual(hex(pt))
      expect(openBase(ours, key, { ...sealed, info: hex(`${info}00`) })).toBeUndefined()
    }
  })

  test('another KDF or AEAD id is another suite, though the functions are the same', () => {
    const key = mlKem768X25519.decapsulationKey(filled(4))
    const message = { info: filled(1), plaintext: filled(2) }
    const sealed = sealBase(ours, mlKem768X25519.encapsulationKey(key.publicKey), message)
    const encapsulatedKey = sealed.subarray(0, 1120)
    const sealedText = sealed.subarray(1120)
    expect(sealedText).toHaveLength(32 + 16)
    const open = (suite: HpkeSuite, ciphertext = sealedText) =>
      openBase(suite, key, { encapsulatedKey, info: message.info, ciphertext })
    expect(open(ours)).toEqual(message.plaintext)
    expect(open({ ...ours, kdfId: 3 })).toBeUndefined()
    expect(open({ ...ours, aeadId: 1 })).toBeUndefined()
    expect(open({ ...ours, kemId: 0x0050 })).toBeUndefined()
    expect(open(ours, flipped(sealedText, 0))).toBeUndefined()
  })

  test('the shared secret is wiped by the schedule', () => {
    const sharedSecret = filled(6)
    keySchedule(ours, sharedSecret, filled(1))
    expect(sharedSecret).toEqual(new Uint8Array(32))
  })
})
