/**
 * The content of an OpenPGP message (RFC 9580 §10.3) once it is decrypted: literal data, compressed or not, signed or not. Signatures
 * are passed over. Everything that is wrong here may come from a wrong key, so it is all one error.
 */

import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createInflate, createInflateRaw } from 'node:zlib'

import { cannotOpen, LegacyError } from './legacy-format.ts'
import { PieceReader } from './openpgp-pieces.ts'
import type { Pieces } from './openpgp-pieces.ts'

/** It is compressed with BZip2, which Node does not have. */
export class Bzip2Error extends Error {}

const tags = { signature: 2, onePass: 4, compressed: 8, marker: 10, literal: 11, padding: 21 }
const passedOver = new Set([tags.signature, tags.onePass, tags.marker, tags.padding])

/** Compressed data within compressed data: nobody writes it, and every layer multiplies. */
const maxLayers = 2

/**
 * @param packets Read to their end, so that whoever checks them has seen all.
 * @returns The literal data, byte for byte.
 * @throws LegacyError `cannot_open`; Bzip2Error
 */
export async function* literalData(packets: Pieces): Pieces {
  try {
    yield* contentOf(new PieceReader(packets), 0)
  } catch (error) {
    if (error instanceof LegacyError && error.code === 'malformed') throw cannotOpen()
    throw error
  }
}

async function* contentOf(reader: PieceReader, layer: number): Pieces {
  let isThere = false
  for (;;) {
    const header = await reader.header()
    if (header === undefined) break
    const body = reader.body(header)
    if (header.tag === tags.literal || header.tag === tags.compressed) {
      if (isThere) throw cannotOpen()
      isThere = true
      yield* header.tag === tags.literal ? literal(body) : compressed(body, layer)
    } else if (!passedOver.has(header.tag)) throw cannotOpen()
    // What is left of it: trailing bytes behind a compressed stream, for example.
    while ((await body.next()).done !== true);
  }
  if (!isThere) throw cannotOpen()
}

/** Its kind, a file name and a time are in front (§5.9). */
async function* literal(body: Pieces): Pieces {
  const reader = new PieceReader(body)
  const [, nameBytes = 0] = await reader.exactly(2)
  await reader.exactly(nameBytes + 4)
  for (;;) {
    const piece = await reader.upTo(Infinity)
    if (piece === undefined) return
    yield piece
  }
}

/** §5.6, §9.4. */
async function* compressed(body: Pieces, layer: number): Pieces {
  if (layer >= maxLayers) throw cannotOpen()
  const reader = new PieceReader(body)
  const [algorithm = 0] = await reader.exactly(1)
  if (algorithm === 3) throw new Bzip2Error()
  const content = algorithm === 0 ? rest(reader) : inflated(reader, inflaterFor(algorithm))
  yield* contentOf(new PieceReader(content), layer + 1)
}

const chunkSize = 64 * 1024

function inflaterFor(algorithm: number): Transform {
  if (algorithm === 1) return createInflateRaw({ chunkSize })
  if (algorithm === 2) return createInflate({ chunkSize })
  throw cannotOpen()
}

async function* inflated(reader: PieceReader, inflater: Transform): Pieces {
  let sourceError: unknown
  async function* source(): Pieces {
    try {
      yield* rest(reader)
    } catch (error) {
      sourceError = error
      throw error
    }
  }
  // It ends before the source does when bytes are behind the compressed stream.
  const fed = pipeline(source, inflater).catch(() => {})
  try {
    for await (const piece of inflater) yield piece as Uint8Array
  } catch (error) {
    // The rest comes out as errors of the inflater: the data does not inflate.
    if (sourceError !== undefined) throw sourceError
    throw error instanceof LegacyError ? error : cannotOpen()
  } finally {
    inflater.destroy()
    await fed
  }
}

async function* rest(reader: PieceReader): Pieces {
  for (;;) {
    const piece = await reader.upTo(chunkSize)
    if (piece === undefined) return
    yield piece
  }
}
