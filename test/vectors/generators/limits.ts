/**
 * As much as may be, and one more: recipients, the length of a Header, what is opened at once (SPEC §11). Long inputs are
 * written in pieces, so that the file stays small.
 */

import { DataKey, toHex } from '@longhold/core'

import { encodeContainer } from '../../../packages/core/src/format/container.ts'
import { sealContainer } from '../../../packages/core/src/keys/data-key.ts'
import type { VectorBytes } from '../schema.ts'
import { CaseFile } from './case-file.ts'
import { Drbg } from './drbg.ts'
import { defaultKem, encapsSeedFor, headerOf, join, personOf, someContext, stanzaFor } from './parts.ts'

const maxHeaderBytes = 65_536
const maxPlaintextBytes = 64 * 1024 * 1024
const context = someContext

export function limitFile(): CaseFile {
  const drbg = new Drbg('limits')
  const file = new CaseFile('limits.json')
  const dataKey = DataKey.from(drbg.bytes(32))
  recipients(file, drbg, dataKey)
  headers(file, drbg, dataKey)
  plaintexts(file, drbg, dataKey)
  return file
}

const keyFields = (key: DataKey) => ({
  dataKey: key.use(toHex),
  keyId: toHex(key.keyId),
  keyContext: context,
})

function recipients(file: CaseFile, drbg: Drbg, dataKey: DataKey): void {
  const people = Array.from({ length: 33 }, (_, i) => personOf(`reader ${i + 1}`, defaultKem, drbg))
  const most = people.slice(0, 32)
  const seeds = most.map((person) => encapsSeedFor(person, drbg))
  const stanzas = most.map((person, i) => stanzaFor(person, { dataKey, context }, seeds[i] ?? drbg.bytes(64)))
  const [first, last] = [most.at(0), most.at(-1)]
  file.valid(
    'unwrapKey',
    'thirty-two recipients',
    {
      ...keyFields(dataKey),
      identities: [first, last].flatMap((person) => person?.asIdentity ?? []),
      eachIdentityAlone: true,
      recipients: most.map(({ asIdentity }, i) => ({
        ...asIdentity,
        encapsSeed: toHex(seeds[i] ?? drbg.bytes(64)),
      })),
      input: toHex(encodeContainer('wrapped key', headerOf({ dataKey, context, stanzas }))),
    },
    'as many as may be, opened by the first and by the last',
  )
  file.refused('wrapKey', 'bad-input', 'thirty-three recipients', 'one more than may be', {
    ...keyFields(dataKey),
    recipients: people.map(({ asIdentity }) => asIdentity),
  })
}

function headers(file: CaseFile, drbg: Drbg, dataKey: DataKey): void {
  const alice = personOf('alice', defaultKem, drbg)
  const encapsSeed = encapsSeedFor(alice, drbg)
  const known = stanzaFor(alice, { dataKey, context }, encapsSeed)
  /** Alice's stanza, and behind it one of an unknown suite that fills the Header. */
  const filled = (headerBytes: number) => {
    const start = join(Uint8Array.of(0x7f, 0x77, 0, 1, 0, 2), drbg.bytes(16))
    const filler = new Uint8Array(headerBytes - 16 - 1 - 2 - known.length - 2 - 32).fill(0xab)
    filler.set(start)
    return { filler, header: headerOf({ dataKey, context, stanzas: [known, filler] }) }
  }
  const { filler, header } = filled(maxHeaderBytes)
  const { header: longer } = filled(maxHeaderBytes + 1)
  if (header.length !== maxHeaderBytes || longer.length !== maxHeaderBytes + 1) throw new Error('not filled')

  const identities = [alice.asIdentity]
  const stanzas = [{ ...alice.asRecipient, encapsSeed: toHex(encapsSeed) }, { raw: inPieces(filler) }]
  const wrapped = { ...keyFields(dataKey), identities }
  const wrappedKey = (bytes: Uint8Array) => inPieces(encodeContainer('wrapped key', bytes))
  file.valid(
    'unwrapKey',
    'a Header of 65,536 bytes',
    { ...wrapped, stanzas, input: wrappedKey(header) },
    'as long as may be; most of it is a stanza of an unknown suite',
  )
  file.refused('unwrapKey', 'malformed', 'a Header of 65,537 bytes', 'one byte more than may be', {
    ...wrapped,
    input: wrappedKey(longer),
  })

  const salt = drbg.bytes(24)
  const envelope = (head: Uint8Array) =>
    inPieces(sealContainer('envelope', dataKey, head, new Uint8Array(), context, { testingSalt: salt }))
  const opened = { dataKey: dataKey.use(toHex), context, identities }
  const plaintext = { hex: '' }
  file.valid(
    'openEnvelope',
    'an envelope with a Header of 65,536 bytes',
    { ...opened, plaintext, stanzas, salt: toHex(salt), input: envelope(header) },
    'as long as may be',
  )
  file.refused(
    'openEnvelope',
    'malformed',
    'an envelope with a Header of 65,537 bytes',
    'one byte more than may be',
    { ...opened, plaintext, input: envelope(longer) },
  )
}

/** Bodies of zeros: what is too long is refused for that, before anything is looked at, and what is not is not. */
function plaintexts(file: CaseFile, drbg: Drbg, dataKey: DataKey): void {
  const alice = personOf('alice, for long bodies', defaultKem, drbg)
  const stanzas = [stanzaFor(alice, { dataKey, context }, encapsSeedFor(alice, drbg))]
  const header = headerOf({ dataKey, context, stanzas })
  const bodyBytes = (plaintextBytes: number) => 72 + plaintextBytes + 16 * Math.floor(plaintextBytes / 16_384)
  const zeros = (plaintextBytes: number) => ({ repeat: '00', times: bodyBytes(plaintextBytes) })
  const record = toHex(encodeContainer('record', dataKey.keyId))
  const envelope = toHex(encodeContainer('envelope', header))
  const outcomes = [
    ['cannot-open', maxPlaintextBytes, 'as long as may be, so that it is opened, and does not'],
    ['limit', maxPlaintextBytes + 1, 'one byte more than is opened at once, found before memory is taken'],
  ] as const
  for (const [kind, bytes, comment] of outcomes) {
    const name = `${bytes.toLocaleString('en-US')} bytes at once`
    file.refused('openRecordAtOnce', kind, `a record of ${name}`, comment, {
      dataKey: dataKey.use(toHex),
      recordContext: context,
      input: [record, zeros(bytes)],
    })
    file.refused('openEnvelopeAtOnce', kind, `an envelope of ${name}`, comment, {
      identities: [alice.asIdentity],
      context,
      input: [envelope, zeros(bytes)],
    })
  }
}

/** Long runs of the filling byte become `{ repeat, times }`. */
function inPieces(bytes: Uint8Array): VectorBytes {
  // With the runs as every other piece.
  return toHex(bytes)
    .split(/((?:ab){64,})/u)
    .map((piece, i) => (i % 2 === 0 ? piece : { repeat: 'ab', times: piece.length / 2 }))
}
