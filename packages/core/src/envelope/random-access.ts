/** Reading any part of a long envelope without reading the rest (SPEC §6.4). */

import { malformed } from '../errors.ts'
import { checkPrefix, minBodyBytes, prefixBytes } from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import { decodeHeader, maxHeaderBytes, measureHeader } from '../format/header.ts'
import { checkEnd, randomAccess, readExactly } from '../keys/encrypted-reader.ts'
import type { EncryptedReader, RandomAccessSource } from '../keys/encrypted-reader.ts'
import { openMessage } from '../keys/record-stream.ts'
import { suiteTable } from '../keys/suite.ts'
import { openHeader } from '../keys/wrapped-key.ts'
import { checkOptions } from '../options.ts'
import { preambleBytes } from '../primitives/cobblestone.ts'
import type { DecryptOptions } from './envelope.ts'

/** Enough for the header of some three recipients: one read more for those who have more. */
const firstRead = 4096

/**
 * Opens an envelope for reading in parts (SPEC §6.4). Reads its header and its final chunk, and checks the commitment and that
 * chunk: what was cut off is found here.
 *
 * @throws LongholdError what `decrypt` throws, except that there is no limit of size.
 */
export async function openEncrypted(
  source: Blob | RandomAccessSource,
  options: DecryptOptions,
): Promise<EncryptedReader> {
  checkOptions(options, ['identities', 'context', 'suites'], 'openEncrypted')
  const { identities, context } = options
  const suites = suiteTable(options.suites)
  const bound = canonicalize(context).pairs
  const file = randomAccess(source)

  let start = await readExactly(file, 0, Math.min(firstRead, file.size))
  checkPrefix(start, 'envelope')
  let length = measureHeader(start.subarray(prefixBytes))
  if (length === undefined && file.size > start.length) {
    start = await readExactly(file, 0, Math.min(prefixBytes + maxHeaderBytes, file.size))
    length = measureHeader(start.subarray(prefixBytes))
  }
  if (length === undefined || file.size < prefixBytes + length + minBodyBytes) {
    throw malformed('the envelope is cut short')
  }
  const bodyAt = prefixBytes + length
  if (start.length < bodyAt + preambleBytes) start = await readExactly(file, 0, bodyAt + preambleBytes)

  const header = decodeHeader(start.subarray(prefixBytes, bodyAt), suites.stanzaLength)
  const dataKey = await openHeader(header, identities, bound, suites)
  try {
    const cipher = openMessage(dataKey, header.keyId, start.subarray(bodyAt, bodyAt + preambleBytes), bound)
    return await checkEnd(file, bodyAt, cipher)
  } finally {
    dataKey.wipe()
  }
}
