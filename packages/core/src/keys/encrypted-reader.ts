/** Reading any part of a long body without reading the rest, and of the record it is in (SPEC §6.4). */

import { copyBytes, wipe } from '../bytes.ts'
import { badInput, cannotOpen, malformed } from '../errors.ts'
import { checkPrefix, minBodyBytes, prefixBytes } from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'
import { checkBytes } from '../options.ts'
import { chunkBytes, chunkOffset, plaintextLength, preambleBytes } from '../primitives/cobblestone.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'
import { DataKey, checkPlaintextLength, recordContextOf } from './data-key.ts'
import type { RecordOptions } from './data-key.ts'
import { openMessage } from './record-stream.ts'

/** Something that can be read in parts: a file, an object behind HTTP Range requests. */
export interface RandomAccessSource {
  /** Bytes in all. Asked once: what is appended later is not part of the object. */
  readonly size: number
  /** Exactly `length` bytes from `offset`, in memory that is not used again. What it throws reaches the caller. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** Chunks a stream reads at once. */
const chunksPerRead = 16

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
  return await openRecordReader(source, async (keyId, preamble) =>
    openMessage(dataKey, keyId, preamble, bound),
  )
}

/** Plaintext that is decrypted as it is asked for. Every chunk it returns bytes of is checked (SPEC §6.4). */
export class EncryptedReader {
  /** Bytes of plaintext, authenticated. */
  readonly size: number
  readonly #file: RandomAccessSource
  readonly #bodyAt: number
  #cipher: MessageCipher | undefined

  /** Made by `openEncrypted`, `openEncryptedRecord` and `Keyring.open`. */
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
    checkPlaintextLength(end - start)
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
    const sealed = await readExactly(this.#file, offset, behind - offset)
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

// What follows is for the library's own files: the package does not export it.

/** A record, whose data key `open` finds by its key id, for reading in parts. */
export async function openRecordReader(
  source: Blob | RandomAccessSource,
  open: (keyId: Uint8Array, preamble: Uint8Array) => Promise<MessageCipher>,
): Promise<EncryptedReader> {
  const file = randomAccess(source)
  const bodyAt = prefixBytes + keyIdBytes
  const start = await readExactly(file, 0, Math.min(bodyAt + preambleBytes, file.size))
  checkPrefix(start, 'record')
  if (file.size < bodyAt + minBodyBytes) throw malformed('the record is cut short')
  return await checkEnd(file, bodyAt, await open(start.subarray(prefixBytes, bodyAt), start.subarray(bodyAt)))
}

/**
 * A reader of the body that begins at `bodyAt`, once its final chunk was checked. Takes the cipher over.
 *
 * @throws LongholdError `cannot_open`.
 */
export async function checkEnd(
  file: RandomAccessSource,
  bodyAt: number,
  cipher: MessageCipher,
): Promise<EncryptedReader> {
  const size = plaintextLength(file.size - bodyAt)
  try {
    if (size === undefined) throw cannotOpen()
    const last = Math.floor(size / chunkBytes)
    const at = bodyAt + chunkOffset(last)
    const sealed = await readExactly(file, at, file.size - at)
    const opened = cipher.openChunk(last, sealed)
    if (opened === undefined) throw cannotOpen()
    wipe(opened)
    return new EncryptedReader(file, bodyAt, size, cipher)
  } catch (error) {
    cipher.wipe()
    throw error
  }
}

/** @throws LongholdError `bad_input` for what cannot be read in parts. */
export function randomAccess(source: Blob | RandomAccessSource): RandomAccessSource {
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

/** @throws LongholdError `cannot_open` when there are fewer bytes, `bad_input` for more or for shared memory. */
export async function readExactly(
  source: RandomAccessSource,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = await source.read(offset, length)
  // Shared memory could change between the check of a tag and what is opened.
  checkBytes(bytes, 'what the source gave')
  if (bytes.length > length)
    throw badInput(`the source gave ${bytes.length} bytes where ${length} were asked for`)
  // Whoever may write to it can cut it while it is read: no mistake of the caller's.
  if (bytes.length < length) throw cannotOpen()
  return bytes
}
