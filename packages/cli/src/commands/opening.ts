/** Plaintext of envelopes and records of any size, in pieces each of which was checked. */

import {
  decryptRecordStream,
  decryptStream,
  openEncrypted,
  openEncryptedRecord,
  unwrapDataKey,
} from '@longhold/core'
import type { ByteTransform, DataKey, EncryptedReader, Identity, RandomAccessSource } from '@longhold/core'

import { aboutFile, aboutPieces } from '../shell/containers.ts'
import type { Container } from '../shell/containers.ts'
import { refused } from '../shell/errors.ts'
import { InputFile, pieceBytes } from '../shell/input.ts'
import { giveBack } from '../shell/memory.ts'

export interface Plaintext extends Disposable {
  /** How its source is called in messages. */
  readonly name: string
  /** Bytes in all, authenticated, or undefined where only the end of a stream will tell. */
  readonly size: number | undefined
  /** Once for a stream; with a size as often as one likes, until it is disposed of and its key forgotten. */
  pieces(): AsyncIterable<Uint8Array>
}

/**
 * Opens an envelope: its header, and where it is a file or in memory its end as well.
 *
 * @throws CliError with exit code 1 when it is no envelope or does not open, 4 when nobody could be asked.
 */
export async function openEnvelope(
  container: Container,
  identities: readonly Identity[],
  context: Record<string, string>,
): Promise<Plaintext> {
  const { name, kind, source, suites } = container
  if (kind === 'wrapped key') {
    throw refused(`${name} is a wrapped data key, there is no data in it`, {
      hint: 'give the record it belongs to, and this file with --wrapped-key',
    })
  }
  if (kind === 'record') {
    throw refused(`${name} is a record: its data key is kept elsewhere`, {
      hint: 'give the file with its wrapped data key: --wrapped-key FILE',
    })
  }
  const options = { identities, context, suites }
  if (source === undefined) return streamed(container, decryptStream(options))
  const file = source instanceof InputFile ? inTurn(source) : source
  return readable(name, await aboutFile(name, () => openEncrypted(file, options)))
}

export interface RecordParts {
  readonly wrappedKey: Container
  readonly context: Record<string, string>
  readonly keyContext: Record<string, string>
}

/** The same for a record, whose data key comes out of its wrapped key. */
export async function openRecord(
  record: Container,
  identities: readonly Identity[],
  { wrappedKey, context, keyContext }: RecordParts,
): Promise<Plaintext> {
  const { name, kind, source } = record
  if (kind !== 'record') throw refused(`${name} is not a record`, { hint: 'leave --wrapped-key out' })
  const dataKey = await openWrappedKey(wrappedKey, identities, keyContext)
  const options = { recordContext: context }
  if (source === undefined) {
    return streamed(record, decryptRecordStream(dataKey, options), () => dataKey.wipe())
  }
  try {
    const file = source instanceof InputFile ? inTurn(source) : source
    return readable(name, await aboutFile(name, () => openEncryptedRecord(file, dataKey, options)))
  } finally {
    dataKey.wipe()
  }
}

/** The caller wipes it. */
export async function openWrappedKey(
  { name, head, suites }: Container,
  identities: readonly Identity[],
  keyContext: Record<string, string>,
): Promise<DataKey> {
  return await aboutFile(name, () => unwrapDataKey(head, { identities, keyContext, suites }))
}

function streamed(container: Container, transform: ByteTransform, forget = (): void => {}): Plaintext {
  return {
    name: container.name,
    size: undefined,
    pieces: () => aboutPieces(container.name, through(container.pieces(), transform)),
    [Symbol.dispose]: forget,
  }
}

/** Pieces that went through a transform, as fast as somebody takes them. */
export function through(
  pieces: AsyncIterable<Uint8Array>,
  transform: ByteTransform,
): AsyncIterable<Uint8Array> {
  return ReadableStream.from(pieces).pipeThrough(transform)
}

/** The same pieces, each shown as it goes by. */
export async function* watch(
  pieces: AsyncIterable<Uint8Array>,
  see: (piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield piece
    see(piece)
  }
}

function readable(name: string, reader: EncryptedReader): Plaintext {
  return {
    name,
    size: reader.size,
    pieces: () => aboutPieces(name, slices(reader)),
    [Symbol.dispose]: () => reader.close(),
  }
}

/** A file whose pieces are asked for in turn: when `slices` has a piece read, the one before the last has been decrypted. */
function inTurn(file: InputFile): RandomAccessSource {
  const used: Uint8Array[] = []
  return {
    size: file.size,
    async read(offset, length) {
      for (const bytes of used.splice(0, used.length - 1)) giveBack(bytes)
      const bytes = await file.read(offset, length)
      if (length >= pieceBytes) used.push(bytes)
      return bytes
    },
  }
}

/** While one piece is written the next one is decrypted and the one after that is read. */
async function* slices(reader: EncryptedReader): AsyncGenerator<Uint8Array> {
  const { size } = reader
  const slice = async (from: number): Promise<Uint8Array> =>
    await reader.slice(Math.min(from, size), Math.min(from + pieceBytes, size))
  const begin = (from: number): Promise<Uint8Array> => {
    const piece = slice(from)
    piece.catch(() => {}) // it is awaited in its turn, perhaps after it failed
    return piece
  }
  let [next, afterNext] = [begin(0), begin(pieceBytes)]
  try {
    for (let at = 0; at < size; at += pieceBytes) {
      const piece = await next
      ;[next, afterNext] = [afterNext, begin(at + 2 * pieceBytes)]
      yield piece
    }
  } finally {
    await Promise.allSettled([next, afterNext])
  }
}
