/**
 * What the fuzzer knows and an attacker does not: keys, and stanzas that were made with them. All of it is the same in
 * every run, made on the portable backend, which takes the randomness of an encapsulation.
 */

import { createHmac } from 'node:crypto'

import { DataKey, LocalIdentity } from '@longhold/core'
import type { EncryptionContext, Suite } from '@longhold/core'

import { encodeStanza } from '../../packages/core/src/format/header.ts'
import { headerKeyOf } from '../../packages/core/src/keys/data-key.ts'
import { sealStanza } from '../../packages/core/src/keys/recipient.ts'
import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import { suites } from '../vectors/operations.ts'
import { Random } from './random.ts'

export type BackendName = 'native' | 'noble'

export const contexts: readonly EncryptionContext[] = [
  [],
  [
    ['id', '42'],
    ['tenant', 'a'],
  ],
  [
    ['id', '43'],
    ['tenant', 'a'],
  ],
]
/** Which suites a reader knows: both, or the default one alone. */
export const suiteSets: readonly (readonly Suite[])[] = [suites, suites.slice(0, 1)]

const defaultKem = 0x647a
const secondKem = 0x0051
/** Alice and Carol, Bob, and one for whom nothing is wrapped. */
const people = [
  { kem: defaultKem, seed: 1 },
  { kem: secondKem, seed: 2 },
  { kem: defaultKem, seed: 3 },
  { kem: defaultKem, seed: 4 },
]
const readers = [[0, 1], [2], [3], [3, 2, 1, 0]]
export const readerCount = readers.length

/** Prepared keys belong to a backend: each has its own. */
export interface World {
  readonly backend: BackendName
  readonly dataKeys: readonly DataKey[]
  readonly people: readonly LocalIdentity[]
  /** Sets of identities that read. */
  readonly readers: readonly (readonly LocalIdentity[])[]
}

export function worldOn(backend: BackendName): World {
  testingUseBackend(backend)
  const identities = people.map(({ kem, seed }) =>
    LocalIdentity.fromSeed(new Uint8Array(32).fill(seed), kem, { suites }),
  )
  return {
    backend,
    dataKeys: [1, 2].map((value) => DataKey.from(new Uint8Array(32).fill(value))),
    people: identities,
    readers: readers.map((set) => set.map((i) => identities[i]).filter((one) => one !== undefined)),
  }
}

/** A stanza as it was made, and what it holds. */
export interface KnownStanza {
  readonly bytes: Uint8Array
  readonly person: number
  /** The data key it is bound to by id, and the one it holds: the same unless the writer lied. */
  readonly boundTo: number
  readonly holds: number
  readonly context: number
}

export interface Lab {
  readonly worlds: Readonly<Record<BackendName, World>>
  readonly keyIds: readonly Uint8Array[]
  readonly dataKeys: readonly Uint8Array[]
  readonly stanzas: readonly KnownStanza[]
  /** The same, by their bytes as latin-1. */
  readonly byBytes: ReadonlyMap<string, KnownStanza>
  readonly recipientIds: readonly { readonly kem: number; readonly id: Uint8Array }[]
  /** HMAC-SHA-256 under the header key of a data key. */
  mac(dataKey: number, message: readonly Uint8Array[]): Uint8Array
}

export function openLab(): Lab {
  const noble = worldOn('noble')
  const random = new Random(0x10f)
  const stanzas: KnownStanza[] = []
  for (const [context, keyContext] of contexts.entries()) {
    for (const [person, identity] of noble.people.slice(0, 3).entries()) {
      for (const [boundTo, holds] of [
        [0, 0],
        [1, 1],
        [0, 1],
      ] as const) {
        const key = noble.dataKeys[boundTo]
        const held = noble.dataKeys[holds]
        if (key === undefined || held === undefined) throw new Error('no such data key')
        const bound = { keyId: key.keyId, keyContext }
        // m and a scalar: the first byte keeps that of P-384 below its order.
        const randomness = random.bytes(identity.kemId === defaultKem ? 64 : 80)
        randomness[32] = 1
        const stanza = held.use((bytes) => sealStanza(identity.recipient, bytes, bound, randomness))
        stanzas.push({ bytes: encodeStanza(stanza), person, boundTo, holds, context })
      }
    }
  }
  const headerKeys = noble.dataKeys.map(headerKeyOf)
  const native = worldOn('native')
  return {
    worlds: { native, noble },
    keyIds: noble.dataKeys.map(({ keyId }) => keyId),
    dataKeys: noble.dataKeys.map((key) => key.use((bytes) => new Uint8Array(bytes))),
    stanzas,
    byBytes: new Map(stanzas.map((known) => [latin1(known.bytes), known])),
    recipientIds: noble.people.map(({ kemId, recipientId }) => ({ kem: kemId, id: recipientId })),
    mac(dataKey, message) {
      const hmac = createHmac('sha256', headerKeys[dataKey] ?? '')
      for (const part of message) hmac.update(part)
      return hmac.digest()
    },
  }
}

/** One character for each byte: a key for maps. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** The readers' identities by number, for the model. */
export const readersByNumber = readers
