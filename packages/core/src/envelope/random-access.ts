/** Reading any part of a long envelope or record without reading the rest (SPEC §6.4). */

import { copyBytes, wipe } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen, malformed } from '../errors.ts'
import { checkPrefix, minBodyBytes, prefixBytes } from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import { decodeHeader, keyIdBytes, maxHeaderBytes, measureHeader } from '../format/header.ts'
import { DataKey, maxPlaintextBytes, recordContextOf } from '../keys/data-key.ts'
import type { RecordOptions } from '../keys/data-key.ts'
import { suiteTable } from '../keys/suite.ts'
import { openHeader } from '../keys/wrapped-key.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { chunkBytes, chunkOffset, plaintextLength, preambleBytes } from '../primitives/cobblestone.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'
import type { DecryptOptions } from './envelope.ts'
import { openMessage } from './stream.ts'

/** Something that can be read in parts: a file, an object behind HTTP Range requests. */
export interface RandomAccessSource {
  /** Bytes in all. Asked once: what is appended later is not part of the object. */
  readonly size: number
  /** Exactly `length` bytes from `offset`, in memory that is not used again. What it throws reaches the caller. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** Enough for the header of some three recipients: one read more for those who have more. */
const firstRead = 4096
/** Chunks a stream reads at once. */
const chunksPerRead = 16

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

  let start = await read(file, 0, Math.min(firstRead, file.size))
  checkPrefix(start, 'envelope')
  let length = measureHeader(start.subarray(prefixBytes))
  if (length === undefined && file.size > start.length) {
    start = await read(file, 0, Math.min(prefixBytes + maxHeaderBytes, file.size))
    length = measureHeader(start.subarray(prefixBytes))
  }
  if (length === undefined || file.size < prefixBytes + length + minBodyBytes) {
    throw malformed('the envelope is cut short')
  }
  const bodyAt = prefixBytes + length
  if (start.length < bodyAt + preambleBytes) start = await read(file, 0, bodyAt + preambleBytes)

  const header = decodeHeader(start.subarray(prefixBytes, bodyAt), suites.stanzaLength)
  const dataKey = await openHeader(header, identities, bound, suites)
  try {
    const cipher = openMessage(dataKey, header.keyId, start.subarray(bodyAt, bodyAt + preambleBytes), bound)
    return await checkEnd(file, bodyAt, cipher)
  } finally {
    dataKey.wipe()
  }
}

/**
 * Opens a record, whose data key is kept elsewhere, for reading in parts (SPEC §6.4).
 *
 * @throws LongholdError what `DataKey.decrypt` throws, except that there is no limit of size.
 */
export async function openEncryptedRecord(
  source: Blob | RandomAccessSource,
  dataKey: DataKey,
  options: RecordOptions,
): Promise<EncryptedReader> {
  if (!(dataKey instanceof DataKey)) throw badInput('openEncryptedRecord: dataKey must be a DataKey')
  const bound = canonicalize(recordContextOf(options, 'openEncryptedRecord')).pairs
  const file = randomAccess(source)
  const bodyAt = prefixBytes + keyIdBytes
  const start = await read(file, 0, Math.min(bodyAt + preambleBytes, file.size))
  checkPrefix(start, 'record')
  if (file.size < bodyAt + minBodyBytes) throw malformed('the record is cut short')
  const keyId = start.subarray(prefixBytes, bodyAt)
  return await checkEnd(file, bodyAt, openMessage(dataKey, keyId, start.subarray(bodyAt), bound))
}

async function checkEnd(
  file: RandomAccessSource,
  bodyAt: number,
  cipher: MessageCipher,
): Promise<EncryptedReader> {
  const size = plaintextLength(file.size - bodyAt)
  try {
    if (size === undefined) throw cannotOpen()
    const last = Math.floor(size / chunkBytes)
    const at = bodyAt + chunkOffset(last)
    const sealed = await read(file, at, file.size - at)
    const opened = cipher.openChunk(last, sealed)
    if (opened === undefined) throw cannotOpen()
    wipe(opened)
    return new EncryptedReader(file, bodyAt, size, cipher)
  } catch (error) {
    cipher.wipe()
    throw error
  }
}

/** Plaintext that is decrypted as it is asked for. Every chunk it returns bytes of is checked (SPEC §6.4). */
export class EncryptedReader {
  /** Bytes of plaintext, authenticated. */
  readonly size: number
  readonly #file: RandomAccessSource
  readonly #bodyAt: number
  #cipher: MessageCipher | undefined

  /** Made by `openEncrypted` and `openEncryptedRecord`. */
  constructor(file: RandomAccessSource, bodyAt: number, size: number, cipher: MessageCipher) {
    this.#file = file
    this.#bodyAt = bodyAt
    this.size = size
    this.#cipher = cipher
  }

  /**
   * The bytes from `start` to before `end`, at most 64 MiB.
   *
   * @throws LongholdError `bad_input` when they do not lie within the plaintext, `limit_exceeded`, `cannot_open`.
   */
  async slice(start = 0, end: number = this.size): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkRange(start, end)
    if (end - start > maxPlaintextBytes) {
      throw new LongholdError(
        'limit_exceeded',
        `a slice of ${end - start} bytes, at most ${maxPlaintextBytes}`,
        {
          hint: 'read it as a stream',
        },
      )
    }
    if (start === end) return new Uint8Array()
    const first = Math.floor(start / chunkBytes)
    const opened = await this.#readChunks(first, Math.floor((end - 1) / chunkBytes))
    const wanted = opened.subarray(start - first * chunkBytes, end - first * chunkBytes)
    if (wanted.length === opened.length) return opened
    // In a buffer of its own: the rest of its chunks, which nobody asked for, must not travel along in `buffer`.
    const slice = copyBytes(wanted)
    wipe(opened)
    return slice
  }

  /**
   * The same as a stream, which has no limit, in pieces of up to 256 KiB. `start` and `end` count bytes of plaintext.
   *
   * @throws LongholdError `bad_input`; the stream fails with `cannot_open`.
   */
  stream(start = 0, end: number = this.size): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#checkRange(start, end)
    let at = start
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        if (at < end) {
          const next = Math.min(end, (Math.floor(at / chunkBytes) + chunksPerRead) * chunkBytes)
          controller.enqueue(await this.slice(at, next))
          at = next
        }
        if (at === end) controller.close()
      },
    })
  }

  /**
   * Where the ciphertext of these bytes lies in the source, whole chunks: what a Range request would ask for.
   *
   * @throws LongholdError `bad_input`.
   */
  ciphertextRange(start = 0, end: number = this.size): { offset: number; length: number } {
    this.#checkRange(start, end)
    const first = Math.floor(start / chunkBytes)
    const offset = this.#bodyAt + chunkOffset(first)
    if (start === end) return { offset, length: 0 }
    const behind = this.#bodyAt + chunkOffset(Math.floor((end - 1) / chunkBytes) + 1)
    return { offset, length: Math.min(behind, this.#file.size) - offset }
  }

  /** Forgets the key of this message. Reading afterwards is `bad_input`. */
  close(): void {
    this.#cipher?.wipe()
    this.#cipher = undefined
  }

  /** For `using`: as `close`. */
  [Symbol.dispose](): void {
    this.close()
  }

  async #readChunks(first: number, last: number): Promise<Uint8Array<ArrayBuffer>> {
    const offset = this.#bodyAt + chunkOffset(first)
    const behind = Math.min(this.#bodyAt + chunkOffset(last + 1), this.#file.size)
    const sealed = await read(this.#file, offset, behind - offset)
    if (this.#cipher === undefined) throw badInput('this reader was closed')
    const opened = this.#cipher.openChunks(first, sealed)
    if (opened === undefined) throw cannotOpen()
    return opened
  }

  #checkRange(start: number, end: number): void {
    if (this.#cipher === undefined) throw badInput('this reader was closed')
    const ordered = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end
    if (!ordered || end > this.size) {
      throw badInput(`the range ${start} to ${end} does not lie within the ${this.size} bytes of plaintext`)
    }
  }
}

function randomAccess(source: Blob | RandomAccessSource): RandomAccessSource {
  if (source instanceof Blob) {
    return {
      size: source.size,
      async read(offset, length) {
        try {
          return new Uint8Array(await source.slice(offset, offset + length).arrayBuffer())
        } catch {
          throw cannotOpen() // a file behind the Blob that changed, or is gone
        }
      },
    }
  }
  const size = source?.size
  if (!Number.isSafeInteger(size) || size < 0 || typeof source.read !== 'function') {
    throw badInput('the source must be a Blob or have a size and a read function')
  }
  return { size, read: (offset, length) => source.read(offset, length) }
}

async function read(source: RandomAccessSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await source.read(offset, length)
  // Shared memory could change between the check of a tag and what is opened.
  checkBytes(bytes, 'what the source gave')
  if (bytes.length > length)
    throw badInput(`the source gave ${bytes.length} bytes where ${length} were asked for`)
  // Whoever may write to it can cut it while it is read: no mistake of the caller's.
  if (bytes.length < length) throw cannotOpen()
  return bytes
}
