/** Files and streams of any size in constant memory: long envelopes, long records (SPEC §6.4). */

import { concat, equalBytes } from '../bytes.ts'
import { badInput, cannotOpen, malformed } from '../errors.ts'
import {
  checkPrefix,
  encodeContainer,
  minBodyBytes,
  minRecordBytes,
  prefixBytes,
} from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { decodeHeader, keyIdBytes, measureHeader } from '../format/header.ts'
import { bodyContext } from '../keys/body-context.ts'
import { DataKey, hmacOf, recordContextOf } from '../keys/data-key.ts'
import type { RecordOptions } from '../keys/data-key.ts'
import { suiteTable } from '../keys/suite.ts'
import { openHeader, sealHeader } from '../keys/wrapped-key.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { MessageCipher, preambleBytes, saltBytes } from '../primitives/cobblestone.ts'
import { randomBytes } from '../primitives/random.ts'
import { ChunkOpener, ChunkSealer } from './chunk-stream.ts'
import type { DecryptOptions, EncryptOptions } from './envelope.ts'

/** Bytes in, bytes out: `source.pipeThrough(…)`, or `Duplex.fromWeb(…)` for Node's streams. */
export type ByteTransform = TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>

/**
 * Encrypts a stream of any size, up to 4 PiB, for recipients (SPEC §5.2, §6.1). Gives the bytes of one envelope.
 *
 * @throws LongholdError Here for wrong options; the stream fails with what `encrypt` throws.
 */
export function encryptStream(options: EncryptOptions): ByteTransform {
  checkOptions(options, ['recipients', 'context', 'dataKey', 'suites'], 'encryptStream')
  const { recipients, context, dataKey } = options
  if (dataKey !== undefined && !(dataKey instanceof DataKey))
    throw badInput('encryptStream: dataKey must be a DataKey')
  // Canonical from here on: the caller may change what he passed while the wrap is under way.
  const suites = suiteTable(options.suites)
  const bound = canonicalize(context).pairs
  return sealing(async () => {
    const key = dataKey ?? DataKey.generate()
    try {
      const header = await sealHeader(key, recipients, bound, suites)
      return { head: encodeContainer('envelope', header), cipher: newMessage(key, bound) }
    } finally {
      if (dataKey === undefined) key.wipe()
    }
  })
}

/**
 * Decrypts a stream that is one envelope (SPEC §5.3, §6.4). A chunk is released once its own tag was right, so a reader sees the
 * beginning of what was cut off later: the stream then ends with an error, never cleanly. Who writes a file writes
 * it under a temporary name and renames it at the end.
 *
 * @throws LongholdError Here for wrong options; the stream fails with what `decrypt` throws.
 */
export function decryptStream(options: DecryptOptions): ByteTransform {
  checkOptions(options, ['identities', 'context', 'suites'], 'decryptStream')
  const { identities, context } = options
  const suites = suiteTable(options.suites)
  const bound = canonicalize(context).pairs
  return opening({
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
  })
}

/**
 * Encrypts a stream of any size under a data key kept elsewhere (SPEC §6.1). Gives the bytes of one record.
 *
 * @throws LongholdError `bad_input`, `bad_context`.
 */
export function encryptRecordStream(dataKey: DataKey, options: RecordOptions): ByteTransform {
  if (!(dataKey instanceof DataKey)) throw badInput('encryptRecordStream: dataKey must be a DataKey')
  const bound = canonicalize(recordContextOf(options, 'encryptRecordStream')).pairs
  return sealing(async () => ({
    head: encodeContainer('record', dataKey.keyId),
    cipher: newMessage(dataKey, bound),
  }))
}

/**
 * Decrypts a stream that is one record (SPEC §6.4); what `decryptStream` says holds here too.
 *
 * @throws LongholdError `bad_input`, `bad_context`; the stream fails with what `DataKey.decrypt` throws.
 */
export function decryptRecordStream(dataKey: DataKey, options: RecordOptions): ByteTransform {
  if (!(dataKey instanceof DataKey)) throw badInput('decryptRecordStream: dataKey must be a DataKey')
  const bound = canonicalize(recordContextOf(options, 'decryptRecordStream')).pairs
  return opening({
    measure(bytes) {
      if (bytes.length < prefixBytes) return undefined
      checkPrefix(bytes, 'record')
      return prefixBytes + keyIdBytes
    },
    open: async (head, preamble) => openMessage(dataKey, head.subarray(prefixBytes), preamble, bound),
    tooShort: () => malformed(`a record has at least ${minRecordBytes} bytes`),
  })
}

/** The cipher of a new message under a fresh salt. */
function newMessage(dataKey: DataKey, context: ContextInput): MessageCipher {
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

/** Transformers learn of a cancelled stream by `cancel`, which TypeScript's types do not have yet. */
type CancellableTransformer = Transformer<Uint8Array, Uint8Array<ArrayBuffer>> & { cancel(): void }

function sealing(begin: () => Promise<{ head: Uint8Array; cipher: MessageCipher }>): ByteTransform {
  let cipher: MessageCipher | undefined
  let sealer: ChunkSealer | undefined
  const transformer: CancellableTransformer = {
    async start(controller) {
      const message = await begin()
      cipher = message.cipher
      sealer = new ChunkSealer(cipher)
      // Throws when the stream was cancelled meanwhile.
      wipingOnError(cipher, () => controller.enqueue(concat(message.head, message.cipher.preamble)))
    },
    transform(bytes, controller) {
      wipingOnError(cipher, () => {
        checkBytes(bytes, 'a piece of the stream')
        for (const sealed of sealer?.push(bytes) ?? []) controller.enqueue(sealed)
      })
    },
    flush(controller) {
      if (sealer !== undefined) controller.enqueue(sealer.end())
      cipher?.wipe()
    },
    cancel() {
      cipher?.wipe()
    },
  }
  return new TransformStream(transformer)
}

/** A stream that failed is not told to cancel. */
function wipingOnError(cipher: MessageCipher | undefined, step: () => void): void {
  try {
    step()
  } catch (error) {
    cipher?.wipe()
    throw error
  }
}

/** Bytes that come in pieces, perhaps one by one: room doubles, so that no byte is copied more than twice on average. */
class Collected {
  #room: Uint8Array = new Uint8Array()
  #length = 0

  /** All bytes so far, a view. */
  add(bytes: Uint8Array): Uint8Array {
    const length = this.#length + bytes.length
    if (length > this.#room.length) {
      const room = new Uint8Array(Math.max(length, 2 * this.#room.length))
      room.set(this.#room.subarray(0, this.#length))
      this.#room = room
    }
    this.#room.set(bytes, this.#length)
    this.#length = length
    return this.#room.subarray(0, length)
  }

  /** Views given out stay as they are. */
  forget(): void {
    this.#room = new Uint8Array()
    this.#length = 0
  }
}

interface Opening {
  /** Bytes in front of the body, as soon as they can be told. Throws what is wrong with them. */
  readonly measure: (bytes: Uint8Array) => number | undefined
  readonly open: (head: Uint8Array, preamble: Uint8Array) => Promise<MessageCipher>
  readonly tooShort: () => Error
}

function opening({ measure, open, tooShort }: Opening): ByteTransform {
  const beginning = new Collected()
  let cipher: MessageCipher | undefined
  let opener: ChunkOpener | undefined
  let isCancelled = false

  /** Opens the message once the smallest body is there (SPEC §5.3 step 6); gives the bytes behind the preamble. */
  async function begin(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    const collected = beginning.add(bytes)
    const headLength = measure(collected)
    if (headLength === undefined || collected.length < headLength + minBodyBytes) return undefined
    const bodyAt = headLength + preambleBytes
    cipher = await open(collected.subarray(0, headLength), collected.subarray(headLength, bodyAt))
    opener = new ChunkOpener(cipher)
    beginning.forget()
    return collected.subarray(bodyAt)
  }

  const transformer: CancellableTransformer = {
    async transform(bytes, controller) {
      wipingOnError(cipher, () => checkBytes(bytes, 'a piece of the stream'))
      const sealed = opener === undefined ? await begin(bytes) : bytes
      if (opener === undefined || sealed === undefined) return
      if (isCancelled) {
        cipher?.wipe() // made while it was cancelled
        return
      }
      const chunks = opener.push(sealed)
      wipingOnError(cipher, () => {
        for (const opened of chunks) controller.enqueue(opened)
      })
    },
    flush(controller) {
      if (opener === undefined) throw tooShort()
      try {
        const last = opener.end()
        if (last.length > 0) controller.enqueue(last)
      } finally {
        cipher?.wipe()
      }
    },
    cancel() {
      isCancelled = true
      cipher?.wipe()
    },
  }
  return new TransformStream(transformer)
}
