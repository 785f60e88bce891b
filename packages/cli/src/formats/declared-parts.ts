/** The parts of a declared layout, read out of cells: columns, members of JSON in a column, and their spellings. */

import { isObject, parseStrictObject } from '../json-text.ts'
import { decodeText } from './encodings.ts'
import type { Encoding } from './encodings.ts'
import { malformed } from './legacy-format.ts'
import type { Cell } from './legacy-format.ts'

/** Where bytes stand, and in which spelling. */
export interface PartPlace {
  /** A column of the table, or a member of the line. */
  readonly column: string
  /** A member of the JSON object that the column holds as text. */
  readonly member?: string | undefined
  readonly encoding: Encoding
}

/** Reads parts out of cells. */
export class Parts {
  readonly #indexOf: (column: string) => number
  #parsedCell: Cell = null
  #parsed: Readonly<Record<string, unknown>> | undefined

  constructor(indexOf: (column: string) => number) {
    this.#indexOf = indexOf
  }

  /** True when there is something; of a member, when it is text. */
  isThere(place: PartPlace, cells: readonly Cell[]): boolean {
    return this.#cell(place, cells) !== null
  }

  /** The texts of a JSON object in a column, or in a member of one, by name. */
  membersOf(place: PartPlace, cells: readonly Cell[]): ReadonlyMap<string, string> {
    const object =
      place.member === undefined
        ? this.#object(place.column, cells)
        : this.#object(place.column, cells)?.[place.member]
    const texts = isObject(object) ? Object.entries(object) : []
    return new Map(texts.filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
  }

  /** Whether the bytes of a part begin so; only its first characters are decoded. */
  startsWith(place: PartPlace, cells: readonly Cell[], start: Uint8Array): boolean {
    const cell = this.#cell(place, cells)
    const isBytes = cell instanceof Uint8Array && place.encoding === 'binary'
    if (isBytes) return start.every((byte, index) => cell[index] === byte)
    if (place.encoding === 'binary') return false
    const text = cell instanceof Uint8Array ? Buffer.from(cell.subarray(0, 64)).toString('latin1') : cell
    if (typeof text !== 'string') return false
    // Four characters of base64 are three bytes, and Node's decoder skips line ends.
    const head = Buffer.from(text.slice(0, 64), place.encoding)
    return start.every((byte, index) => head[index] === byte)
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

  joined(aad: readonly (PartPlace | { readonly bytes: Uint8Array })[], cells: readonly Cell[]): Uint8Array {
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
    const object = this.#object(column, cells)
    const value = object !== undefined && Object.hasOwn(object, member) ? object[member] : undefined
    return typeof value === 'string' ? value : undefined
  }

  #object(column: string, cells: readonly Cell[]): Readonly<Record<string, unknown>> | undefined {
    const cell = cells[this.#indexOf(column)]
    if (typeof cell !== 'string' && !(cell instanceof Uint8Array)) return undefined
    // Several parts of one record stand in one text: it is parsed once.
    if (cell !== this.#parsedCell) {
      this.#parsed = parseObject(typeof cell === 'string' ? cell : new TextDecoder().decode(cell))
      this.#parsedCell = cell
    }
    return this.#parsed
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
