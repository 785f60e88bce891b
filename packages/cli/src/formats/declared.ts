/**
 * Layouts that somebody built by hand: a wrapped key, an initialization vector, a tag and a ciphertext, each in a
 * column, in a member of JSON, or at one end of another part. Nothing is guessed: the declaration says it all.
 */

import { parseStrictObject } from '../json-text.ts'
import { gcmIvBytes, gcmTagBytes, openGcm } from './aes.ts'
import { decodeText } from './encodings.ts'
import type { Encoding } from './encodings.ts'
import { cannotOpen, LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { Cell, LegacyFormat, LegacyValue, OaepParameters, PrivateKeys } from './legacy-format.ts'

/** Where bytes stand, and in which spelling. */
export interface PartPlace {
  /** A column of the table, or a member of the line. */
  readonly column: string
  /** A member of the JSON object that the column holds as text. */
  readonly member?: string | undefined
  readonly encoding: Encoding
}

/** `front`: the first 12 bytes of the ciphertext part. */
export type IvPlace = PartPlace | 'front'
/** `end`: the last 16 bytes of the ciphertext part. */
export type TagPlace = PartPlace | 'end'

export type AadPart = PartPlace | { readonly bytes: Uint8Array }

export type BodyCipher = 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm'

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
  /** Joined without anything between. Empty: none. */
  readonly aad: readonly AadPart[]
}

const keyBytes: Readonly<Record<BodyCipher, number>> = {
  'aes-128-gcm': 16,
  'aes-192-gcm': 24,
  'aes-256-gcm': 32,
}

/** The columns that a layout occupies, which are replaced, and those that it only reads. */
export function layoutColumns(layout: DeclaredLayout): { own: readonly string[]; read: readonly string[] } {
  const own = new Set([layout.ciphertext.column, layout.wrappedKey.column])
  for (const place of [layout.iv, layout.tag]) if (typeof place !== 'string') own.add(place.column)
  const read = layout.aad.flatMap((part) => ('column' in part ? [part.column] : []))
  if (layout.keyId !== undefined) read.push(layout.keyId.column)
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
      if (!parts.hasMembers(layout, cells)) return undefined
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
    body: layout.cipher,
    isAuthenticated: true,
    open: (keys) => open(layout, parts, cells, keys, id),
  }
}

function open(
  layout: DeclaredLayout,
  parts: Parts,
  cells: readonly Cell[],
  keys: PrivateKeys,
  keyId: string | undefined,
): Uint8Array {
  const wrappedKey = parts.bytesOf(layout.wrappedKey, cells, 'wrapped key')
  let ciphertext = parts.bytesOf(layout.ciphertext, cells, 'ciphertext')
  let iv: Uint8Array
  let tag: Uint8Array
  if (layout.iv === 'front') {
    if (ciphertext.length < gcmIvBytes)
      throw malformed('the ciphertext is shorter than the vector in front of it')
    iv = ciphertext.subarray(0, gcmIvBytes)
    ciphertext = ciphertext.subarray(gcmIvBytes)
  } else iv = parts.bytesOf(layout.iv, cells, 'iv')
  if (layout.tag === 'end') {
    if (ciphertext.length < gcmTagBytes) throw malformed('the ciphertext is shorter than the tag at its end')
    tag = ciphertext.subarray(ciphertext.length - gcmTagBytes)
    ciphertext = ciphertext.subarray(0, ciphertext.length - gcmTagBytes)
  } else tag = parts.bytesOf(layout.tag, cells, 'tag')

  // 96 bits are the rule; other lengths are allowed by SP 800-38D §5.2.1.1 and do occur (16 bytes).
  if (iv.length < gcmIvBytes || iv.length > 64)
    throw malformed('the initialization vector has not 12 to 64 bytes')
  if (tag.length !== gcmTagBytes) throw malformed('the authentication tag has not 16 bytes')
  if (ciphertext.length > maxPlaintextBytes) throw tooLarge()
  const aad = parts.joined(layout.aad, cells)

  const candidates = keys.candidates(keyId)
  if (candidates.length === 0)
    throw new LegacyError('no_private_key', 'no private key is meant by its key id')
  if (candidates.every(({ modulusBytes }) => modulusBytes !== wrappedKey.length)) {
    const sizes = [...new Set(candidates.map(({ modulusBytes }) => modulusBytes))].join(' or ')
    throw malformed(`the wrapped key has ${wrappedKey.length} bytes, the private key wants ${sizes}`)
  }
  for (const key of candidates) {
    // Trying the next key is safe only because the body has a tag.
    const dataKey = key.unwrapOaep(wrappedKey, layout.oaep)
    if (dataKey === undefined) continue
    const plaintext =
      dataKey.length === keyBytes[layout.cipher]
        ? openGcm({ key: dataKey, iv, ciphertext, tag, aad })
        : undefined
    dataKey.fill(0)
    if (plaintext !== undefined) return plaintext
  }
  throw cannotOpen()
}

/** Reads parts out of cells. */
class Parts {
  readonly #indexOf: (column: string) => number
  #parsedCell: Cell = null
  #parsed: Readonly<Record<string, unknown>> | undefined

  constructor(indexOf: (column: string) => number) {
    this.#indexOf = indexOf
  }

  /** True when every member that the layout names is there, so that other JSON in the column is not taken for it. */
  hasMembers(layout: DeclaredLayout, cells: readonly Cell[]): boolean {
    const places = [layout.wrappedKey, layout.ciphertext, layout.iv, layout.tag]
    return places.every(
      (place) =>
        typeof place === 'string' || place.member === undefined || this.#member(place, cells) !== undefined,
    )
  }

  textOf(place: PartPlace, cells: readonly Cell[]): string | undefined {
    const cell = this.#cell(place, cells)
    return typeof cell === 'string' ? cell : typeof cell === 'bigint' ? String(cell) : undefined
  }

  /** @throws LegacyError `malformed` when it is not there or not in its encoding. */
  bytesOf(place: PartPlace, cells: readonly Cell[], what: string): Uint8Array {
    const cell = this.#cell(place, cells)
    if (cell === null) throw malformed(`the ${what} is missing`)
    if (cell instanceof Uint8Array) {
      if (place.encoding === 'binary') return cell
      return this.#decode(new TextDecoder().decode(cell), place.encoding, what)
    }
    if (place.encoding === 'binary') throw malformed(`the ${what} is text, declared as binary`)
    if (typeof cell === 'number') throw malformed(`the ${what} is a floating-point number`)
    return this.#decode(String(cell), place.encoding, what)
  }

  joined(aad: readonly AadPart[], cells: readonly Cell[]): Uint8Array {
    return Buffer.concat(aad.map((part) => ('bytes' in part ? part.bytes : this.bytesOf(part, cells, 'AAD'))))
  }

  #decode(text: string, encoding: Exclude<Encoding, 'binary'>, what: string): Uint8Array {
    const bytes = decodeText(text, encoding)
    if (bytes === undefined) throw malformed(`the ${what} is not ${encoding}`)
    return bytes
  }

  #cell(place: PartPlace, cells: readonly Cell[]): Cell {
    if (place.member !== undefined) return this.#member(place, cells) ?? null
    return cells[this.#indexOf(place.column)] ?? null
  }

  #member({ column, member = '' }: PartPlace, cells: readonly Cell[]): string | undefined {
    const cell = cells[this.#indexOf(column)]
    if (typeof cell !== 'string' && !(cell instanceof Uint8Array)) return undefined
    // Several parts of one record stand in one text: it is parsed once.
    if (cell !== this.#parsedCell) {
      this.#parsed = parseObject(typeof cell === 'string' ? cell : new TextDecoder().decode(cell))
      this.#parsedCell = cell
    }
    const object = this.#parsed
    const value = object !== undefined && Object.hasOwn(object, member) ? object[member] : undefined
    return typeof value === 'string' ? value : undefined
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  try {
    return parseStrictObject(text)
  } catch {
    return undefined
  }
}
