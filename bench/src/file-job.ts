/**
 * One pass over a file, in a process of its own so that its memory can be told: `node file-job.ts JOB INPUT OUTPUT IDENTITY`.
 * Prints the seconds from open to close and the memory before and at its peak, in bytes.
 */

import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { copyFile, open, type FileHandle } from 'node:fs/promises'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { decryptStream, encryptStream, parseIdentity } from '../../packages/core/src/index.ts'
import type { ByteTransform } from '../../packages/core/src/index.ts'
import {
  decryptFile,
  decryptTransform,
  encryptFile,
  encryptTransform,
} from '../../packages/core/src/node/index.ts'

const mebibyte = 1024 * 1024
type Pass = (input: string, output: string) => Promise<void>

const [job = '', input = '', output = '', identityFile = ''] = process.argv.slice(2)
const identity = parseIdentity(readFileSync(identityFile, 'utf8').trim())
const writing = { recipients: [identity.recipient] }
const reading = { identities: [identity] }

const jobs: Readonly<Record<string, Pass>> = {
  copy: (from, to) => copyFile(from, to),
  'copy-loop': copyLoop,
  encrypt: (from, to) => encryptFile(from, to, writing),
  decrypt: (from, to) => decryptFile(from, to, reading),
  'pipeline-encrypt': (from, to) =>
    pipeline(createReadStream(from), encryptTransform(writing), createWriteStream(to)),
  'pipeline-decrypt': (from, to) =>
    pipeline(createReadStream(from), decryptTransform(reading), createWriteStream(to)),
  'naive-encrypt': (from, to) => glue(from, to, encryptStream(writing)),
  'naive-decrypt': (from, to) => glue(from, to, decryptStream(reading)),
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

/** Reads of 1 MiB; while one is written the next one is read. */
async function copyLoop(from: string, to: string): Promise<void> {
  await using source = await open(from, 'r')
  await using target = await open(to, 'w')
  let writing = Promise.resolve()
  for await (const piece of piecesOf(source)) {
    await writing
    writing = writeAll(target, piece)
  }
  await writing
}

async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  // Three: one is read, one goes by, one may still be written.
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

async function writeAll(file: FileHandle, piece: Uint8Array): Promise<void> {
  const { bytesWritten } = await file.write(piece)
  if (bytesWritten !== piece.length) throw new Error(`${bytesWritten} of ${piece.length} bytes were written`)
}
