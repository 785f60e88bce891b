/** Wrapped data keys: valid for one to several recipients of both suites, and with one fault each. */

import { DataKey } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'

import type { VectorCase, VectorIdentity } from '../schema.ts'
import { CaseFile } from './case-file.ts'
import type { Kind } from './case-file.ts'
import { Drbg } from './drbg.ts'
import {
  defaultKem,
  encapsSeedFor,
  flip,
  join,
  otherContext,
  over,
  personOf,
  secondKem,
  someContext,
  stanzaFor,
  toHex,
  unknownStanza,
  wrappedKeyOf,
} from './parts.ts'
import type { HeaderParts, Person } from './parts.ts'

export function wrappedKeyFiles(): CaseFile[] {
  const drbg = new Drbg('wrapped keys')
  const people = {
    alice: personOf('alice', defaultKem, drbg),
    bob: personOf('bob', defaultKem, drbg),
    carol: personOf('carol', secondKem, drbg),
  }
  return [validWrappedKeys(people, drbg), refusedWrappedKeys(people, drbg)]
}

type People = Readonly<Record<'alice' | 'bob' | 'carol', Person>>

function validWrappedKeys({ alice, bob, carol }: People, drbg: Drbg): CaseFile {
  const file = new CaseFile('wrapped-keys.json')
  const cases: readonly (readonly [string, readonly Person[], EncryptionContext | null])[] = [
    ['one recipient, no context', [alice], null],
    ['one recipient, three pairs', [alice], someContext],
    ['one recipient of the second suite', [carol], someContext],
    ['two recipients', [alice, bob], someContext],
    ['two recipients, the other order', [bob, alice], someContext],
    ['two suites', [carol, alice], null],
  ]
  for (const [name, recipients, keyContext] of cases) {
    const key = DataKey.from(drbg.bytes(32))
    const seeds = recipients.map((person) => encapsSeedFor(person, drbg))
    const context = keyContext ?? []
    const stanzas = recipients.map((person, i) =>
      stanzaFor(person, { dataKey: key, context }, seeds[i] ?? new Uint8Array()),
    )
    file.valid('unwrapKey', name, {
      ...keyFields(key),
      keyContext,
      identities: recipients.map(({ asIdentity }) => asIdentity),
      eachIdentityAlone: true,
      recipients: recipients.map((person, i) => ({
        ...person.asRecipient,
        encapsSeed: toHex(seeds[i] ?? new Uint8Array()),
      })),
      input: toHex(wrappedKeyOf({ dataKey: key, context, stanzas })),
    })
  }
  const key = DataKey.from(drbg.bytes(32))
  const encapsSeed = encapsSeedFor(alice, drbg)
  const known = stanzaFor(alice, { dataKey: key, context: [] }, encapsSeed)
  for (const [name, count] of [
    ['an unknown suite in front', 1],
    ['thirty-one unknown suites in front', 31],
  ] as const) {
    const unknown = Array.from({ length: count }, () => unknownStanza(drbg))
    const comment = 'stanzas of other suites are skipped, and are under the MAC'
    const stanzas = [
      ...unknown.map((raw) => ({ raw: toHex(raw) })),
      { ...alice.asRecipient, encapsSeed: toHex(encapsSeed) },
    ]
    const input = toHex(wrappedKeyOf({ dataKey: key, context: [], stanzas: [...unknown, known] }))
    const fields = { ...keyFields(key), keyContext: null, identities: [alice.asIdentity], stanzas, input }
    file.valid('unwrapKey', name, fields, comment)
  }
  return file
}

const keyFields = (key: DataKey): Pick<VectorCase, 'dataKey' | 'keyId'> => ({
  dataKey: key.use(toHex),
  keyId: toHex(key.keyId),
})

function refusedWrappedKeys({ alice, bob, carol }: People, drbg: Drbg): CaseFile {
  const file = new CaseFile('wrapped-keys-refused.json')
  const dataKey = DataKey.from(drbg.bytes(32))
  const other = DataKey.from(drbg.bytes(32))
  const context = someContext
  const refused = (
    kind: Kind,
    name: string,
    comment: string,
    input: Uint8Array,
    change: { identities?: readonly VectorIdentity[]; keyContext?: EncryptionContext | null } = {},
  ) => {
    const fields = { keyContext: context, identities: [alice.asIdentity], ...change, input: toHex(input) }
    file.refused('unwrapKey', kind, name, comment, fields)
  }
  const write = (stanzas: readonly Uint8Array[], change: Partial<HeaderParts> = {}) =>
    wrappedKeyOf({ dataKey, context, stanzas, ...change })
  const stanza = (person: Person, change: Partial<Parameters<typeof stanzaFor>[1]> = {}) =>
    stanzaFor(person, { dataKey, context, ...change }, encapsSeedFor(person, drbg))

  // Framing (SPEC §5.3 steps 1 to 6), on the smallest header there is: one stanza of an unknown suite, 22 bytes.
  const unknown = unknownStanza(drbg)
  const small = write([unknown])
  for (const at of [0, 1, 2])
    refused('malformed', `magic, byte ${at}`, 'one bit of the magic flipped', flip(small, at))
  refused('malformed', 'magic of a record', 'LHR instead of LHK', over(small, 2, 0x52))
  refused('malformed', 'magic of an envelope', 'LHE instead of LHK', over(small, 2, 0x45))
  for (const version of [0, 2, 255])
    refused('unsupported', `version ${version}`, 'another version than 1', over(small, 3, version))
  for (const length of [0, 3, 4, 19, 20, 21, 22, 23, 44, 45, 46, 76])
    refused('malformed', `cut to ${length} bytes`, 'the header is cut short', small.subarray(0, length))
  for (const more of [1, 32])
    refused(
      'malformed',
      `${more} bytes appended`,
      'bytes after header_mac',
      join(small, new Uint8Array(more)),
    )
  refused('malformed', 'no stanza', 'stanza count 0', write([]))
  for (const count of [0, 2, 32])
    refused(
      'malformed',
      `count ${count} of 1`,
      'the count is not that of the stanzas',
      write([unknown], { count }),
    )
  for (const count of [33, 255])
    refused('malformed', `count ${count}`, 'more than 32 stanzas', write([unknown], { count }))
  const many = Array.from({ length: 33 }, () => unknownStanza(drbg))
  refused('malformed', 'thirty-three stanzas', 'one more than the limit', write(many))
  refused(
    'unsupported',
    'thirty-two stanzas',
    'as many as may be, none of a known suite',
    write(many.slice(0, 32)),
  )
  for (const length of [0, 2, 21])
    refused(
      'malformed',
      `a stanza of ${length} bytes`,
      'shorter than the 22 bytes every stanza begins with',
      write([unknown.subarray(0, length)]),
    )
  refused(
    'malformed',
    'an unknown recipient twice',
    'two stanzas with one recipient_id',
    write([unknown, unknown]),
  )
  const otherSuite = over(unknown, 0, 0x7f, 0x78)
  refused(
    'malformed',
    'a recipient in two suites',
    'two stanzas with one recipient_id, of two suites',
    write([unknown, otherSuite]),
  )
  refused('unsupported', 'an unknown suite', 'no stanza of a known suite (step 7)', small)
  const ids = [
    ['kdf_id', 3],
    ['aead_id', 5],
  ] as const
  const short = unknownStanza(drbg)
  for (const [name, at] of ids) {
    const triple = over(short, 0, 0x64, 0x7a, 0, 1, 0, 2)
    refused(
      'unsupported',
      `a known kem_id with another ${name}`,
      'a triple of no suite; its length is its own',
      write([over(triple, at, 3)]),
    )
  }
  const emptyKnown = over(short, 0, 0x64, 0x7a, 0, 1, 0, 2)
  refused('malformed', 'default suite, 22 bytes', 'a known suite has one length', write([emptyKnown]))
  const emptySecond = over(short, 0, 0x00, 0x51, 0, 2, 0, 2)
  refused('malformed', 'second suite, 22 bytes', 'a known suite has one length', write([emptySecond]))

  const forAlice = stanza(alice)
  const whole = write([forAlice])
  refused(
    'malformed',
    'default suite, one byte less',
    '1,189 bytes of stanza',
    write([forAlice.subarray(0, -1)]),
  )
  refused(
    'malformed',
    'default suite, one byte more',
    '1,191 bytes of stanza',
    write([join(forAlice, Uint8Array.of(0))]),
  )
  refused('malformed', 'a recipient twice', 'the same stanza twice, MAC right', write([forAlice, forAlice]))

  // From step 7 on.
  const onlyBob = { identities: [bob.asIdentity] }
  refused('no-recipient', 'not a recipient', 'wrapped for another', whole, onlyBob)
  refused('no-recipient', 'no identities', 'none to open it with', whole, { identities: [] })
  const sameSeed = { identities: [{ ...alice.asIdentity, kem: secondKem }] }
  refused(
    'no-recipient',
    'the seed under another kem_id',
    'another key pair from the same seed',
    whole,
    sameSeed,
  )
  for (const [name, keyContext] of [
    ['none', null],
    ['another value', otherContext],
    ['a pair less', someContext.slice(1)],
  ] as const)
    refused('cannot-open', `context: ${name}`, 'not the context it was bound to', whole, { keyContext })
  refused('bad-context', 'context: a key twice', 'no context at all', whole, {
    keyContext: [
      ['a', '1'],
      ['a', '2'],
    ],
  })
  const long: EncryptionContext = [['a', 'x'.repeat(8192 - 7 + 1)]]
  refused('limit', 'context: 8,193 bytes', 'one canonical byte more than may be', small, { keyContext: long })
  const parts = [
    ['key_id', 4],
    ['ML-KEM ciphertext, first byte', 45],
    ['ML-KEM ciphertext, last byte', 45 + 1087],
    ['X25519 share, first byte', 45 + 1088],
    ['X25519 share, last byte', 45 + 1119],
    ['wrapped data key', 45 + 1120],
    ['tag of the wrapped data key', 45 + 1167],
  ] as const
  for (const [name, at] of parts) {
    refused('cannot-open', `${name} flipped, MAC not mended`, 'one bit flipped', flip(whole, at))
    if (at === 4) continue
    const broken = flip(forAlice, at - 23)
    refused(
      'cannot-open',
      `${name} flipped, MAC mended`,
      'one bit flipped, header_mac recomputed',
      write([broken]),
    )
  }
  for (const at of [-32, -16, -1])
    refused('cannot-open', `header_mac, byte ${32 + at}`, 'one bit flipped', flip(whole, at))
  refused(
    'cannot-open',
    'MAC of another data key',
    'header_mac under another header_key',
    write([forAlice], { macKey: other }),
  )
  refused(
    'cannot-open',
    'MAC of another context',
    'the stanza is bound to the context given, the MAC to another',
    write([forAlice], { macContext: otherContext }),
  )
  const bound = 'the MAC is bound to the context given, the stanza to another'
  refused(
    'cannot-open',
    'stanza of another context',
    bound,
    write([stanza(alice, { context: otherContext })]),
  )
  const kept = stanza(alice, { keyId: other.keyId })
  refused(
    'cannot-open',
    'key_id of another data key',
    'the stanza holds a data key of another key_id (step 8)',
    write([kept], { keyId: other.keyId }),
  )
  refused(
    'cannot-open',
    'stanza bound to another key_id',
    'the stanza was made for another header',
    write([kept]),
  )
  refused(
    'cannot-open',
    'stanza of another data key',
    'holds another data key under this key_id',
    write([stanza(alice, { dataKey: other, keyId: dataKey.keyId })]),
  )
  const renamed = join(stanza(bob).subarray(0, 6), forAlice.subarray(6, 22), stanza(bob).subarray(22))
  refused(
    'cannot-open',
    'recipient_id of another',
    'made for another, and named for this reader',
    write([renamed]),
  )
  const lowOrder = over(forAlice, 22 + 1088, ...new Uint8Array(32))
  refused('cannot-open', 'X25519 share of order 1', 'gives an all-zero secret (SPEC §1.1)', write([lowOrder]))
  const broken = flip(forAlice, 100)
  const second = stanza(bob)
  const both = { identities: [bob.asIdentity, alice.asIdentity] }
  refused(
    'cannot-open',
    'first stanza broken, second right',
    'nothing else is tried once one of ours did not open',
    write([broken, second]),
    both,
  )
  refused(
    'cannot-open',
    'stanzas exchanged, MAC not mended',
    'their order is under the MAC',
    join(write([second, forAlice]).subarray(0, -32), write([forAlice, second]).subarray(-32)),
  )
  refused(
    'cannot-open',
    'a stanza added, MAC not mended',
    'what is added is under the MAC',
    addStanza(whole, unknown),
  )

  const forCarol = stanza(carol)
  const onlyCarol = { identities: [carol.asIdentity] }
  const carols = [
    ['ML-KEM ciphertext flipped', flip(forCarol, 22), 'one bit flipped'],
    ['point flipped', flip(forCarol, 22 + 1568 + 60), 'not on the curve'],
    ['point compressed', over(forCarol, 22 + 1568, 0x02), 'no uncompressed point'],
    ['point at zero', over(forCarol, 22 + 1568 + 1, ...new Uint8Array(96)), 'not on the curve'],
    ['wrapped data key flipped', flip(forCarol, 22 + 1665), 'one bit flipped'],
  ] as const
  for (const [name, changed, comment] of carols)
    refused(
      'cannot-open',
      `second suite: ${name}`,
      `${comment}, header_mac recomputed`,
      write([changed]),
      onlyCarol,
    )
  refused(
    'malformed',
    'second suite, one byte less',
    '1,734 bytes of stanza',
    write([forCarol.subarray(0, -1)]),
    onlyCarol,
  )
  return file
}

function addStanza(whole: Uint8Array, stanza: Uint8Array): Uint8Array {
  const before = over(whole.subarray(0, -32), 20, 2)
  return join(before, Uint8Array.of(0, stanza.length), stanza, whole.subarray(-32))
}
