/** The blind index: equality look-ups on an encrypted column (SPEC §8). */

import { lp16, utf8 } from '../bytes.ts'
import { badInput } from '../errors.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { backend } from '../primitives/backend.ts'
import { hkdfExpand } from '../primitives/kdf.ts'
import { hmacOf } from './data-key.ts'
import type { DataKey } from './data-key.ts'

/** What is looked up, and how much an index shows. */
export interface BlindIndexOptions {
  readonly table: string
  readonly column: string
  /** The plaintext exactly as it is encrypted: for a typed value, `encodeValue` of it (SPEC §9). */
  readonly value: Uint8Array
  /** 16 to 256, default 64. Fewer bits leak less about equality and find more rows that are not meant. */
  readonly bits?: number
}

const labels = { indexKey: utf8('longhold/v1/index-key'), index: utf8('longhold/v1/blind-index\0') }
const indexKeyBytes = 32
const maxNameBytes = 65_535

/**
 * The first `bits` bits of an HMAC of the value (SPEC §8), as ⌈bits/8⌉ bytes with unused low bits zero. Whoever holds the
 * column sees which rows are equal; nothing more without the key.
 *
 * @param indexDataKey A data key of its own, with which no record is encrypted.
 * @throws LongholdError `bad_input` for bits outside 16 to 256, names of more than 65,535 bytes or with a lone surrogate,
 * and for a data key that was wiped.
 */
export function blindIndex(indexDataKey: DataKey, options: BlindIndexOptions): Uint8Array {
  checkOptions(options, ['table', 'column', 'value', 'bits'], 'blindIndex')
  const { table, column, value, bits = 64 } = options
  checkBytes(value, 'blindIndex: value')
  if (!Number.isInteger(bits) || bits < 16 || bits > 256)
    throw badInput('blindIndex: bits must be a whole number from 16 to 256')

  const names = [nameBytes(table, 'table'), nameBytes(column, 'column')]
  const indexKey = indexKeyOf(indexDataKey)
  const hmac = backend().hmac('sha256', indexKey)
  indexKey.fill(0)
  const mac = hmac.mac(labels.index, ...names, value)
  hmac.wipe()

  const index = new Uint8Array(mac.subarray(0, Math.ceil(bits / 8)))
  const last = index.length - 1
  // `?? 0`: at least two bytes are there.
  index[last] = (index[last] ?? 0) & (0xff << (index.length * 8 - bits))
  return index
}

/** The 32 bytes that key the index (SPEC §8). The caller wipes them. Not exported by the package. */
export function indexKeyOf(indexDataKey: DataKey): Uint8Array {
  return hkdfExpand(hmacOf(indexDataKey), [labels.indexKey], indexKeyBytes)
}

function nameBytes(name: string, what: string): Uint8Array {
  if (typeof name !== 'string' || !name.isWellFormed())
    throw badInput(`blindIndex: ${what} is not a well-formed string`)
  const bytes = utf8(name)
  if (bytes.length > maxNameBytes)
    throw badInput(`blindIndex: ${what} has ${bytes.length} bytes, at most ${maxNameBytes}`)
  return lp16(bytes)
}
