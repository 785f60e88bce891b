/**
 * Records of any size of a keyring: as streams, and read in parts (SPEC §6.4). What a stream writes is a record like any
 * other, so that each way of reading opens what each way of writing made.
 */

import { toHex } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { checkOptions } from '../options.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'
import { openRecordReader } from './encrypted-reader.ts'
import type { EncryptedReader, RandomAccessSource } from './encrypted-reader.ts'
import type { HandleSource } from './keyring-handle.ts'
import { checkKeyContext, ownerFrom, recordOptionsFrom } from './keyring-options.ts'
import type { KeyringRecordOptions } from './keyring-options.ts'
import { holdById } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { Writer } from './keyring-writer.ts'
import type { Opening, Sealing } from './message-pieces.ts'
import { newRecord, openMessage, openingOf } from './record-stream.ts'
import { ownerText } from './wrapped-key-store.ts'

/** What a stream of a keyring is bound to, and how long it will be. */
export interface KeyringStreamOptions extends KeyringRecordOptions {
  /**
   * Bytes of plaintext, where they are known. Room for them is found before the first one is encrypted, and a stream of
   * another length fails.
   */
  readonly size?: number
}

/** What a stream of unknown length counts at a time in the store once its data key has no more room. */
const portionBytes = 16 * 1024 * 1024

/**
 * How one record is written under whatever data key is in turn.
 *
 * @param where The function whose arguments these are, for messages.
 * @throws LongholdError `bad_input`, `bad_context`; `limit_exceeded` for a size of more than a data key is for.
 */
export function keyringSealing(
  source: HandleSource,
  name: string,
  options: KeyringStreamOptions,
  where: string,
): Sealing {
  checkOptions(options, ['recordContext', 'keyContext', 'size'], where)
  const { size, ...record } = options
  const { parts } = source
  checkSize(size, parts, where)
  const { recordContext, ...ownerOptions } = recordOptionsFrom(record, where)
  const owner = ownerFrom(name, ownerOptions, where)
  const writer = source.writerOf(owner, ownerText(owner))
  let count: StreamCount | undefined
  return {
    begin: () =>
      writer.whenReady({ messages: 1, bytes: size ?? 0 }, () => {
        const dataKey = writer.take(size ?? 0)
        count = new StreamCount(dataKey.keyId, { writer, size, parts })
        return newRecord(dataKey, recordContext)
      }),
    admit: (bytes) => count?.add(bytes),
    admitEnd: () => count?.checkEnd(),
    over: () => count?.close(),
  }
}

/** How one record is read, its data key found by its key id; as `keyringSealing`. */
export function keyringOpening(
  { parts }: HandleSource,
  options: KeyringRecordOptions,
  where: string,
): Opening {
  const given = recordOptionsFrom(options, where)
  return openingOf((keyId, preamble) => openBegun(keyId, preamble, given, parts))
}

/** Opens one record for reading in parts, its data key found by its key id. */
export async function openInParts(
  { parts }: HandleSource,
  source: Blob | RandomAccessSource,
  options: KeyringRecordOptions,
  where: string,
): Promise<EncryptedReader> {
  const given = recordOptionsFrom(options, where)
  return await openRecordReader(source, (keyId, preamble) => openBegun(keyId, preamble, given, parts))
}

/** The cipher of a message, which lasts when the data key goes. */
async function openBegun(
  keyId: Uint8Array,
  preamble: Uint8Array,
  { recordContext, keyContext }: KeyringRecordOptions,
  parts: KeyringParts,
): Promise<MessageCipher> {
  const held = await holdById(keyId, parts)
  try {
    checkKeyContext(held, keyContext)
    return openMessage(held.dataKey, keyId, preamble, recordContext)
  } finally {
    held.release()
  }
}

/**
 * Counts the bytes of one stream towards its data key. With a size they were reserved when it began. Without one they are
 * taken from what this process has reserved, as long as the same data key is in turn and has room; after that they are
 * counted on top, whatever the state and the count, since a record has one data key from its beginning to its end.
 */
class StreamCount {
  readonly #keyId: Uint8Array
  readonly #writer: Writer
  readonly #size: number | undefined
  readonly #parts: KeyringParts
  #total = 0
  /** Counted in the store and not used yet. */
  #left = 0

  constructor(
    keyId: Uint8Array,
    {
      writer,
      size,
      parts,
    }: { readonly writer: Writer; readonly size: number | undefined; readonly parts: KeyringParts },
  ) {
    this.#keyId = keyId
    this.#writer = writer
    this.#size = size
    this.#parts = parts
    this.#left = size ?? 0
  }

  /** @throws LongholdError `bad_input` for more than was said; `limit_exceeded` for more than a data key is for. */
  add(bytes: number): Promise<void> | undefined {
    this.#total += bytes
    if (this.#size !== undefined && this.#total > this.#size) throw this.#otherSize()
    const { maxBytes } = this.#parts.limits
    if (this.#total > maxBytes) throw tooLong(maxBytes)
    if (bytes > this.#left)
      return this.#writer.takeBytes(this.#keyId, bytes) ? undefined : this.#extend(bytes)
    this.#left -= bytes
    return undefined
  }

  /** @throws LongholdError `bad_input` for less than was said. */
  checkEnd(): void {
    if (this.#size !== undefined && this.#total !== this.#size) throw this.#otherSize()
  }

  close(): void {
    const portion = { keyId: this.#keyId, messages: 0, bytes: this.#left }
    this.#left = 0
    if (portion.bytes === 0) return
    if (this.#size !== undefined) this.#writer.giveBack(portion)
    // Counted on top of the limit: nobody else may use it. What is not given back only makes the count too high.
    else this.#parts.store.release([portion]).catch(() => undefined)
  }

  async #extend(bytes: number): Promise<void> {
    const portion = Math.min(portionBytes, this.#parts.limits.maxBytes)
    const more = Math.max(portion, bytes - this.#left)
    const stored = await this.#parts.store.reserve(this.#keyId, { messages: 0, bytes: more }, undefined)
    if (stored === undefined)
      throw new LongholdError('destroyed', `data key ${toHex(this.#keyId)} was destroyed under this stream`)
    this.#left += more - bytes
  }

  #otherSize(): LongholdError {
    return badInput(`a stream of ${this.#total} bytes or more, its size was said to be ${this.#size}`)
  }
}

/** @throws LongholdError `bad_input` for what is no number of bytes, `limit_exceeded` for more than a data key is for. */
function checkSize(size: number | undefined, { limits: { maxBytes } }: KeyringParts, where: string): void {
  if (size === undefined) return
  if (!Number.isSafeInteger(size) || size < 0) throw badInput(`${where}: size is no number of bytes`)
  if (size > maxBytes) throw tooLong(maxBytes)
}

function tooLong(maxBytes: number): LongholdError {
  return new LongholdError(
    'limit_exceeded',
    `a stream of more than the ${maxBytes} bytes a data key is for`,
    {
      hint: 'raise limits.maxBytes of the keyring, or make it an envelope: encryptStream with recipients',
    },
  )
}
