import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js'
import { describe, expect, test } from 'vitest'

import { readCheckpoint, signCheckpoint } from '../../src/service/checkpoint.ts'
import type { Checkpoint } from '../../src/service/checkpoint.ts'
import { framed } from '../../src/service/framing.ts'
import { fingerprint, Signer, verifySignature } from '../../src/service/signing.ts'

const clusterId = new Uint8Array(16).fill(7)
const seed = new Uint8Array(32).fill(1)
const signer = new Signer(clusterId, seed)

describe('the signing identity', () => {
  test('is the one that another implementation derives from the seed, and verifies', () => {
    const { publicKey } = ml_dsa65.keygen(seed)
    expect(signer.publicKey).toEqual(publicKey)
    const signature = signer.sign('bundle', 'a', 1, new Uint8Array([2]))
    const message = framed('longhold/kms/v1/bundle', clusterId, 'a', 1, new Uint8Array([2]))
    expect(ml_dsa65.verify(signature, message, publicKey)).toBe(true)
    expect(
      verifySignature(
        signer,
        'bundle',
        ml_dsa65.sign(message, ml_dsa65.keygen(seed).secretKey),
        'a',
        1,
        new Uint8Array([2]),
      ),
    ).toBe(true)
  })

  test('a signature is good for its kind, cluster, parts and key alone', () => {
    const signature = signer.sign('bundle', 'a', 'b')
    const isGood = (
      kind: 'bundle' | 'checkpoint',
      from: Pick<Signer, 'clusterId' | 'publicKey'>,
      ...parts: string[]
    ) => verifySignature(from, kind, signature, ...parts)
    expect(isGood('bundle', signer, 'a', 'b')).toBe(true)
    expect(isGood('checkpoint', signer, 'a', 'b')).toBe(false)
    expect(isGood('bundle', signer, 'ab')).toBe(false)
    expect(isGood('bundle', signer, 'a', 'b', '')).toBe(false)
    expect(isGood('bundle', { publicKey: signer.publicKey, clusterId: new Uint8Array(16) }, 'a', 'b')).toBe(
      false,
    )
    expect(isGood('bundle', new Signer(clusterId, new Uint8Array(32).fill(2)), 'a', 'b')).toBe(false)
    expect(isGood('bundle', { clusterId, publicKey: new Uint8Array(3) }, 'a', 'b')).toBe(false)
    expect(verifySignature(signer, 'bundle', new Uint8Array(3), 'a', 'b')).toBe(false)
  })

  test('its fingerprint is the SHA-256 of the public key', () => {
    expect(fingerprint(new Uint8Array())).toBe(
      'e3b0 c442 98fc 1c14 9afb f4c8 996f b924 27ae 41e4 649b 934c a495 991b 7852 b855',
    )
    expect(fingerprint(signer.publicKey)).toMatch(/^([0-9a-f]{4} ){15}[0-9a-f]{4}$/u)
  })

  test('prints no secret', () => {
    expect(JSON.stringify(signer)).not.toContain('1,1,1,1')
  })
})

describe('a checkpoint', () => {
  const checkpoint: Checkpoint = {
    number: 3,
    at: Date.UTC(2026, 10, 25, 12),
    epoch: 99,
    headMac: 'ab'.repeat(32),
    chains: [{ run: '01'.repeat(16), seq: 5, mac: 'cd'.repeat(32) }],
    finalVersions: [{ key: 'patients', version: 2, state: 'destroyed' }],
    keys: [{ key: 'patients', latestVersion: 3, generation: 7 }],
    newestBackup: { backup: 'ef'.repeat(16), epoch: 98, sha256: '23'.repeat(32) },
  }
  const line = signCheckpoint(signer, checkpoint)

  test('reads back as it was', () => {
    expect(line).not.toContain('\n')
    expect(readCheckpoint(signer, line)).toEqual(checkpoint)
  })

  test('any change to its text shows', () => {
    const { body, signature } = JSON.parse(line) as { body: string; signature: string }
    const refused = (change: { body?: unknown; signature?: unknown }) => () =>
      readCheckpoint(signer, JSON.stringify({ body, signature, ...change }))
    expect(refused({})).not.toThrow()
    for (const altered of [body.replace('99', '98'), `${body} `, body.replace('"seq":5', '"seq": 5')]) {
      expect(refused({ body: altered })).toThrow('not signed by this service')
    }
    expect(refused({ signature: `${signature.slice(0, -4)}AAAA` })).toThrow('not signed by this service')
    expect(refused({ signature: '' })).toThrow('not signed by this service')
    expect(refused({ signature: '%' })).toThrow('not signed by this service')
  })

  test('of another cluster, or signed for something else, is refused', () => {
    const other = new Signer(new Uint8Array(16).fill(8), seed)
    expect(() => readCheckpoint(other, line)).toThrow('not signed by this service')
    const { body } = JSON.parse(line) as { body: string }
    const signature = Buffer.from(signer.sign('bundle', body)).toString('base64url')
    expect(() => readCheckpoint(signer, JSON.stringify({ body, signature }))).toThrow('not signed')
  })

  test.each(['', 'x', '[]', 'null', '{}', '{"body":1,"signature":"AA"}'])('%j is none', (text) => {
    expect(() => readCheckpoint(signer, text)).toThrow(expect.objectContaining({ code: 'malformed_request' }))
  })
})
