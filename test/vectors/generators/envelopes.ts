/** Envelopes, their parts, and new headers for them. */

import { DataKey } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'

import { encodeContainer } from '../../../packages/core/src/format/container.ts'
import { sealRecord } from '../../../packages/core/src/keys/data-key.ts'
import type { VectorRecipient } from '../schema.ts'
import { CaseFile } from './case-file.ts'
import type { Kind } from './case-file.ts'
import { Drbg } from './drbg.ts'
import { envelopeParts } from './envelope-parts.ts'
import {
  chunkBytes,
  defaultKem,
  encapsSeedFor,
  flip,
  headerOf,
  join,
  otherContext,
  over,
  patternPlaintext,
  patterned,
  personOf,
  secondKem,
  someContext,
  stanzaFor,
  toHex,
  unknownStanza,
} from './parts.ts'
import type { Person } from './parts.ts'

export interface Made {
  readonly dataKey: DataKey
  readonly header: Uint8Array
  readonly body: Uint8Array
  readonly envelope: Uint8Array
  /** What the schema needs to write it again. */
  readonly replay: { dataKey: string; salt: string; recipients: readonly VectorRecipient[] }
}

export async function envelopeFiles(): Promise<CaseFile[]> {
  const drbg = new Drbg('envelopes')
  const alice = personOf('alice', defaultKem, drbg)
  const bob = personOf('bob', defaultKem, drbg)
  const carol = personOf('carol', secondKem, drbg)
  const make = (people: readonly Person[], plaintext: Uint8Array, context: EncryptionContext): Made => {
    const dataKey = DataKey.from(drbg.bytes(32))
    const made = people.map((person) => ({ person, seed: encapsSeedFor(person, drbg) }))
    const stanzas = made.map(({ person, seed }) => stanzaFor(person, { dataKey, context }, seed))
    const salt = drbg.bytes(24)
    const header = headerOf({ dataKey, context, stanzas })
    const body = sealRecord(dataKey, plaintext, context, { testingSalt: salt }).subarray(20)
    const recipients = made.map(({ person, seed }) => ({ ...person.asRecipient, encapsSeed: toHex(seed) }))
    const replay = { dataKey: dataKey.use(toHex), salt: toHex(salt), recipients }
    return { dataKey, header, body, envelope: encodeContainer('envelope', header, body), replay }
  }
  return [
    await valid(make, { alice, bob, carol }),
    refused(make, { alice, bob, carol }, drbg),
    envelopeParts(make, { alice, bob, carol }),
  ]
}

export type Make = (people: readonly Person[], plaintext: Uint8Array, context: EncryptionContext) => Made
export type People = Readonly<Record<'alice' | 'bob' | 'carol', Person>>
const text = (plaintext: string) => new TextEncoder().encode(plaintext)
const identitiesOf = (...people: readonly Person[]) => people.map(({ asIdentity }) => asIdentity)

async function valid(make: Make, { alice, bob, carol }: People): Promise<CaseFile> {
  const file = new CaseFile('envelopes.json')
  const cases: readonly (readonly [string, readonly Person[], string, EncryptionContext | null])[] = [
    ['empty, no context', [alice], '', null],
    ['one byte', [alice], 'x', someContext],
    ['a letter for two', [alice, bob], 'Grüße, 🔑', someContext],
    ['the second suite', [carol], 'x', null],
    ['both suites', [alice, carol], 'x', someContext],
  ]
  for (const [name, people, plaintext, context] of cases) {
    const { envelope, replay } = make(people, text(plaintext), context ?? [])
    file.valid('openEnvelope', name, {
      ...replay,
      identities: identitiesOf(...people),
      eachIdentityAlone: true,
      context,
      plaintext: { hex: toHex(text(plaintext)) },
      ...(people.length === 2 ? { text: Buffer.from(envelope).toString('base64url') } : {}),
      input: toHex(envelope),
    })
  }
  const { envelope, replay } = make([alice], patterned(chunkBytes), someContext)
  const plaintext = await patternPlaintext(chunkBytes)
  file.valid('openEnvelope', `${chunkBytes} bytes`, {
    ...replay,
    identities: identitiesOf(alice),
    context: someContext,
    plaintext,
    input: toHex(envelope),
  })
  return file
}

function refused(make: Make, { alice, bob, carol }: People, drbg: Drbg): CaseFile {
  const file = new CaseFile('envelopes-refused.json')
  const made = make([alice], text('x'), someContext)
  const { envelope, header, body, dataKey } = made
  const bodyAt = 4 + header.length
  const refuse = (
    kind: Kind,
    name: string,
    comment: string,
    input: Uint8Array,
    {
      people = [alice],
      context = someContext,
    }: { people?: readonly Person[]; context?: EncryptionContext | null } = {},
  ) =>
    file.refused('openEnvelope', kind, name, comment, {
      identities: identitiesOf(...people),
      context,
      input: toHex(input),
    })

  // Framing, on a header whose one stanza is of an unknown suite.
  const unknown = unknownStanza(drbg)
  const smallHeader = headerOf({ dataKey, context: someContext, stanzas: [unknown] })
  const small = encodeContainer('envelope', smallHeader, body)
  for (const at of [0, 1, 2])
    refuse('malformed', `magic, byte ${at}`, 'one bit of the magic flipped', flip(small, at))
  refuse('malformed', 'magic of a wrapped key', 'LHK instead of LHE', over(small, 2, 0x4b))
  refuse('malformed', 'magic of a record', 'LHR instead of LHE', over(small, 2, 0x52))
  for (const version of [0, 2])
    refuse('unsupported', `version ${version}`, 'another version than 1', over(small, 3, version))
  const smallBody = 4 + smallHeader.length
  for (const length of [0, 3, 4, 20, 21, 22, 44, 60, smallBody - 1, smallBody, smallBody + 71])
    refuse(
      'malformed',
      `cut to ${length} bytes`,
      'cut short within the header or the smallest body',
      small.subarray(0, length),
    )
  refuse('malformed', 'count 0', 'no stanza', over(small, 20, 0))
  refuse('malformed', 'count 33', 'more than 32 stanzas', over(small, 20, 33))
  refuse('malformed', 'stanza length too small', 'fewer than 22 bytes', over(small, 21, 0, 21))
  refuse(
    'malformed',
    'stanza length beyond the end',
    'does not lie within the input',
    over(small, 21, 0xff, 0xff),
  )
  const twice = headerOf({ dataKey, context: someContext, stanzas: [unknown, unknown] })
  refuse(
    'malformed',
    'a recipient twice',
    'two stanzas with one recipient_id',
    encodeContainer('envelope', twice, body),
  )
  refuse('unsupported', 'an unknown suite', 'no stanza of a known suite', small)

  refuse('no-recipient', 'not a recipient', 'wrapped for another', envelope, { people: [bob, carol] })
  refuse('cannot-open', 'context: none', 'not the context it was bound to', envelope, { context: null })
  refuse('cannot-open', 'context: another value', 'not the context it was bound to', envelope, {
    context: otherContext,
  })
  refuse('bad-context', 'context: an empty key', 'no context at all', envelope, { context: [['', 'x']] })
  const places = [
    ['key_id', 4],
    ['recipient_id of nobody here', 29],
    ['encapsulated key', 200],
    ['wrapped data key', 45 + 1130],
    ['header_mac', bodyAt - 1],
    ['salt', bodyAt],
    ['commitment', bodyAt + 24],
    ['ciphertext', bodyAt + 56],
    ['tag', envelope.length - 1],
  ] as const
  for (const [name, at] of places) {
    const kind = name.startsWith('recipient_id') ? 'no-recipient' : 'cannot-open'
    refuse(kind, `${name} flipped`, 'one bit flipped', flip(envelope, at))
  }
  refuse('cannot-open', 'a byte appended', 'bytes after the final chunk', join(envelope, Uint8Array.of(0)))
  refuse(
    'cannot-open',
    'a byte cut off',
    'the final chunk is too short for its tag',
    envelope.subarray(0, -1),
  )
  const other = make([alice], text('x'), someContext)
  refuse(
    'cannot-open',
    'body of another envelope',
    'each part is right by itself',
    encodeContainer('envelope', header, other.body),
  )
  const elsewhere = sealRecord(dataKey, text('x'), otherContext, { testingSalt: drbg.bytes(24) }).subarray(20)
  refuse(
    'cannot-open',
    'body of another context',
    'header and body are bound to two contexts',
    encodeContainer('envelope', header, elsewhere),
  )
  const typed = { bodyKind: 'value', testingSalt: drbg.bytes(24) } as const
  const value = sealRecord(dataKey, text('\x01x'), someContext, typed).subarray(20)
  refuse(
    'cannot-open',
    'body of a typed value',
    'envelopes hold bytes',
    encodeContainer('envelope', header, value),
  )
  return file
}
