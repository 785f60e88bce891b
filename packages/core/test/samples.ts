/** Keys, messages and containers the tests are written about. */

import { concat, fromHex, utf8 } from '../src/bytes.ts'
import { canonicalize } from '../src/format/context.ts'
import type { ContextInput } from '../src/format/context.ts'
import type { Stanza } from '../src/format/header.ts'
import { DataKey } from '../src/keys/data-key.ts'
import { LocalIdentity } from '../src/keys/identity.ts'
import type { Recipient } from '../src/keys/recipient.ts'
import { sealStanzas } from '../src/keys/wrapped-key.ts'

export const context = { tenant: 'a', table: 'users', column: 'email', id: '42' }

/** 32 bytes of the same value. */
export const filled = (value: number, length = 32) => new Uint8Array(length).fill(value)

/** An identity from a seed of one repeated byte. */
export const identityOf = (value: number) => LocalIdentity.fromSeed(filled(value))

export const dataKeyOf = (value: number) => DataKey.from(filled(value))

/** Bytes in a pattern that no chunk boundary hides in. */
export function patterned(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (31 * i + (i >>> 8)) & 255
  return bytes
}

export function hex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = fromHex(text)
  if (bytes === undefined) throw new Error('not hexadecimal')
  return bytes
}

/** A copy with one bit changed. Bits are counted from the most significant of byte 0. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes)
  flip(copy, bit)
  return copy
}

/** Changes one bit in place; a second call changes it back. */
export function flip(bytes: Uint8Array, bit: number): void {
  const at = bit >>> 3
  bytes[at] = (bytes[at] ?? 0) ^ (0x80 >>> (bit & 7))
}

export function changed(bytes: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const copy = new Uint8Array(bytes)
  copy.set(values, at)
  return copy
}

/** A stanza of a suite no release has. */
export const unknownStanza = (id: number, payloadBytes = 100): Stanza => ({
  kemId: 0x7777,
  kdfId: 1,
  aeadId: 2,
  recipientId: filled(id, 16),
  payload: filled(id, payloadBytes),
})

/** A wrapped key of these stanzas, its MAC right, whatever the stanzas are. */
export function wrappedKeyOf(
  dataKey: DataKey,
  stanzas: readonly Stanza[],
  keyContext: ContextInput = {},
): Uint8Array {
  return concat(utf8('LHK'), Uint8Array.of(1), sealStanzas(dataKey, stanzas, canonicalize(keyContext)))
}

/** What `recipient` makes of a data key. */
export async function stanzaFor(
  recipient: Recipient,
  dataKey: DataKey,
  keyContext: ContextInput = {},
): Promise<Stanza> {
  const bound = { keyId: dataKey.keyId, keyContext: canonicalize(keyContext).pairs }
  return dataKey.use((bytes) => recipient.wrap(bytes, bound))
}
