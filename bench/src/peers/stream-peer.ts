/** What every competitor offers to the benchmark of streams: memory to memory, in pieces. */

import { Readable, Writable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { expectBytes } from './peer.ts'

/** Goes through the whole stream and gives the number of bytes that came out. */
export type Pass = () => number | Promise<number>

export interface StreamPeer {
  /** As printed; the package and what of it is used. */
  readonly name: string
  readonly kind: 'ours' | 'floor' | 'peer'
  /** The key of its row among the bundle sizes. */
  readonly library: string
  /** What is timed where that is not the plain operation. */
  readonly note?: string
  readonly encrypt: Pass
  readonly decrypt: Pass
  /** Bytes of the ciphertext. */
  readonly streamBytes: number
}

/** What node's file streams give at once. */
export const pieceBytes = 65_536

/** Views of `bytes`, one after the other. */
export function* piecesOf(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** A web stream of pieces that are in memory. */
export function webSource(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  const pieces = piecesOf(bytes, size)
  return new ReadableStream({
    pull(controller) {
      const { value } = pieces.next()
      if (value === undefined) controller.close()
      else controller.enqueue(value)
    },
  })
}

/** Through a web transform into nothing. */
export async function webPass(
  bytes: Uint8Array,
  size: number,
  transform: (
    source: ReadableStream<Uint8Array>,
  ) => Promise<ReadableStream<Uint8Array>> | ReadableStream<Uint8Array>,
  see: (piece: Uint8Array) => void = () => {},
): Promise<number> {
  let length = 0
  const sink = new WritableStream<Uint8Array>({
    write(piece) {
      length += piece.length
      see(piece)
    },
  })
  await (await transform(webSource(bytes, size))).pipeTo(sink)
  return length
}

/** Through a node transform into nothing. */
export async function nodePass(
  bytes: Uint8Array,
  size: number,
  transform: Duplex,
  see: (piece: Uint8Array) => void = () => {},
): Promise<number> {
  let length = 0
  const sink = new Writable({
    write(piece: Uint8Array, _encoding, done) {
      length += piece.length
      see(piece)
      done()
    },
  })
  await pipeline(Readable.from(piecesOf(bytes, size), { objectMode: false }), transform, sink)
  return length
}

/** Everything that came by, in one piece. */
export async function collected(
  pass: (see: (piece: Uint8Array) => void) => Promise<number>,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  await pass((piece) => pieces.push(new Uint8Array(piece)))
  return new Uint8Array(Buffer.concat(pieces))
}

/** Throws unless what is decrypted is what was encrypted. */
export async function expectPlaintext(
  name: string,
  plaintext: Uint8Array,
  decrypt: (see: (piece: Uint8Array) => void) => Promise<number>,
): Promise<void> {
  expectBytes(await collected(decrypt), plaintext, `${name} decrypts`)
}
