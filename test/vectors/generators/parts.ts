/** What cases are made of: keys, contexts, headers in parts, and single faults. */

import { LocalIdentity, toHex } from '@longhold/core'
import type { DataKey, EncryptionContext } from '@longhold/core'

import { encodeContainer } from '../../../packages/core/src/format/container.ts'
import { canonicalize } from '../../../packages/core/src/format/context.ts'
import { encodeStanza } from '../../../packages/core/src/format/header.ts'
import { headerKeyOf } from '../../../packages/core/src/keys/data-key.ts'
import { sealStanza } from '../../../packages/core/src/keys/recipient.ts'
import { backend } from '../../../packages/core/src/primitives/backend.ts'
import { suites } from '../operations.ts'
import { sha256 } from '../schema.ts'
import type { VectorIdentity, VectorRecipient } from '../schema.ts'
import type { Drbg } from './drbg.ts'

export const defaultKem = 0x647a
export const secondKem = 0x0051
export const chunkBytes = 16_384

export const someContext: EncryptionContext = [
  ['table', 'patients'],
  ['column', 'note'],
  ['id', '42'],
]
export const otherContext: EncryptionContext = [
  ['table', 'patients'],
  ['column', 'note'],
  ['id', '43'],
]

/** A named key pair, and what the schema writes of it. */
export interface Person {
  readonly name: string
  readonly identity: LocalIdentity
  readonly asIdentity: VectorIdentity
  readonly asRecipient: VectorRecipient
}

export function personOf(name: string, kem: number, drbg: Drbg): Person {
  const seed = drbg.bytes(32)
  const identity = LocalIdentity.fromSeed(seed, kem, { suites })
  return {
    name,
    identity,
    asIdentity: { name, kem, seed: toHex(seed) },
    asRecipient: { name, kem, publicKey: toHex(identity.recipient.publicKey) },
  }
}

/** The randomness of one encapsulation: m and a scalar. */
export function encapsSeedFor(person: Person, drbg: Drbg): Uint8Array {
  const seed = drbg.bytes(person.identity.kemId === defaultKem ? 64 : 80)
  seed[32] = (seed[32] ?? 0) & 0x7f // a scalar of P-384 below its order
  return seed
}

/** A stanza without its length. */
export function stanzaFor(
  person: Person,
  {
    dataKey,
    keyId = dataKey.keyId,
    context,
  }: { dataKey: DataKey; keyId?: Uint8Array; context: EncryptionContext },
  encapsSeed: Uint8Array,
): Uint8Array {
  const bound = { keyId, keyContext: canonicalize(context).pairs }
  return encodeStanza(dataKey.use((bytes) => sealStanza(person.identity.recipient, bytes, bound, encapsSeed)))
}

export interface HeaderParts {
  readonly dataKey: DataKey
  readonly context: EncryptionContext
  readonly stanzas: readonly Uint8Array[]
  readonly keyId?: Uint8Array
  /** Written instead of the number of stanzas. */
  readonly count?: number
  /** Of which data key and context the MAC is, when not of these. */
  readonly macKey?: DataKey
  readonly macContext?: EncryptionContext
  readonly withMac?: (mac: Uint8Array) => Uint8Array
}

/** Key id to MAC, the MAC right unless told otherwise. */
export function headerOf(parts: HeaderParts): Uint8Array {
  const { dataKey, context, stanzas, keyId = dataKey.keyId, count = stanzas.length } = parts
  const { macKey = dataKey, macContext = context, withMac = (mac) => mac } = parts
  const lengths = stanzas.map((stanza) => join(Uint8Array.of(stanza.length >> 8, stanza.length), stanza))
  const authenticated = join(keyId, Uint8Array.of(count), ...lengths)
  const label = new TextEncoder().encode('longhold/v1/header\0')
  const mac = backend()
    .hmac('sha256', headerKeyOf(macKey))
    .mac(label, authenticated, canonicalize(macContext).bytes)
  return join(authenticated, withMac(mac))
}

export const wrappedKeyOf = (parts: HeaderParts): Uint8Array =>
  encodeContainer('wrapped key', headerOf(parts))

/** A stanza of a suite that no release has. */
export function unknownStanza(drbg: Drbg, bytes = 22): Uint8Array {
  return join(Uint8Array.of(0x7f, 0x77, 0, 1, 0, 2), drbg.bytes(bytes - 6))
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** One bit changed. */
export function flip(bytes: Uint8Array, at: number, mask = 1): Uint8Array {
  const copy = new Uint8Array(bytes)
  const index = at < 0 ? copy.length + at : at
  copy[index] = (copy[index] ?? 0) ^ mask
  return copy
}

/** `part` written over the bytes from `at` on. */
export function over(bytes: Uint8Array, at: number, ...part: readonly number[]): Uint8Array {
  const copy = new Uint8Array(bytes)
  copy.set(part, at)
  return copy
}

/** The pattern the schema has a name for. */
export const patterned = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (31 * i + 7) % 256)

export async function patternPlaintext(length: number) {
  return { pattern: 'byte i = (31*i + 7) mod 256', length, sha256: await sha256(patterned(length)) }
}

export { toHex } from '@longhold/core'
