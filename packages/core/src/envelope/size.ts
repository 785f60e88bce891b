/** How large ciphertext will be, and how large plaintext was, without touching either. */

import { LongholdError, badInput } from '../errors.ts'
import { prefixBytes } from '../format/container.ts'
import { keyIdBytes, macBytes, maxStanzas } from '../format/header.ts'
import type { Recipient } from '../keys/recipient.ts'
import { defaultSuite, suiteOfKem, suiteTable } from '../keys/suite.ts'
import type { Suite, SuitesOption } from '../keys/suite.ts'
import { checkOptions } from '../options.ts'
import { bodyLength, chunkBytes, plaintextLength } from '../primitives/cobblestone.ts'

/** For whom something is encrypted, as far as its size depends on it. */
export interface SizeOptions extends SuitesOption {
  /**
   * The recipients in the header, or how many there are of the first of `suites`, 1 unless said otherwise. 0 is for a
   * record, which has none.
   */
  readonly recipients?: number | readonly Pick<Recipient, 'kemId'>[]
}

/** The largest plaintext: 2^38 chunks, the last one short (SPEC §6.2). */
const maxStreamBytes = 2 ** 38 * chunkBytes - 1

/**
 * Bytes of the envelope, or record, that holds `plaintextBytes` bytes (SPEC §1, §5.1, §6.2).
 *
 * @throws LongholdError `bad_input` for what is no size, `unsupported` for a recipient of another suite, `limit_exceeded`
 * from 4 PiB on.
 */
export function ciphertextSize(plaintextBytes: number, options: SizeOptions = {}): number {
  const head = headLength(options, 'ciphertextSize')
  checkSize(plaintextBytes, 'ciphertextSize')
  if (plaintextBytes > maxStreamBytes) {
    throw new LongholdError(
      'limit_exceeded',
      `${plaintextBytes} bytes of plaintext, at most ${maxStreamBytes}`,
    )
  }
  return head + bodyLength(plaintextBytes)
}

/**
 * Bytes of plaintext in an envelope, or record, of `ciphertextBytes` bytes (SPEC §6.2). A claim: nothing was opened.
 *
 * @returns `undefined` when none has that size.
 * @throws LongholdError `bad_input` for what is no size.
 */
export function plaintextSize(ciphertextBytes: number, options: SizeOptions = {}): number | undefined {
  const head = headLength(options, 'plaintextSize')
  checkSize(ciphertextBytes, 'plaintextSize')
  return plaintextLength(ciphertextBytes - head)
}

/** Prefix and header; for a record prefix and key id. */
function headLength(options: SizeOptions, where: string): number {
  checkOptions(options, ['recipients', 'suites'], where)
  const { recipients = 1, suites } = options
  suiteTable(suites) // refuses what is none
  const isNumber = typeof recipients === 'number'
  const count = isNumber ? recipients : Array.isArray(recipients) ? recipients.length : Number.NaN
  if (!Number.isInteger(count) || count < (isNumber ? 0 : 1) || count > maxStanzas)
    throw badInput(`${where}: recipients must be a list of 1 to ${maxStanzas}, or their number`)
  const [first = defaultSuite] = suites ?? []
  const used: Suite[] = isNumber
    ? Array.from({ length: recipients }, () => first)
    : recipients.map((one) => suiteOfKem(suites, one?.kemId))
  const stanzas = used.reduce((sum, { stanzaBytes }) => sum + 2 + stanzaBytes, 0)
  return prefixBytes + keyIdBytes + (count === 0 ? 0 : 1 + stanzas + macBytes)
}

function checkSize(bytes: number, where: string): void {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw badInput(`${where}: not a number of bytes`)
}
