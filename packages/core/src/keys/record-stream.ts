/** Records of any size in constant memory, under a data key kept elsewhere (SPEC §6.4). */

import { equalBytes } from '../bytes.ts'
import { badInput, cannotOpen, malformed } from '../errors.ts'
import { checkPrefix, encodeContainer, minRecordBytes, prefixBytes } from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'
import { MessageCipher, saltBytes } from '../primitives/cobblestone.ts'
import { randomBytes } from '../primitives/random.ts'
import { bodyContext } from './body-context.ts'
import { DataKey, hmacOf, recordContextOf } from './data-key.ts'
import type { RecordOptions } from './data-key.ts'
import type { NewMessage, Opening, Sealing } from './message-pieces.ts'
import { opening, sealing } from './message-stream.ts'
import type { ByteTransform } from './message-stream.ts'

/**
 * Encrypts a stream of any size under a data key kept elsewhere (SPEC §6.1). Gives the bytes of one record.
 *
 * @throws LongholdError `bad_input`, `bad_context`.
 */
export function encryptRecordStream(dataKey: DataKey, options: RecordOptions): ByteTransform {
  return sealing(recordSealing(dataKey, options, 'encryptRecordStream'))
}

/**
 * Decrypts a stream that is one record (SPEC §6.4); what `decryptStream` says holds here too.
 *
 * @throws LongholdError `bad_input`, `bad_context`; the stream fails with what `DataKey.decrypt` throws.
 */
export function decryptRecordStream(dataKey: DataKey, options: RecordOptions): ByteTransform {
  return opening(recordOpening(dataKey, options, 'decryptRecordStream'))
}

// What follows is for the library's own files: the package does not export it.

/**
 * How a record is written under a data key.
 *
 * @param where The function whose arguments these are, for messages.
 * @throws LongholdError `bad_input`, `bad_context`.
 */
export function recordSealing(dataKey: DataKey, options: RecordOptions, where: string): Sealing {
  if (!(dataKey instanceof DataKey)) throw badInput(`${where}: dataKey must be a DataKey`)
  const bound = canonicalize(recordContextOf(options, where)).pairs
  return { begin: async () => newRecord(dataKey, bound) }
}

/** How a record is read under a data key; as `recordSealing`. */
export function recordOpening(dataKey: DataKey, options: RecordOptions, where: string): Opening {
  if (!(dataKey instanceof DataKey)) throw badInput(`${where}: dataKey must be a DataKey`)
  const bound = canonicalize(recordContextOf(options, where)).pairs
  return openingOf(async (keyId, preamble) => openMessage(dataKey, keyId, preamble, bound))
}

/** A record to be written under a data key, in a context that nobody changes any more. */
export function newRecord(dataKey: DataKey, context: ContextInput): NewMessage {
  return { head: encodeContainer('record', dataKey.keyId), cipher: newMessage(dataKey, context) }
}

/** The cipher of a new message under a fresh salt. */
export function newMessage(dataKey: DataKey, context: ContextInput): MessageCipher {
  const bound = bodyContext('data', dataKey.keyId, canonicalize(context))
  return new MessageCipher(hmacOf(dataKey), randomBytes(saltBytes), bound)
}

/**
 * The cipher of a message that stands behind `keyId`, which is compared before anything is derived (SPEC §3).
 *
 * @throws LongholdError `cannot_open`.
 */
export function openMessage(
  dataKey: DataKey,
  keyId: Uint8Array,
  preamble: Uint8Array,
  context: ContextInput,
): MessageCipher {
  if (!equalBytes(keyId, dataKey.keyId)) throw cannotOpen()
  const bound = bodyContext('data', dataKey.keyId, canonicalize(context))
  const cipher = MessageCipher.open(hmacOf(dataKey), preamble, bound)
  if (cipher === undefined) throw cannotOpen()
  return cipher
}

/** How one record is read, whose data key `open` finds by its key id. */
export function openingOf(
  open: (keyId: Uint8Array, preamble: Uint8Array) => Promise<MessageCipher>,
): Opening {
  return {
    measure(bytes) {
      if (bytes.length < prefixBytes) return undefined
      checkPrefix(bytes, 'record')
      return prefixBytes + keyIdBytes
    },
    open: (head, preamble) => open(head.subarray(prefixBytes), preamble),
    tooShort: () => malformed(`a record has at least ${minRecordBytes} bytes`),
  }
}
