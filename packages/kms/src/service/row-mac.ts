/**
 * What vouches for a row: HMAC-SHA-512 over its table, id, generation and content (FIPS 198-1, FIPS 180-4). The first
 * half is the row's MAC; the second, its *addend*, is stored nowhere and counts in the sum of the cluster head.
 */

import { hash } from 'node:crypto'

import type { Secret } from '@longhold/core'

import { framed } from './framing.ts'
import { columnsOf, keyColumnsOf, tableNames } from './rows.ts'
import type { TableName } from './rows.ts'

/** Two halves of one HMAC. */
export interface RowTag {
  readonly mac: Uint8Array
  readonly addend: Uint8Array
}

const blockBytes = 128
const keyBytes = 32

interface Layout {
  readonly prefix: Uint8Array
  readonly keyColumns: readonly string[]
  /** Name, and the bytes that stand for it. */
  readonly columns: readonly (readonly [string, Uint8Array])[]
}

/** Types of values, before their bytes. */
const kinds = { null: 0, number: 1, text: 2, bytes: 3, json: 4, boolean: 5 } as const

export class RowMacs {
  readonly clusterId: Uint8Array
  readonly #layouts: ReadonlyMap<TableName, Layout>
  /** The inner block of the key, and the message after it. */
  #message = Buffer.allocUnsafeSlow(8192)
  readonly #outer = Buffer.allocUnsafeSlow(blockBytes + 64)
  #at = 0

  /** @param key 32 bytes; a copy of it is kept until `close`. */
  constructor(clusterId: Uint8Array, key: Secret) {
    this.clusterId = clusterId
    key.use((bytes) => {
      this.#message.fill(0x36, 0, blockBytes)
      this.#outer.fill(0x5c, 0, blockBytes)
      for (const [index, byte] of bytes.entries()) {
        this.#message[index] = byte ^ 0x36
        this.#outer[index] = byte ^ 0x5c
      }
    })
    this.#layouts = new Map(
      tableNames.map((table) => [
        table,
        {
          prefix: framed('longhold/kms/v1/row', clusterId, table),
          keyColumns: keyColumnsOf(table),
          columns: columnsOf(table).map((name) => [name, framed(name)] as const),
        },
      ]),
    )
  }

  /** @throws TypeError for a value that no column can have. */
  tag(table: TableName, generation: number, row: object): RowTag {
    const layout = this.#layouts.get(table)
    if (layout === undefined) throw new TypeError(`no such table: ${table}`)
    // Rows have exactly the columns of their table; the layout names them.
    const values = row as Readonly<Record<string, unknown>>
    this.#at = blockBytes
    this.#bytes(layout.prefix)
    for (const name of layout.keyColumns) this.#value(values[name])
    this.#value(generation)
    for (const [name, bytes] of layout.columns) {
      this.#bytes(bytes)
      this.#value(values[name])
    }
    return this.#finish()
  }

  /** Lends the key, 32 bytes, to whoever makes these MACs in another thread. */
  lendKey<T>(read: (key: Uint8Array) => T): T {
    const key = Uint8Array.from(this.#outer.subarray(0, keyBytes), (byte) => byte ^ 0x5c)
    try {
      return read(key)
    } finally {
      key.fill(0)
    }
  }

  /** 64 bytes over the parts, each with its length in front: for what is no row. */
  mac(...parts: readonly (Uint8Array | string | number)[]): RowTag {
    this.#at = blockBytes
    this.#bytes(framed(...parts))
    return this.#finish()
  }

  close(): void {
    this.#message.fill(0)
    this.#outer.fill(0)
  }

  #finish(): RowTag {
    // A string of bytes: a Buffer costs half as much again.
    const inner = hash('sha512', this.#message.subarray(0, this.#at), 'latin1')
    this.#outer.write(inner, blockBytes, 'latin1')
    const outer = hash('sha512', this.#outer, 'buffer')
    return { mac: new Uint8Array(outer.subarray(0, 32)), addend: new Uint8Array(outer.subarray(32)) }
  }

  #value(value: unknown): void {
    if (value === null) this.#head(kinds.null, 0)
    else if (typeof value === 'number') this.#number(value)
    else if (typeof value === 'string') this.#text(kinds.text, value)
    else if (typeof value === 'boolean') this.#head(kinds.boolean, value ? 1 : 0)
    else if (value instanceof Uint8Array) {
      this.#head(kinds.bytes, value.length)
      this.#bytes(value)
    } else if (typeof value === 'object') this.#text(kinds.json, canonicalJson(value))
    else throw new TypeError(`a row cannot hold ${typeof value}`)
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value)) throw new TypeError('a row holds safe integers only')
    this.#head(kinds.number, 8)
    this.#reserve(8)
    this.#message.writeInt32BE(Math.floor(value / 2 ** 32), this.#at)
    this.#message.writeUInt32BE(value >>> 0, this.#at + 4)
    this.#at += 8
  }

  #text(kind: number, text: string): void {
    const length = Buffer.byteLength(text)
    this.#head(kind, length)
    this.#reserve(length)
    this.#message.write(text, this.#at)
    this.#at += length
  }

  #head(kind: number, length: number): void {
    this.#reserve(5)
    this.#message[this.#at] = kind
    this.#message.writeUInt32BE(length, this.#at + 1)
    this.#at += 5
  }

  #bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#message.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#message.length) return
    const larger = Buffer.allocUnsafeSlow(2 * (this.#at + length))
    larger.set(this.#message)
    this.#message.fill(0)
    this.#message = larger
  }
}

/** Without spaces, members in the order of their names: databases may order them anew. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}
