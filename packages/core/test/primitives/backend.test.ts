import crypto from 'node:crypto'

import { afterEach, describe, expect, test, vi } from 'vitest'

import type { Backend } from '../../src/primitives/backend-interface.ts'
import { nativeBackend } from '../../src/primitives/backend-native.ts'
import { nobleBackend } from '../../src/primitives/backend-noble.ts'
import { backend, testingUseBackend } from '../../src/primitives/backend.ts'
import '../../src/primitives/mlkem1024-p384.ts' // with SHA-384 for the portable one
import { roundTrips } from '../../src/primitives/round-trips.ts'
import { filled } from '../samples.ts'

const native = nativeBackend() ?? nobleBackend

afterEach(() => {
  vi.restoreAllMocks()
  testingUseBackend('chosen')
})

test('on this Node the platform’s own is chosen, and each can be forced', () => {
  expect(native.name).toBe('native')
  expect(backend().name).toBe('native')
  testingUseBackend('noble')
  expect(backend().name).toBe('noble')
  testingUseBackend('native')
  expect(backend().name).toBe('native')
})

test('both can do all that is asked', () => {
  expect(roundTrips(native)).toBe(true)
  expect(roundTrips(nobleBackend)).toBe(true)
})

test('without node:crypto the portable one is chosen, and the other cannot be forced', () => {
  vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined) // as in another runtime
  expect(nativeBackend()).toBeUndefined()
  testingUseBackend('chosen')
  expect(backend().name).toBe('noble')
  expect(() => testingUseBackend('native')).toThrow('no node:crypto')
})

test('a node:crypto without ML-KEM, as before Node 24.7, is not chosen', () => {
  const old: typeof crypto = {
    ...crypto,
    createPrivateKey(options) {
      const key = typeof options === 'object' && 'key' in options ? options.key : options
      // The ML-KEM seed; that of X25519 is shorter.
      if (key instanceof Uint8Array && key.length > 80) throw new Error('unsupported')
      return crypto.createPrivateKey(options)
    },
  }
  vi.spyOn(process, 'getBuiltinModule').mockReturnValue(old)
  testingUseBackend('chosen')
  expect(backend().name).toBe('noble')
})

const throwing = (): never => {
  throw new Error('unsupported')
}
const withMlKem = (change: Partial<Backend['mlKem768']>) => ({ mlKem768: { ...native.mlKem768, ...change } })
const withGroup = (change: Partial<Backend['x25519']>) => ({ x25519: { ...native.x25519, ...change } })

/** One fault each: what is missing, what gives nonsense, and what accepts what it should refuse. */
const broken: Readonly<Record<string, Partial<Backend>>> = {
  'no ML-KEM': withMlKem({ decapsulationKey: throwing }),
  'an ML-KEM without encapsulation': withMlKem({ encapsulationKey: throwing }),
  'an ML-KEM with another secret': withMlKem({
    encapsulationKey(key) {
      const prepared = native.mlKem768.encapsulationKey(key)
      return { encapsulate: () => ({ ...prepared.encapsulate(), sharedSecret: filled(1) }) }
    },
  }),
  'an ML-KEM that takes unreduced keys': withMlKem({
    encapsulationKey: (key) =>
      key.every((byte) => byte === 255) ? { encapsulate: throwing } : native.mlKem768.encapsulationKey(key),
  }),
  'no X25519': withGroup({ privateKey: throwing }),
  'no fresh X25519 keys': withGroup({ ephemeral: throwing }),
  'an X25519 that takes no public key': withGroup({ publicKey: throwing }),
  'an X25519 with another secret': withGroup({
    ephemeral: () => ({ ...native.x25519.ephemeral(), agree: () => filled(1) }),
  }),
  'an X25519 that wraps for low order points': withGroup({ checkPublicKey: () => undefined }),
  'an X25519 that opens with low order points': withGroup({
    privateKey(scalar) {
      const key = native.x25519.privateKey(scalar)
      return {
        ...key,
        agree(theirs) {
          try {
            return key.agree(theirs)
          } catch {
            return filled(0)
          }
        },
      }
    },
  }),
  'no AES-GCM': { aes256gcm: throwing },
  'an AES-GCM that opens nothing': {
    aes256gcm: (key) => ({ ...native.aes256gcm(key), open: () => undefined }),
  },
  'an AES-GCM that opens to something else': {
    aes256gcm: (key) => ({ ...native.aes256gcm(key), open: () => filled(8, 48) }),
  },
  'an AES-GCM that ignores its tag': {
    aes256gcm: (key) => ({
      ...native.aes256gcm(key),
      open: () => filled(9, 48),
    }),
  },
  'an AES-GCM that opens nothing into a place': {
    aes256gcm: (key) => ({ ...native.aes256gcm(key), openInto: () => false }),
  },
  'an AES-GCM that says it opened something into a place': {
    aes256gcm: (key) => ({ ...native.aes256gcm(key), openInto: () => true }),
  },
  'an AES-GCM that ignores its tag when it opens into a place': {
    aes256gcm: (key) => ({
      ...native.aes256gcm(key),
      openInto(_nonce, _sealed, _aad, out) {
        out.fill(9)
        return true
      },
    }),
  },
  'no HMAC': { hmac: throwing },
  'no SHA-384': { hmac: (hash, key) => (hash === 'sha384' ? throwing() : native.hmac(hash, key)) },
  'an HMAC of another length': { hmac: (_, key) => native.hmac('sha256', key) },
  'an HMAC that gives something else': {
    hmac: (hash, key) => ({ ...native.hmac(hash, key), mac: () => native.hmac(hash, key).mac(filled(1)) }),
  },
  'no SHA-256': { sha256: throwing },
  'no SHA3-256': { sha3_256: throwing },
  'no SHAKE256': { shake256: throwing },
  'a SHAKE256 of one length': { shake256: (message) => native.shake256(message, 32) },
}

describe('a backend is not taken when it has', () => {
  test.each(Object.keys(broken))('%s', (fault) => {
    expect(roundTrips({ ...native, ...broken[fault] })).toBe(false)
  })
})
