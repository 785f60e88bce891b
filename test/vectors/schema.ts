/** The schema of our vector files: what a case may hold, and how its values are read. */

import { fromHex } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'

/** Hexadecimal digits; or pieces of them and bytes that are repeated, where a limit would need megabytes. */
export type VectorBytes = string | readonly (string | { readonly repeat: string; readonly times: number })[]

interface VectorKey {
  readonly name?: string
  readonly kem: number
}

export interface VectorIdentity extends VectorKey {
  readonly seed: string
}

export interface VectorRecipient extends VectorKey {
  readonly publicKey?: string
  /** Whose public key it is, where there are so many that they would fill a file. */
  readonly seed?: string
  /** The randomness of the encapsulation, where the case can be replayed. */
  readonly encapsSeed?: string
}

/** A stanza that stands in the header as it is. */
export interface RawStanza {
  readonly raw: VectorBytes
}

type Plaintext =
  | { readonly hex: string }
  | { readonly pattern: string; readonly length: number; readonly sha256: string }

/** One case. Which of the optional fields are there depends on `op`. */
export interface VectorCase {
  readonly id: string
  readonly name: string
  readonly op: string
  readonly result: 'valid' | 'refused'
  readonly kind?: string
  readonly comment?: string
  readonly input?: VectorBytes
  readonly output?: string
  readonly context?: EncryptionContext | null
  readonly keyContext?: EncryptionContext | null
  readonly recordContext?: EncryptionContext | null
  readonly canonical?: string
  readonly kem?: number
  readonly seed?: string
  readonly publicKey?: string
  readonly recipientId?: string
  readonly recipientText?: string
  readonly identityText?: string
  readonly text?: string
  readonly what?: 'identity' | 'recipient'
  readonly bytes?: string
  readonly dataKey?: string
  readonly keyId?: string
  readonly headerKey?: string
  readonly indexKey?: string
  readonly identities?: readonly VectorIdentity[]
  readonly eachIdentityAlone?: boolean
  readonly recipients?: readonly VectorRecipient[]
  readonly stanzas?: readonly (VectorRecipient | RawStanza)[]
  readonly salt?: string
  readonly typed?: boolean
  readonly plaintext?: Plaintext
  readonly envelope?: string
  readonly wrappedKey?: string
  readonly record?: string
  readonly recordName?: string
  readonly start?: number
  readonly end?: number
  readonly sha256?: string
  readonly type?: string
  readonly value?: unknown
  readonly table?: string
  readonly column?: string
  readonly bits?: number
  readonly index?: string
}

/** One HPKE Base single-shot vector. Binary is hexadecimal. */
export interface HpkeVector {
  readonly tcId: string
  readonly name: string
  readonly skR: string
  readonly pkR: string
  readonly encapsSeed: string
  readonly enc: string
  readonly shared_secret: string
  readonly info: string
  readonly aad: string
  readonly key: string
  readonly base_nonce: string
  readonly pt: string
  readonly ct: string
}

export interface VectorFile {
  readonly file?: string
  readonly cases?: readonly VectorCase[]
  /** Of the file of chunk nonces. */
  readonly baseNonce?: string
  readonly nonces?: readonly { readonly chunk: string; readonly nonce: string }[]
  /** Of the HPKE files. */
  readonly kem_id?: number
  readonly vectors?: readonly HpkeVector[]
}

/** The field's bytes. Throws when the case lacks it, so that an incomplete case never passes. */
export function hex(text: VectorBytes | undefined): Uint8Array {
  if (typeof text === 'object') return joined(text)
  const bytes = text === undefined ? undefined : fromHex(text)
  if (bytes === undefined) throw new Error('the case lacks a field of hexadecimal digits')
  return bytes
}

function joined(pieces: Exclude<VectorBytes, string>): Uint8Array {
  const parts = pieces.map((piece) => {
    const { repeat, times } = typeof piece === 'string' ? { repeat: piece, times: 1 } : piece
    return { bytes: hex(repeat), times }
  })
  const whole = new Uint8Array(parts.reduce((sum, { bytes, times }) => sum + bytes.length * times, 0))
  let at = 0
  for (const { bytes, times } of parts) {
    const end = at + bytes.length * times
    if (bytes.length === 1) whole.fill(bytes[0] ?? 0, at, end)
    else for (let i = at; i < end; i += bytes.length) whole.set(bytes, i)
    at = end
  }
  return whole
}

/** The field itself. Throws when the case lacks it. */
export function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the case lacks a field')
  return value
}

/** The plaintext, given or made from the one pattern the files use and checked against its digest. */
export async function plaintextOf(plaintext: Plaintext | undefined): Promise<Uint8Array> {
  if (plaintext === undefined || 'hex' in plaintext) return hex(plaintext?.hex)
  const { pattern, length, sha256: digest } = plaintext
  const bytes = Uint8Array.from({ length }, (_, i) => (31 * i + 7) % 256)
  if (pattern !== 'byte i = (31*i + 7) mod 256' || (await sha256(bytes)) !== digest) {
    throw new Error(`cannot make the pattern ${pattern}`)
  }
  return bytes
}

export async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new Uint8Array(bytes))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
