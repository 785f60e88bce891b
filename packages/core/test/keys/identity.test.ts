import { describe, expect, test } from 'vitest'

import { LocalIdentity, generateIdentity } from '../../src/index.ts'
import type { Stanza } from '../../src/index.ts'
import { defaultSuite } from '../../src/keys/suite.ts'
import { wrapInfo } from '../../src/keys/wrap-info.ts'
import { sealBase } from '../../src/primitives/hpke.ts'
import { mlKem768X25519 } from '../../src/primitives/hybrid-kem.ts'
import { describeBackends } from '../backends.ts'
import { codeOf, syncCodeOf } from '../refusals.ts'
import { changed, dataKeyOf, filled, identityOf, stanzaFor } from '../samples.ts'

const dataKey = dataKeyOf(3)
const bound = { keyId: dataKey.keyId, keyContext: [] }
const identity = identityOf(1)
const stanza = await stanzaFor(identity.recipient, dataKey)

describeBackends(() => {
  test('unwraps what was wrapped for it', async () => {
    const secret = await identityOf(1).unwrap(stanza, bound)
    expect(secret.use((bytes) => [...bytes])).toEqual([...filled(3)])
  })

  test('owns its own id under its own KEM', () => {
    expect(identity.owns(0x647a, identity.recipientId)).toBe(true)
    expect(identity.owns(0x0051, identity.recipientId)).toBe(false)
    expect(identity.owns(0x647a, identityOf(2).recipientId)).toBe(false)
    expect(identity.owns(0x647a, identity.recipientId.subarray(1))).toBe(false)
  })

  test('a generated identity is another each time, and its seed makes it again', () => {
    const [one, other] = [generateIdentity(), LocalIdentity.generate()]
    expect(one.recipientId).not.toEqual(other.recipientId)
    const again = one.useSeed((seed) => LocalIdentity.fromSeed(seed))
    expect(again.recipient.publicKey).toEqual(one.recipient.publicKey)
  })
})

describe('unwrap answers cannot_open to', () => {
  const changes: readonly [string, Partial<Stanza>, Partial<typeof bound>?][] = [
    ['another KDF id', { kdfId: 2 }],
    ['another AEAD id', { aeadId: 1 }],
    ['another KEM id', { kemId: 0x0051 }],
    ['another recipient id', { recipientId: filled(9, 16) }],
    ['a shorter payload', { payload: stanza.payload.subarray(1) }],
    ['a longer payload', { payload: new Uint8Array(stanza.payload.length + 1) }],
    ['an empty payload', { payload: new Uint8Array() }],
    ['another payload', { payload: changed(stanza.payload, 1119, (stanza.payload[1119] ?? 0) ^ 128) }],
    ['a low order share', { payload: changed(stanza.payload, 1088, ...filled(0)) }],
    ['another key id', {}, { keyId: filled(9, 16) }],
  ]
  test.each(changes)('%s', async (_, change, boundChange = {}) => {
    expect(await codeOf(() => identity.unwrap({ ...stanza, ...change }, { ...bound, ...boundChange }))).toBe(
      'cannot_open',
    )
  })

  test('a stanza made for its public key under another recipient id', async () => {
    const recipientId = filled(9, 16)
    const payload = sealBase(defaultSuite, mlKem768X25519.encapsulationKey(identity.recipient.publicKey), {
      info: wrapInfo(dataKey.keyId, recipientId, []),
      plaintext: filled(3),
    })
    const disguised = { ...stanza, recipientId, payload }
    expect(await codeOf(() => identity.unwrap(disguised, bound))).toBe('cannot_open')
  })

  test('another key context', async () => {
    const other = { ...bound, keyContext: [['tenant', 'b']] as const }
    expect(await codeOf(() => identity.unwrap(stanza, other))).toBe('cannot_open')
  })
})

test('the seed is copied', () => {
  const seed = Buffer.alloc(32, 1)
  const made = LocalIdentity.fromSeed(seed)
  seed.fill(9)
  expect(made.useSeed((bytes) => [...bytes])).toEqual([...filled(1)])
  made.recipientId.fill(0)
  expect(made.recipientId).toEqual(identity.recipientId)
})

test('seeds of another length or KEM are refused', () => {
  for (const length of [0, 16, 31, 33, 64]) {
    expect(syncCodeOf(() => LocalIdentity.fromSeed(filled(1, length)))).toBe('bad_key')
  }
  expect(syncCodeOf(() => LocalIdentity.fromSeed(filled(1), 0x0020))).toBe('unsupported')
  expect(syncCodeOf(() => LocalIdentity.fromSeed('seed' as never))).toBe('bad_input')
})

test('a wiped identity has no seed and opens nothing', async () => {
  const made = identityOf(1)
  let seed = new Uint8Array()
  made.useSeed((bytes) => (seed = bytes as Uint8Array<ArrayBuffer>)) // to look at it after the wipe
  made.wipe()
  made.wipe()
  expect(seed).toEqual(filled(0))
  expect(await codeOf(() => made.unwrap(stanza, bound))).toBe('bad_input')
  expect(syncCodeOf(() => made.exportText())).toBe('bad_input')
  expect(syncCodeOf(() => made.useSeed(() => 1))).toBe('bad_input')
  expect(made.recipientId).toEqual(identity.recipientId)
  {
    using disposed = identityOf(2)
    seed = disposed.useSeed((bytes) => bytes as Uint8Array<ArrayBuffer>)
  }
  expect(seed).toEqual(filled(0))
})
