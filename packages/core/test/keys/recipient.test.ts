import { expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { PublicKeyRecipient } from '../../src/index.ts'
import { describeBackends } from '../backends.ts'
import { codeOf, syncCodeOf } from '../refusals.ts'
import { changed, dataKeyOf, filled, identityOf, stanzaFor } from '../samples.ts'

const identity = identityOf(1)
const publicKey = identity.recipient.publicKey
const make = (key: Uint8Array, kemId = 0x647a) => PublicKeyRecipient.fromPublicKey(kemId, key)

describeBackends(() => {
  test('a recipient is its public key', () => {
    const recipient = make(publicKey)
    expect(recipient.kemId).toBe(0x647a)
    expect(recipient.publicKey).toEqual(publicKey)
    expect(recipient.recipientId).toEqual(identity.recipientId)
    expect(JSON.stringify([recipient])).toBe(`["${recipient.toString()}"]`)
  })

  test('public keys that fail their checks are refused before anything can be written', () => {
    expect(syncCodeOf(() => make(publicKey.subarray(1)))).toBe('bad_key')
    expect(syncCodeOf(() => make(new Uint8Array()))).toBe('bad_key')
    expect(syncCodeOf(() => make(changed(publicKey, 3, 0xff, 0xff)))).toBe('bad_key')
    expect(syncCodeOf(() => make(changed(publicKey, 1184, ...filled(0))))).toBe('bad_key')
    expect(syncCodeOf(() => make('key' as never))).toBe('bad_input')
    expect(syncCodeOf(() => make(publicKey, 0x0020))).toBe('unsupported')
  })

  test('a wrap is one stanza of 1,190 bytes, never the same twice', async () => {
    const [one, other] = [
      await stanzaFor(make(publicKey), dataKeyOf(2)),
      await stanzaFor(make(publicKey), dataKeyOf(2)),
    ]
    expect(one).toMatchObject({ kemId: 0x647a, kdfId: 1, aeadId: 2, recipientId: identity.recipientId })
    expect(one.payload).toHaveLength(1190 - 22)
    expect(toHex(one.payload)).not.toBe(toHex(other.payload))
  })
})

test('the public key is copied on the way in and on the way out', () => {
  const given = Buffer.from(publicKey)
  const recipient = make(given)
  given.fill(9)
  recipient.publicKey.fill(8)
  recipient.recipientId.fill(7)
  expect(recipient.publicKey).toEqual(publicKey)
  expect(recipient.publicKey).not.toBeInstanceOf(Buffer)
  expect(recipient.recipientId).toEqual(identity.recipientId)
})

test('only 32 bytes are wrapped', async () => {
  const bound = { keyId: filled(1, 16), keyContext: [] }
  for (const length of [0, 16, 31, 33, 64]) {
    expect(await codeOf(() => make(publicKey).wrap(filled(1, length), bound))).toBe('bad_input')
  }
})
