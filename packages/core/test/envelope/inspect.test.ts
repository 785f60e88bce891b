import { expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { detach, encrypt, inspect } from '../../src/index.ts'
import {
  changed,
  context,
  dataKeyOf,
  identityOf,
  patterned,
  stanzaFor,
  unknownStanza,
  wrappedKeyOf,
} from '../samples.ts'

const dataKey = dataKeyOf(8)
const [anna, ben] = [identityOf(1), identityOf(2)]
const keyId = toHex(dataKey.keyId)
const known = {
  suite: 'MLKEM768-X25519, HKDF-SHA256, AES-256-GCM',
  kemId: 0x647a,
  kdfId: 1,
  aeadId: 2,
  bytes: 1190,
}
const stanzas = [anna, ben].map(({ recipientId }) => ({ ...known, recipientId: toHex(recipientId) }))
const envelope = await encrypt(patterned(16_400), {
  recipients: [anna.recipient, ben.recipient],
  context,
  dataKey,
})
const headerBytes = 49 + 2 * 1192
const bodyBytes = 56 + 16_400 + 2 * 16

test('an envelope', () => {
  const expected = {
    kind: 'envelope',
    version: 1,
    keyId,
    stanzas,
    headerBytes,
    bodyBytes,
    plaintextBytes: 16_400,
  }
  expect(inspect(envelope)).toEqual({ ...expected, totalBytes: envelope.length })
})

test('a wrapped key', () => {
  const { wrappedKey } = detach(envelope)
  expect(inspect(wrappedKey)).toEqual({
    kind: 'wrapped key',
    version: 1,
    keyId,
    stanzas,
    headerBytes,
    bodyBytes: 0,
    plaintextBytes: undefined,
    totalBytes: 4 + headerBytes,
  })
})

test('a record', () => {
  const { record } = detach(envelope)
  expect(inspect(record)).toEqual({
    kind: 'record',
    version: 1,
    keyId,
    stanzas: [],
    headerBytes: 16,
    bodyBytes,
    plaintextBytes: 16_400,
    totalBytes: 20 + bodyBytes,
  })
})

test('unknown suites are shown with their ids', async () => {
  const wrapped = wrappedKeyOf(dataKey, [unknownStanza(5, 7), await stanzaFor(anna.recipient, dataKey)])
  expect(inspect(wrapped).stanzas[0]).toEqual({
    suite: undefined,
    kemId: 0x7777,
    kdfId: 1,
    aeadId: 2,
    recipientId: '05'.repeat(16),
    bytes: 29,
  })
})

test('a body of a length that none has is said to be of unknown plaintext', () => {
  const { record } = detach(envelope)
  expect(inspect(record.subarray(0, 20 + 56 + 16_400 + 15)).plaintextBytes).toBeUndefined()
})

test('nothing is opened: altered bytes are described as they are', () => {
  const altered = changed(envelope, envelope.length - 1, 0)
  expect(inspect(altered).totalBytes).toBe(envelope.length)
})
