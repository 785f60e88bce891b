/**
 * One pass over a file, in a process of its own so that its memory can be told: `node file-job.ts JOB INPUT OUTPUT IDENTITY`.
 * Prints the seconds from open to close and the memory before and at its peak, in bytes.
 */

import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { copyFile, open, type FileHandle } from 'node:fs/promises'
import { Readable, Writable } from 'node:stream'

import { decryptStream, encryptStream, parseIdentity } from '../../packages/core/src/index.ts'
import type { ByteTransform } from '../../packages/core/src/index.ts'

const mebibyte = 1024 * 1024
type Pass = (input: string, output: string) => Promise<void>

/** `ReadableStream.from`, which the types of the DOM do not have yet. */
const streams = ReadableStream as unknown as {
  from(pieces: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array>
}

const [job = '', input = '', output = '', identityFile = ''] = process.argv.slice(2)
const identity = parseIdentity(readFileSync(identityFile, 'utf8').trim())
const encrypting = () => encryptStream({ recipients: [identity.recipient] })
const decrypting = () => decryptStream({ identities: [identity] })

const jobs: Readonly<Record<string, Pass>> = {
  copy: (from, to) => copyFile(from, to),
  'copy-loop': (from, to) => pour(from, to, (pieces) => pieces),
  encrypt: (from, to) => pour(from, to, (pieces) => through(pieces, encrypting())),
  decrypt: (from, to) => pour(from, to, (pieces) => through(pieces, decrypting())),
  'naive-encrypt': (from, to) => glue(from, to, encrypting()),
  'naive-decrypt': (from, to) => glue(from, to, decrypting()),
}
const pass = jobs[job]
if (pass === undefined) throw new Error(`no job ${job}: ${Object.keys(jobs).join(', ')}`)

const idleBytes = process.resourceUsage().maxRSS * 1024
const start = performance.now()
await pass(input, output)
const seconds = (performance.now() - start) / 1000
const peakBytes = process.resourceUsage().maxRSS * 1024
process.stdout.write(JSON.stringify({ seconds, idleBytes, peakBytes }))

/** What the manuals show first: pieces of 64 KiB through the adapters. */
async function glue(from: string, to: string, transform: ByteTransform): Promise<void> {
  const source = Readable.toWeb(createReadStream(from)) as ReadableStream<Uint8Array>
  await source.pipeThrough(transform).pipeTo(Writable.toWeb(createWriteStream(to)))
}

/** Reads of 1 MiB; while one is worked on the next one is read, and what came out before is written, a MiB at once. */
async function pour(
  from: string,
  to: string,
  work: (pieces: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): Promise<void> {
  await using source = await open(from, 'r')
  await using target = await open(to, 'w')
  let writing = Promise.resolve()
  let run: Uint8Array[] = []
  let runBytes = 0
  for await (const piece of work(piecesOf(source))) {
    run.push(piece)
    runBytes += piece.length
    if (runBytes < mebibyte) continue
    await writing
    writing = writeAll(target, run, runBytes)
    ;[run, runBytes] = [[], 0]
  }
  await writing
  await writeAll(target, run, runBytes)
}

async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  // Three: one is read, one is worked on, one may still be written by a copy.
  const buffers = Array.from({ length: 3 }, () => Buffer.allocUnsafeSlow(mebibyte))
  const read = (i: number) => file.read(buffers[i % 3] ?? Buffer.alloc(mebibyte), 0, mebibyte, null)
  let next = read(0)
  for (let i = 1; ; i++) {
    const { bytesRead, buffer } = await next
    if (bytesRead === 0) return
    next = read(i)
    yield buffer.subarray(0, bytesRead)
  }
}

async function writeAll(file: FileHandle, pieces: readonly Uint8Array[], length: number): Promise<void> {
  if (length === 0) return
  const { bytesWritten } = await file.writev(pieces)
  if (bytesWritten !== length) throw new Error(`${bytesWritten} of ${length} bytes were written`)
}

function through(pieces: AsyncIterable<Uint8Array>, transform: ByteTransform): AsyncIterable<Uint8Array> {
  return streams.from(pieces).pipeThrough(transform)
}
