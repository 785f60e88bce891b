/** Files and streams of any size in constant memory: long envelopes (SPEC §6.4). */

import { badInput, malformed } from '../errors.ts'
import { checkPrefix, encodeContainer, prefixBytes } from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import { decodeHeader, measureHeader } from '../format/header.ts'
import { DataKey } from '../keys/data-key.ts'
import type { Opening, Sealing } from '../keys/message-pieces.ts'
import { opening, sealing } from '../keys/message-stream.ts'
import type { ByteTransform } from '../keys/message-stream.ts'
import { newMessage, openMessage } from '../keys/record-stream.ts'
import { suiteTable } from '../keys/suite.ts'
import { openHeader, sealHeader } from '../keys/wrapped-key.ts'
import { checkOptions } from '../options.ts'
import type { DecryptOptions, EncryptOptions } from './envelope.ts'

/**
 * Encrypts a stream of any size, up to 4 PiB, for recipients (SPEC §5.2, §6.1). Gives the bytes of one envelope.
 *
 * @throws LongholdError Here for wrong options; the stream fails with what `encrypt` throws.
 */
export function encryptStream(options: EncryptOptions): ByteTransform {
  return sealing(envelopeSealing(options, 'encryptStream'))
}

/**
 * Decrypts a stream that is one envelope (SPEC §5.3, §6.4). A chunk is released once its own tag was right, so a reader sees the
 * beginning of what was cut off later: the stream then ends with an error, never cleanly. Who writes a file writes
 * it under a temporary name and renames it at the end.
 *
 * @throws LongholdError Here for wrong options; the stream fails with what `decrypt` throws.
 */
export function decryptStream(options: DecryptOptions): ByteTransform {
  return opening(envelopeOpening(options, 'decryptStream'))
}

// What follows is for the library's own files: the package does not export it.

/**
 * How an envelope is written.
 *
 * @param where The function whose options these are, for messages.
 * @throws LongholdError `bad_input`, `bad_context`.
 */
export function envelopeSealing(options: EncryptOptions, where: string): Sealing {
  checkOptions(options, ['recipients', 'context', 'dataKey', 'suites'], where)
  const { recipients, context, dataKey } = options
  if (dataKey !== undefined && !(dataKey instanceof DataKey))
    throw badInput(`${where}: dataKey must be a DataKey`)
  // Canonical from here on: the caller may change what he passed while the wrap is under way.
  const suites = suiteTable(options.suites)
  const bound = canonicalize(context).pairs
  return {
    async begin() {
      const key = dataKey ?? DataKey.generate()
      try {
        const header = await sealHeader(key, recipients, bound, suites)
        return { head: encodeContainer('envelope', header), cipher: newMessage(key, bound) }
      } finally {
        if (dataKey === undefined) key.wipe()
      }
    },
  }
}

/** How an envelope is read; as `envelopeSealing`. */
export function envelopeOpening(options: DecryptOptions, where: string): Opening {
  checkOptions(options, ['identities', 'context', 'suites'], where)
  const { identities, context } = options
  const suites = suiteTable(options.suites)
  const bound = canonicalize(context).pairs
  return {
    measure(bytes) {
      if (bytes.length < prefixBytes) return undefined
      checkPrefix(bytes, 'envelope')
      const length = measureHeader(bytes.subarray(prefixBytes))
      return length === undefined ? undefined : prefixBytes + length
    },
    async open(head, preamble) {
      const header = decodeHeader(head.subarray(prefixBytes), suites.stanzaLength)
      const dataKey = await openHeader(header, identities, bound, suites)
      try {
        return openMessage(dataKey, header.keyId, preamble, bound)
      } finally {
        dataKey.wipe()
      }
    },
    tooShort: () => malformed('the envelope is cut short'),
  }
}
