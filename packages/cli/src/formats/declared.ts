/**
 * Layouts that somebody built by hand: a wrapped key, an initialization vector, a tag and a ciphertext, each in a
 * column, in a member of JSON, or at one end of another part. Nothing is guessed: the declaration says it all.
 */

import { createHash } from 'node:crypto'

import { parseStrictJson } from '../json-text.ts'
import { cbcIvBytes, gcmIvBytes, gcmTagBytes, openCbc, openGcm } from './aes.ts'
import { Parts } from './declared-parts.ts'
import type { PartPlace } from './declared-parts.ts'
import { cannotOpen, LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type {
  Cell,
  LegacyFormat,
  LegacyValue,
  OaepParameters,
  PrivateKey,
  PrivateKeys,
} from './legacy-format.ts'

/** `front`: the first 12 bytes of the ciphertext part, 16 for CBC. */
export type IvPlace = PartPlace | 'front'
/** `end`: the last 16 bytes of the ciphertext part. `none`: the cipher has no tag. */
export type TagPlace = PartPlace | 'end' | 'none'

export type AadPart = PartPlace | { readonly bytes: Uint8Array }

/** What tells a right plaintext from a wrong one where the cipher does not. */
export type Witness =
  | { readonly kind: 'sha256'; readonly place: PartPlace }
  | { readonly kind: 'starts-with'; readonly bytes: Uint8Array }
  | { readonly kind: 'json' }

interface CipherFacts {
  readonly mode: 'gcm' | 'cbc'
  readonly keyBytes: number
}

const ciphers = {
  'aes-128-gcm': { mode: 'gcm', keyBytes: 16 },
  'aes-192-gcm': { mode: 'gcm', keyBytes: 24 },
  'aes-256-gcm': { mode: 'gcm', keyBytes: 32 },
  'aes-128-cbc': { mode: 'cbc', keyBytes: 16 },
  'aes-192-cbc': { mode: 'cbc', keyBytes: 24 },
  'aes-256-cbc': { mode: 'cbc', keyBytes: 32 },
} as const satisfies Record<string, CipherFacts>

export type BodyCipher = keyof typeof ciphers

/** What a layout must say about its tag: a tag with GCM, none with CBC. */
export function modeOf(cipher: string): 'gcm' | 'cbc' | undefined {
  return Object.hasOwn(ciphers, cipher) ? ciphers[cipher as BodyCipher].mode : undefined
}

/** Plain data, so that it can go to a worker. */
export interface DeclaredLayout {
  readonly name: string
  readonly wrappedKey: PartPlace
  readonly iv: IvPlace
  readonly ciphertext: PartPlace
  readonly tag: TagPlace
  readonly keyId: PartPlace | undefined
  readonly oaep: OaepParameters
  readonly cipher: BodyCipher
  readonly witness: Witness | undefined
  /** Joined without anything between. Empty: none. */
  readonly aad: readonly AadPart[]
}

/** The columns that a layout occupies, which are replaced, and those that it only reads. */
export function layoutColumns(layout: DeclaredLayout): { own: readonly string[]; read: readonly string[] } {
  const own = new Set([layout.ciphertext.column, layout.wrappedKey.column])
  for (const place of [layout.iv, layout.tag]) if (typeof place !== 'string') own.add(place.column)
  const read = layout.aad.flatMap((part) => ('column' in part ? [part.column] : []))
  if (layout.keyId !== undefined) read.push(layout.keyId.column)
  if (layout.witness?.kind === 'sha256') read.push(layout.witness.place.column)
  return { own: [...own], read: [...new Set(read)].filter((column) => !own.has(column)) }
}

/**
 * @param columns Names of the cells that `recognize` will be given; the value to be replaced is the first.
 * @throws RangeError when the layout needs another one.
 */
export function declaredFormat(layout: DeclaredLayout, columns: readonly string[]): LegacyFormat {
  const indexOf = (column: string): number => {
    const index = columns.indexOf(column)
    if (index < 0) throw new RangeError(`no column ${column}`)
    return index
  }
  const { own, read } = layoutColumns(layout)
  const ownAt = own.map(indexOf)
  read.forEach(indexOf)
  const parts = new Parts(indexOf)
  return {
    name: layout.name,
    recognize(cells) {
      if (ownAt.some((index) => (cells[index] ?? null) === null)) return undefined
      // Other JSON in the column is not taken for it.
      const places = [layout.wrappedKey, layout.ciphertext, layout.iv, layout.tag]
      if (!places.every((place) => typeof place === 'string' || parts.hasMember(place, cells)))
        return undefined
      return valueOf(layout, parts, cells)
    },
  }
}

function valueOf(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): LegacyValue {
  const { hash, mgf1Hash } = layout.oaep
  const id = layout.keyId === undefined ? undefined : parts.textOf(layout.keyId, cells)
  return {
    keyId: id,
    wrapping: `RSA-OAEP ${hash}${mgf1Hash === hash ? '' : `, MGF1 ${mgf1Hash}`}`,
    body: layout.cipher + (layout.witness === undefined ? '' : `, witness ${layout.witness.kind}`),
    isAuthenticated: isTold(layout),
    open: (keys) => open(layout, parts, cells, keys, id),
  }
}

/** True when a wrong key or an altered body cannot pass. */
function isTold({ cipher, witness }: DeclaredLayout): boolean {
  return ciphers[cipher].mode === 'gcm' || witness !== undefined
}

function open(
  layout: DeclaredLayout,
  parts: Parts,
  cells: readonly Cell[],
  keys: PrivateKeys,
  keyId: string | undefined,
): Uint8Array {
  const wrappedKey = parts.bytesOf(layout.wrappedKey, cells, 'wrapped key')
  const openBody =
    ciphers[layout.cipher].mode === 'gcm' ? gcmBody(layout, parts, cells) : cbcBody(layout, parts, cells)
  for (const key of meantKeys(layout, keys, keyId, wrappedKey.length)) {
    const dataKey = key.unwrapOaep(wrappedKey, layout.oaep)
    if (dataKey === undefined) continue
    const plaintext = dataKey.length === ciphers[layout.cipher].keyBytes ? openBody(dataKey) : undefined
    dataKey.fill(0)
    if (plaintext !== undefined && isWitnessed(layout, parts, cells, plaintext)) return plaintext
    plaintext?.fill(0)
  }
  throw cannotOpen()
}

/** Several keys are tried only where a wrong one cannot pass. */
function meantKeys(
  layout: DeclaredLayout,
  keys: PrivateKeys,
  keyId: string | undefined,
  wrappedBytes: number,
): readonly PrivateKey[] {
  const candidates = keys.candidates(keyId)
  if (candidates.length === 0) {
    throw new LegacyError('no_private_key', 'no private key is meant by its key id')
  }
  if (candidates.length > 1 && !isTold(layout)) {
    throw new LegacyError(
      'unauthenticated',
      'several private keys could be meant, and nothing would tell a wrong one',
    )
  }
  if (candidates.every(({ modulusBytes }) => modulusBytes !== wrappedBytes)) {
    const sizes = [...new Set(candidates.map(({ modulusBytes }) => modulusBytes))].join(' or ')
    throw malformed(`the wrapped key has ${wrappedBytes} bytes, the private key wants ${sizes}`)
  }
  return candidates
}

type OpenBody = (dataKey: Uint8Array) => Uint8Array | undefined

function gcmBody(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): OpenBody {
  const { iv, rest } = splitIv(layout, parts, cells, gcmIvBytes)
  let ciphertext = rest
  let tag: Uint8Array
  if (layout.tag === 'end') {
    if (rest.length < gcmTagBytes) throw malformed('the ciphertext is shorter than the tag at its end')
    tag = rest.subarray(rest.length - gcmTagBytes)
    ciphertext = rest.subarray(0, rest.length - gcmTagBytes)
  } else if (layout.tag === 'none') throw malformed('the tag is missing')
  else tag = parts.bytesOf(layout.tag, cells, 'tag')
  // 96 bits are the rule; other lengths are allowed by SP 800-38D §5.2.1.1 and do occur (16 bytes).
  if (iv.length < gcmIvBytes || iv.length > 64) {
    throw malformed('the initialization vector has not 12 to 64 bytes')
  }
  if (tag.length !== gcmTagBytes) throw malformed('the authentication tag has not 16 bytes')
  if (ciphertext.length > maxPlaintextBytes) throw tooLarge()
  const aad = parts.joined(layout.aad, cells)
  return (key) => openGcm({ key, iv, ciphertext, tag, aad })
}

function cbcBody(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): OpenBody {
  const { iv, rest } = splitIv(layout, parts, cells, cbcIvBytes)
  if (iv.length !== cbcIvBytes) throw malformed('the initialization vector has not 16 bytes')
  if (rest.length === 0 || rest.length % 16 !== 0)
    throw malformed('the ciphertext is not a number of whole blocks')
  if (rest.length > maxPlaintextBytes + 16) throw tooLarge()
  return (key) => openCbc(key, iv, rest)
}

function splitIv(
  layout: DeclaredLayout,
  parts: Parts,
  cells: readonly Cell[],
  ivBytes: number,
): { iv: Uint8Array; rest: Uint8Array } {
  const ciphertext = parts.bytesOf(layout.ciphertext, cells, 'ciphertext')
  if (layout.iv !== 'front') return { iv: parts.bytesOf(layout.iv, cells, 'iv'), rest: ciphertext }
  if (ciphertext.length < ivBytes) throw malformed('the ciphertext is shorter than the vector in front of it')
  return { iv: ciphertext.subarray(0, ivBytes), rest: ciphertext.subarray(ivBytes) }
}

function isWitnessed(
  { witness }: DeclaredLayout,
  parts: Parts,
  cells: readonly Cell[],
  plaintext: Uint8Array,
): boolean {
  if (witness === undefined) return true
  if (witness.kind === 'json') return isJson(plaintext)
  if (witness.kind === 'starts-with') {
    return Buffer.from(witness.bytes).equals(plaintext.subarray(0, witness.bytes.length))
  }
  const expected = parts.bytesOf(witness.place, cells, 'witness')
  return createHash('sha256').update(plaintext).digest().equals(expected)
}

function isJson(plaintext: Uint8Array): boolean {
  try {
    parseStrictJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plaintext))
    return true
  } catch {
    return false
  }
}
