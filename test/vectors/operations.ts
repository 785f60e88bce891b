/**
 * What each `op` of a vector does with the library's real encoders and decoders: a table from the op's name. A
 * valid case is opened, and where it gives its randomness written again bit for bit; a refused one must throw.
 */

import {
  DataKey,
  LocalIdentity,
  PublicKeyRecipient,
  attach,
  blindIndex,
  canonicalContext,
  decodeValue,
  decrypt,
  decryptRecordStream,
  decryptStream,
  defaultSuite,
  detach,
  encodeValue,
  equalBytes,
  fromText,
  openEncrypted,
  openEncryptedRecord,
  parseIdentity,
  parseRecipient,
  parseStanza,
  rewrap,
  toHex,
  toText,
  unwrapDataKey,
  wrapDataKey,
} from '@longhold/core'
import type { EncryptionContext, Recipient, Stanza, TypedValue } from '@longhold/core'
import { mlKem1024P384Suite } from '@longhold/core/mlkem1024-p384'

import { encodeContainer } from '../../packages/core/src/format/container.ts'
import { canonicalize } from '../../packages/core/src/format/context.ts'
import { indexKeyOf } from '../../packages/core/src/keys/blind-index.ts'
import { headerKeyOf, sealContainer, sealRecord } from '../../packages/core/src/keys/data-key.ts'
import { sealStanza } from '../../packages/core/src/keys/recipient.ts'
import { sealStanzas } from '../../packages/core/src/keys/wrapped-key.ts'
import { backend } from '../../packages/core/src/primitives/backend.ts'
import { everyWay, sliced, streamed } from './every-way.ts'
import { given, hex, plaintextOf, sha256 } from './schema.ts'
import type { VectorCase, VectorIdentity, VectorRecipient } from './schema.ts'

/** Vectors may use every suite there is. */
export const suites = [defaultSuite, mlKem1024P384Suite]

/** Throws when the case does not hold. */
export type Operation = (vector: VectorCase, byName: ReadonlyMap<string, VectorCase>) => Promise<void> | void

export const operations: Readonly<Record<string, Operation>> = {
  canonical: ({ context, canonical }) =>
    same(canonicalContext(contextOf(context)), hex(canonical), 'canonical'),

  key({ kem, seed, publicKey, recipientId, recipientText, identityText }) {
    const identity = LocalIdentity.fromSeed(hex(seed), kem, { suites })
    same(identity.recipient.publicKey, hex(publicKey), 'publicKey')
    same(identity.recipientId, hex(recipientId), 'recipientId')
    equal(identity.recipient.toString(), recipientText, 'recipientText')
    equal(identity.exportText(), identityText, 'identityText')
    equal(parseIdentity(given(identityText), { suites }).exportText(), identityText, 'identityText, parsed')
    equal(parseRecipient(given(recipientText), { suites }).toString(), recipientText, 'recipientText, parsed')
  },

  parseKeyText({ text, what = claimed(text), kem, bytes }) {
    if (what === 'identity') {
      const identity = parseIdentity(given(text), { suites })
      equal(identity.kemId, kem, 'kem')
      identity.useSeed((seed) => same(seed, hex(bytes), 'bytes'))
    } else {
      const recipient = parseRecipient(given(text), { suites })
      equal(recipient.kemId, kem, 'kem')
      same(recipient.publicKey, hex(bytes), 'bytes')
    }
  },

  dataKey({ dataKey, keyId, headerKey, indexKey }) {
    const key = DataKey.from(hex(dataKey))
    same(key.keyId, hex(keyId), 'keyId')
    same(headerKeyOf(key), hex(headerKey), 'headerKey')
    same(indexKeyOf(key), hex(indexKey), 'indexKey')
  },

  async wrapKey({ dataKey, keyContext, recipients }) {
    await wrapDataKey(DataKey.from(hex(dataKey)), {
      recipients: given(recipients).map(recipientOf),
      keyContext: contextOf(keyContext),
      suites,
    })
  },

  async unwrapKey(vector) {
    const keyContext = contextOf(vector.keyContext)
    for (const identities of identitySets(vector)) {
      const key = await unwrapDataKey(hex(vector.input), { identities, keyContext, suites })
      key.use((bytes) => same(bytes, hex(vector.dataKey), 'dataKey'))
      same(key.keyId, hex(vector.keyId), 'keyId')
    }
    const header = replayHeader(vector, keyContext)
    if (header !== undefined) same(encodeContainer('wrapped key', header), hex(vector.input), 'replay')
  },

  async openRecord({ dataKey, recordContext, input, plaintext, salt }) {
    const key = DataKey.from(hex(dataKey))
    const context = contextOf(recordContext)
    const options = { recordContext: context }
    const bytes = hex(input)
    const opened = await everyWay({
      whole: () => key.decrypt(bytes, options),
      stream: () => streamed(decryptRecordStream(key, options), bytes),
      slices: () => sliced((source) => openEncryptedRecord(source, key, options), bytes),
    })
    const expected = await plaintextOf(plaintext)
    same(opened, expected, 'plaintext')
    if (salt !== undefined)
      same(sealRecord(key, expected, context, { testingSalt: hex(salt) }), hex(input), 'replay')
  },

  openRecordAtOnce({ dataKey, recordContext, input }) {
    DataKey.from(hex(dataKey)).decrypt(hex(input), { recordContext: contextOf(recordContext) })
  },

  async openEnvelopeAtOnce(vector) {
    const identities = given(vector.identities).map(identityOf)
    await decrypt(hex(vector.input), { identities, context: contextOf(vector.context), suites })
  },

  async readRange(vector, byName) {
    const input = vector.input ?? byName.get(given(vector.recordName))?.input
    const key = DataKey.from(hex(vector.dataKey))
    const reader = await openEncryptedRecord(new Blob([new Uint8Array(hex(input))]), key, {
      recordContext: contextOf(vector.recordContext),
    })
    const { start, end } = vector
    equal(await sha256(await reader.slice(given(start), given(end))), vector.sha256, 'sha256')
  },

  async openTypedRecord({ dataKey, recordContext, input, plaintext, salt }) {
    const key = DataKey.from(hex(dataKey))
    const context = contextOf(recordContext)
    const opened = encodeValue(key.decryptValue(hex(input), { recordContext: context }))
    const expected = await plaintextOf(plaintext)
    same(opened, expected, 'plaintext')
    if (salt !== undefined) {
      const replay = { bodyKind: 'value', testingSalt: hex(salt) } as const
      same(sealRecord(key, expected, context, replay), hex(input), 'replay')
    }
  },

  async openEnvelope(vector) {
    const context = contextOf(vector.context)
    const input = hex(vector.input)
    const opened: Uint8Array[] = []
    for (const identities of identitySets(vector)) {
      const options = { identities, context, suites }
      opened.push(
        await everyWay({
          whole: () => decrypt(input, options),
          stream: () => streamed(decryptStream(options), input),
          slices: () => sliced((source) => openEncrypted(source, options), input),
        }),
      )
    }
    const expected = await plaintextOf(vector.plaintext)
    for (const bytes of opened) same(bytes, expected, 'plaintext')
    if (vector.text !== undefined) {
      equal(toText(input), vector.text, 'text')
      same(fromText(vector.text), input, 'text, read')
    }
    const header = replayHeader(vector, context)
    if (header !== undefined && vector.salt !== undefined) {
      const key = DataKey.from(hex(vector.dataKey))
      same(
        sealContainer('envelope', key, header, expected, context, { testingSalt: hex(vector.salt) }),
        input,
        'replay',
      )
    }
  },

  async rewrap(vector) {
    const { input, output } = vector
    const keyContext = contextOf(vector.context ?? vector.keyContext)
    const identities = given(vector.identities).map(identityOf)
    const recipients = given(vector.recipients)
    const fresh = await rewrap(hex(input), {
      identities,
      recipients: recipients.map(recipientOf),
      keyContext,
      suites,
    })
    equal(fresh.length, hex(output).length, 'length')
    if (backend().name !== 'noble' || recipients.some(({ encapsSeed }) => encapsSeed === undefined)) return
    const replayed = recipients.map((recipient) => withEncapsSeed(recipient))
    same(
      await rewrap(hex(input), { identities, recipients: replayed, keyContext, suites }),
      hex(output),
      'replay',
    )
  },

  async detachAttach({ envelope, wrappedKey, record, context, identities, dataKey }) {
    const parts = detach(hex(envelope))
    same(parts.wrappedKey, hex(wrappedKey), 'wrappedKey')
    same(parts.record, hex(record), 'record')
    same(attach(parts), hex(envelope), 'attached')
    const bound = contextOf(context)
    const key = await unwrapDataKey(parts.wrappedKey, {
      identities: given(identities).map(identityOf),
      keyContext: bound,
      suites,
    })
    key.use((bytes) => same(bytes, hex(dataKey), 'dataKey'))
    key.decrypt(parts.record, { recordContext: bound })
  },

  attach({ wrappedKey, record }) {
    attach({ wrappedKey: hex(wrappedKey), record: hex(record) })
  },

  async unwrapKeyThenOpenRecord(vector) {
    const { wrappedKey, record, recordContext, plaintext } = vector
    const identities = given(vector.identities).map(identityOf)
    const key = await unwrapDataKey(hex(wrappedKey), {
      identities,
      keyContext: contextOf(vector.keyContext),
      suites,
    })
    const opened = key.decrypt(hex(record), { recordContext: contextOf(recordContext) })
    same(opened, await plaintextOf(plaintext), 'plaintext')
  },

  value({ type, value, bytes }) {
    const typed = typedValue(given(type), value)
    same(encodeValue(typed), hex(bytes), 'bytes')
    const decoded = decodeValue(hex(bytes))
    equal(decoded.type, typed.type, 'type')
    same(encodeValue(decoded), hex(bytes), 'decoded')
  },

  decodeValue({ bytes }) {
    decodeValue(hex(bytes))
  },

  blindIndex({ dataKey, table, column, value, bits, index }) {
    const options = {
      table: given(table),
      column: given(column),
      value: hex(value as string),
      bits: given(bits),
    }
    same(blindIndex(DataKey.from(hex(dataKey)), options), hex(index), 'index')
  },

  fromText({ text, bytes }) {
    const read = fromText(given(text))
    same(read, hex(bytes), 'bytes')
    equal(toText(read), text, 'text')
  },
}

/** What a text says it is: read as the other one, it would be refused for its prefix whatever else is wrong. */
function claimed(text = ''): 'identity' | 'recipient' {
  return text.startsWith('LONGHOLD-IDENTITY') ? 'identity' : 'recipient'
}

/** The files write doubles and bigints as text, dates as milliseconds, bytes as hexadecimal. */
function typedValue(type: string, value: unknown): TypedValue {
  if (type === 'bytes') return { type, value: hex((value as { hex: string }).hex) }
  if (type === 'string') return { type, value: value as string }
  if (type === 'json') return { type, value }
  if (type === 'boolean') return { type, value: value as boolean }
  if (type === 'double') return { type: 'number', value: Number(value) }
  if (type === 'bigint') return { type, value: BigInt(value as string) }
  if (type === 'date') return { type, value: new Date(value as number) }
  throw new Error(`no type ${type}`)
}

/** `null` means none, which is an explicit empty context. */
function contextOf(context: EncryptionContext | null | undefined): EncryptionContext {
  return context ?? []
}

function identityOf({ seed, kem }: VectorIdentity): LocalIdentity {
  return LocalIdentity.fromSeed(hex(seed), kem, { suites })
}

function recipientOf({ kem, publicKey, seed }: VectorRecipient): PublicKeyRecipient {
  if (seed !== undefined) return identityOf({ kem, seed }).recipient
  return PublicKeyRecipient.fromPublicKey(kem, hex(publicKey), { suites })
}

/** All identities at once, and each alone where the case says that each opens it. */
function identitySets({ identities, eachIdentityAlone }: VectorCase): LocalIdentity[][] {
  const all = given(identities).map(identityOf)
  return eachIdentityAlone === true ? [all, ...all.map((one) => [one])] : [all]
}

/** A recipient whose encapsulations take the case's randomness. */
function withEncapsSeed(vector: VectorRecipient): Recipient {
  const recipient = recipientOf(vector)
  return {
    kemId: recipient.kemId,
    recipientId: recipient.recipientId,
    wrap: async (dataKey, bound) => sealStanza(recipient, dataKey, bound, hex(vector.encapsSeed)),
  }
}

/** The header written again; `undefined` where the case or the backend does not allow it. */
function replayHeader(vector: VectorCase, keyContext: EncryptionContext): Uint8Array | undefined {
  const entries = vector.stanzas ?? vector.recipients
  // node:crypto takes no encapsulation randomness: there the case is opened, not replayed.
  if (entries === undefined || backend().name !== 'noble') return undefined
  const dataKey = DataKey.from(hex(vector.dataKey))
  const canonical = canonicalize(keyContext)
  const bound = { keyId: dataKey.keyId, keyContext: canonical.pairs }
  const stanzas: Stanza[] = []
  for (const entry of entries) {
    if ('raw' in entry) stanzas.push(parseStanza(hex(entry.raw), { suites }))
    else if (entry.encapsSeed === undefined) return undefined
    else
      stanzas.push(
        dataKey.use((bytes) => sealStanza(recipientOf(entry), bytes, bound, hex(entry.encapsSeed))),
      )
  }
  return sealStanzas(dataKey, stanzas, canonical)
}

function same(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (!equalBytes(actual, expected)) {
    throw new Error(`${what}: ${excerpt(actual)} instead of ${excerpt(expected)}`)
  }
}

function equal(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`)
}

function excerpt(bytes: Uint8Array): string {
  return bytes.length <= 64 ? toHex(bytes) : `${toHex(bytes.subarray(0, 64))}… (${bytes.length} bytes)`
}
