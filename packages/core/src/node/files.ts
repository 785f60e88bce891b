/** From file to file in a few mebibytes of memory, which are used again and again (SPEC §6.4). */

import { open, rename, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { concat, toHex, wipe } from '../bytes.ts'
import type { DecryptOptions, EncryptOptions } from '../envelope/envelope.ts'
import { envelopeOpening, envelopeSealing } from '../envelope/stream.ts'
import { badInput, cannotOpen } from '../errors.ts'
import { minBodyBytes, prefixBytes } from '../format/container.ts'
import { maxHeaderBytes } from '../format/header.ts'
import { checkOptions } from '../options.ts'
import { chunkBytes, preambleBytes, sealedChunkBytes, tagBytes } from '../primitives/cobblestone.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'
import { randomBytes } from '../primitives/random.ts'

/** What both have beside the options of `encrypt` and `decrypt`. */
export interface FileOptions {
  /** Gives up, with its reason, and leaves nothing behind. */
  readonly signal?: AbortSignal
}

/**
 * Encrypts a file of any size, up to 4 PiB, for recipients: an envelope (SPEC §5.2, §6.1). The new file is written under another
 * name in its directory, brought to the disk, and takes the place of what was there before, a symbolic link too: all of it is
 * there, or nothing of it. `to` may be `from`.
 *
 * @throws LongholdError what `encrypt` throws; `bad_input` when there is something at `to` that is no file; errors of the file
 * system come as they are.
 */
export async function encryptFile(
  from: string | URL,
  to: string | URL,
  options: EncryptOptions & FileOptions,
): Promise<void> {
  checkOptions(options, ['recipients', 'context', 'dataKey', 'suites', 'signal'], 'encryptFile')
  const { signal, ...rest } = options
  checkSignal(signal, 'encryptFile')
  const sealing = envelopeSealing(rest, 'encryptFile')
  await using source = await open(from, 'r')
  const { head, cipher } = await sealing.begin()
  try {
    await using target = await NewFile.create(to, 0o666)
    await writeAll(target.handle, concat(head, cipher.preamble))
    const { size } = await source.stat()
    const way = { source, at: 0, target: target.handle, chunks: chunksPerRun(size, chunkBytes), signal }
    await run(way, { inputBytes: chunkBytes, outputBytes: sealedChunkBytes, work: sealer(cipher) })
    await target.commit()
  } finally {
    cipher.wipe()
  }
}

/**
 * Decrypts a file that is one envelope (SPEC §5.3, §6.4). The new file, which its owner alone may read, appears as `encryptFile`
 * says: not before all of it was checked, and not at all when something was cut off or altered.
 *
 * @throws LongholdError what `decrypt` throws, except that there is no limit of size; errors of the file system come as they are.
 */
export async function decryptFile(
  from: string | URL,
  to: string | URL,
  options: DecryptOptions & FileOptions,
): Promise<void> {
  checkOptions(options, ['identities', 'context', 'suites', 'signal'], 'decryptFile')
  const { signal, ...rest } = options
  checkSignal(signal, 'decryptFile')
  const opening = envelopeOpening(rest, 'decryptFile')
  await using source = await open(from, 'r')
  const start = await fill(source, new Uint8Array(prefixBytes + maxHeaderBytes + minBodyBytes), 0)
  const length = opening.measure(start)
  if (length === undefined || start.length < length + minBodyBytes) throw opening.tooShort()
  const at = length + preambleBytes
  const cipher = await opening.open(start.subarray(0, length), start.subarray(length, at))
  try {
    await using target = await NewFile.create(to, 0o600)
    const { size } = await source.stat()
    const way = { source, at, target: target.handle, chunks: chunksPerRun(size, sealedChunkBytes), signal }
    await run(way, { inputBytes: sealedChunkBytes, outputBytes: chunkBytes, work: opener(cipher) })
    await target.commit()
  } finally {
    cipher.wipe()
  }
}

/** @throws LongholdError `bad_input` for what is none. */
function checkSignal(signal: AbortSignal | undefined, where: string): void {
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function')
    throw badInput(`${where}: signal must be an AbortSignal`)
}

/** From the place of an input, all of it but for the last in whole chunks, to the bytes of `output` that it becomes. */
type Work = (input: Uint8Array, output: Uint8Array, isLast: boolean) => Uint8Array

function sealer(cipher: MessageCipher): Work {
  let chunk = 0
  return (input, output, isLast) => {
    const count = Math.floor(input.length / chunkBytes)
    const rest = input.subarray(count * chunkBytes)
    cipher.sealChunks(chunk, input.subarray(0, count * chunkBytes), output)
    chunk += count
    const end = count * sealedChunkBytes
    if (!isLast) return output.subarray(0, end)
    // The final chunk is always short, and perhaps empty.
    const sealed = output.subarray(0, end + rest.length + tagBytes)
    cipher.sealChunk(chunk, rest, sealed.subarray(end))
    return sealed
  }
}

function opener(cipher: MessageCipher): Work {
  let chunk = 0
  return (input, output, isLast) => {
    if (isLast && input.length % sealedChunkBytes < tagBytes) throw cannotOpen() // cut off: the final chunk is short
    const count = Math.ceil(input.length / sealedChunkBytes)
    const opened = output.subarray(0, input.length - count * tagBytes)
    if (cipher.openChunksInto(chunk, input, opened) < count) throw cannotOpen()
    chunk += count
    return opened
  }
}

const maxChunksPerRun = 64

/** As many as a file has, so that little is taken for a small one. */
function chunksPerRun(fileBytes: number, size: number): number {
  return Math.min(maxChunksPerRun, Math.floor(fileBytes / size) + 1)
}

interface Way {
  readonly source: FileHandle
  /** Where reading begins. */
  readonly at: number
  readonly target: FileHandle
  readonly chunks: number
  readonly signal: AbortSignal | undefined
}

interface Step {
  /** Of a chunk. */
  readonly inputBytes: number
  readonly outputBytes: number
  readonly work: Work
}

/** While one run of chunks is worked on, the next is read and the one before is written, each into memory that is used again. */
async function run(way: Way, { inputBytes, outputBytes, work }: Step): Promise<void> {
  const { source, target, chunks, signal } = way
  const two = (size: number) => [new Uint8Array(size), new Uint8Array(size)] as const
  let [input, spareInput] = two(chunks * inputBytes)
  let [output, spareOutput] = two(chunks * outputBytes)
  let at = way.at
  let reading = fill(source, input, at)
  let writing = Promise.resolve()
  try {
    for (let isLast = false; !isLast;) {
      const bytes = await reading
      signal?.throwIfAborted()
      isLast = bytes.length < input.length
      at += bytes.length
      if (!isLast) reading = handled(fill(source, spareInput, at))
      const made = work(bytes, output, isLast)
      await writing
      writing = handled(writeAll(target, made))
      ;[input, spareInput] = [spareInput, input]
      ;[output, spareOutput] = [spareOutput, output]
    }
    await writing
  } finally {
    await Promise.allSettled([reading, writing]) // nobody fills them any more
    wipe(input, spareInput, output, spareOutput)
  }
}

/** It is awaited in its turn, perhaps after it failed. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** The part of `bytes` that could be read: less than all of it only at the end of the file. */
async function fill(file: FileHandle, bytes: Uint8Array, offset: number): Promise<Uint8Array> {
  for (let filled = 0; filled < bytes.length;) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled)
    if (bytesRead === 0) return bytes.subarray(0, filled)
    filled += bytesRead
  }
  return bytes
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written)
    written += bytesWritten
  }
}

/** A file under another name until it is whole. Disposed of without `commit` it is gone. */
class NewFile implements AsyncDisposable {
  readonly handle: FileHandle
  readonly #path: string
  readonly #temporary: string
  #isOpen = true

  private constructor(handle: FileHandle, path: string, temporary: string) {
    this.handle = handle
    this.#path = path
    this.#temporary = temporary
  }

  /** @param mode Permission bits, before the umask. */
  static async create(to: string | URL, mode: number): Promise<NewFile> {
    const path = typeof to === 'string' ? to : fileURLToPath(to)
    await checkReplaceable(path)
    const temporary = join(dirname(path), `.longhold-${toHex(randomBytes(8))}.tmp`)
    return new NewFile(await open(temporary, 'wx', mode), path, temporary)
  }

  /** Content to the disk, then the name. */
  async commit(): Promise<void> {
    await this.handle.sync()
    await this.#close()
    await rename(this.#temporary, this.#path)
    await syncDirectory(dirname(this.#path))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close().catch(() => {}) // whatever it is, it was said by the step that failed
    await unlink(this.#temporary).catch(() => {}) // gone already when all went well
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.handle.close()
  }
}

/** A rename puts a file in the place of a pipe or a device, which nobody wants: not even of /dev/null. */
async function checkReplaceable(path: string): Promise<void> {
  const there = await stat(path).catch((error: unknown) => {
    const { code } = error as { code?: unknown } // of the system
    if (code !== 'ENOENT') throw error
  })
  if (there?.isFile() === false)
    throw badInput(
      `${path} is there and no file`,
      'pipes and devices take streams: encryptTransform and decryptTransform',
    )
}

/** Makes the names in a directory durable. Some file systems cannot, and need not. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } catch (error) {
    const { code } = error as { code?: unknown } // of the system, if it has one
    if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes(String(code))) throw error
  } finally {
    await directory.close()
  }
}
