/** Envelopes taken apart and put together, new headers for them, and what no header is written for. */

import type { DataKey } from '@longhold/core'

import { encodeContainer } from '../../../packages/core/src/format/container.ts'
import { CaseFile } from './case-file.ts'
import type { Kind } from './case-file.ts'
import { Drbg } from './drbg.ts'
import type { Make, People } from './envelopes.ts'
import { encapsSeedFor, flip, headerOf, over, someContext, stanzaFor, toHex } from './parts.ts'
import type { Person } from './parts.ts'

const text = (plaintext: string) => new TextEncoder().encode(plaintext)
const identitiesOf = (...people: readonly Person[]) => people.map(({ asIdentity }) => asIdentity)

export function envelopeParts(make: Make, { alice, bob, carol }: People): CaseFile {
  const file = new CaseFile('parts.json')
  const { envelope, header, body, dataKey, replay } = make([alice], text('x'), someContext)
  const wrappedKey = encodeContainer('wrapped key', header)
  const record = encodeContainer('record', dataKey.keyId, body)
  const identities = identitiesOf(alice)
  const both = { wrappedKey: toHex(wrappedKey), record: toHex(record) }
  const detached = {
    ...both,
    envelope: toHex(envelope),
    context: someContext,
    identities,
    dataKey: replay.dataKey,
  }
  file.valid('detachAttach', 'an envelope taken apart and put together', detached)
  const opened = {
    ...both,
    identities,
    keyContext: someContext,
    recordContext: someContext,
    plaintext: { hex: toHex(text('x')) },
  }
  file.valid('unwrapKeyThenOpenRecord', 'a detached envelope opened in two steps', opened)
  file.refused(
    'unwrapKeyThenOpenRecord',
    'cannot-open',
    'the key context alone is wrong',
    'it does not unwrap',
    { ...opened, keyContext: null },
  )
  file.refused(
    'unwrapKeyThenOpenRecord',
    'cannot-open',
    'the record context alone is wrong',
    'it does not decrypt',
    { ...opened, recordContext: null },
  )

  const empty = { wrappedKey: toHex(wrappedKey.subarray(0, 76)), record: both.record }
  const attachFaults: readonly (readonly [Kind, string, string, { wrappedKey: string; record: string }])[] = [
    [
      'bad-input',
      'key_ids differ',
      'the record is of another data key',
      { ...both, record: toHex(flip(record, 4)) },
    ],
    [
      'malformed',
      'two records',
      'no wrapped key among them',
      { wrappedKey: both.record, record: both.record },
    ],
    [
      'malformed',
      'two wrapped keys',
      'no record among them',
      { wrappedKey: both.wrappedKey, record: both.wrappedKey },
    ],
    ['malformed', 'wrapped key cut short', 'its stanza is not there', empty],
    [
      'malformed',
      'record cut to 91 bytes',
      'shorter than the smallest',
      { ...both, record: toHex(record.subarray(0, 91)) },
    ],
    [
      'malformed',
      'wrapped key with a byte more',
      'bytes after header_mac',
      { ...both, wrappedKey: `${both.wrappedKey}00` },
    ],
    [
      'unsupported',
      'record of version 2',
      'another version than 1',
      { ...both, record: toHex(over(record, 3, 2)) },
    ],
  ]
  for (const [kind, name, comment, fields] of attachFaults)
    file.refused('attach', kind, `attach: ${name}`, comment, fields)

  const rewrapped = (to: Person) => {
    const { replay: made, header: next } = rewrapFor(to, dataKey)
    return { recipients: made, output: toHex(encodeContainer('wrapped key', next)) }
  }
  const drbg = new Drbg('rewrap')
  function rewrapFor(to: Person, key: DataKey) {
    const seed = encapsSeedFor(to, drbg)
    const stanzas = [stanzaFor(to, { dataKey: key, context: someContext }, seed)]
    return {
      header: headerOf({ dataKey: key, context: someContext, stanzas }),
      replay: [{ ...to.asRecipient, encapsSeed: toHex(seed) }],
    }
  }
  const common = { keyContext: someContext, identities, input: both.wrappedKey }
  file.valid('rewrap', 'for another recipient', { ...common, ...rewrapped(bob) })
  file.valid('rewrap', 'for the second suite', { ...common, ...rewrapped(carol) })
  const toBob = { recipients: [bob.asRecipient], output: '' }
  file.refused('rewrap', 'cannot-open', 'rewrap: another context', 'the old header is opened completely', {
    ...common,
    ...toBob,
    keyContext: null,
  })
  file.refused('rewrap', 'cannot-open', 'rewrap: header_mac flipped', 'the old header is opened completely', {
    ...common,
    ...toBob,
    input: toHex(flip(wrappedKey, -1)),
  })
  file.refused('rewrap', 'no-recipient', 'rewrap: not a recipient', 'only recipients can', {
    ...common,
    ...toBob,
    identities: identitiesOf(bob),
  })
  file.refused('rewrap', 'malformed', 'rewrap: a record', 'a record has no header', {
    ...common,
    ...toBob,
    input: both.record,
  })
  file.refused('rewrap', 'bad-input', 'rewrap: for nobody', 'no recipients', {
    ...common,
    recipients: [],
    output: '',
  })
  file.refused('rewrap', 'bad-input', 'rewrap: a recipient twice', 'named twice', {
    ...common,
    recipients: [bob.asRecipient, bob.asRecipient],
    output: '',
  })

  const wrap = { dataKey: replay.dataKey, keyContext: someContext }
  const badKey = (change: (key: Uint8Array) => Uint8Array, person = alice) => ({
    ...wrap,
    recipients: [
      { kem: person.identity.kemId, publicKey: toHex(change(person.identity.recipient.publicKey)) },
    ],
  })
  const faults: readonly (readonly [Kind, string, string, object])[] = [
    ['bad-input', 'for nobody', 'no recipients', { ...wrap, recipients: [] }],
    [
      'bad-input',
      'a recipient twice',
      'named twice',
      { ...wrap, recipients: [alice.asRecipient, alice.asRecipient] },
    ],
    [
      'bad-input',
      'a data key of 31 bytes',
      'data keys have 32',
      { ...wrap, dataKey: replay.dataKey.slice(2), recipients: [alice.asRecipient] },
    ],
    [
      'bad-context',
      'an empty key in the context',
      'no context at all',
      { ...wrap, keyContext: [['', '']], recipients: [alice.asRecipient] },
    ],
    [
      'bad-context',
      'sixty-five pairs',
      'one more than may be',
      {
        ...wrap,
        keyContext: Array.from({ length: 65 }, (_, i) => [`k${i}`, '']),
        recipients: [alice.asRecipient],
      },
    ],
    [
      'limit',
      'a context of 8,193 bytes',
      'one more than may be',
      { ...wrap, keyContext: [['a', 'x'.repeat(8186)]], recipients: [alice.asRecipient] },
    ],
    ['bad-key', 'a public key cut short', '1,215 bytes', badKey((key) => key.subarray(1))],
    [
      'bad-key',
      'a coefficient of 3,329',
      'not reduced (FIPS 203 §7.2)',
      badKey((key) => over(key, 0, 0x01, 0x0d)),
    ],
    [
      'bad-key',
      'a coefficient of 4,095',
      'not reduced (FIPS 203 §7.2)',
      badKey((key) => over(key, 1149, 0xff, 0xff, 0xff)),
    ],
    [
      'bad-key',
      'an X25519 key of zeros',
      'low order: an all-zero secret',
      badKey((key) => over(key, 1184, ...new Uint8Array(32))),
    ],
    [
      'bad-key',
      'an X25519 key of 1',
      'low order: an all-zero secret',
      badKey((key) => over(key, 1184, 1, ...new Uint8Array(31))),
    ],
    ['bad-key', 'a point off the curve', 'P-384', badKey((key) => flip(key, -1), carol)],
    ['bad-key', 'a compressed point', 'P-384', badKey((key) => over(key, 1568, 2), carol)],
  ]
  for (const [kind, name, comment, fields] of faults)
    file.refused('wrapKey', kind, `wrap: ${name}`, comment, fields)
  return file
}
