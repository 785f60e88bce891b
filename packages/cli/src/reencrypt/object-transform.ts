/** The work on one object: look at it; open it the old way, encrypt, open what was written, compare. Runs in a worker. */

import { createHmac } from 'node:crypto'
import { open, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'

import { concat, DataKey, equalBytes, LongholdError, openEncryptedRecord } from '@longhold/core'
import type { RandomAccessSource } from '@longhold/core'
import { encryptRecordTransform } from '@longhold/core/node'

import { LegacyError } from '../formats/legacy-format.ts'
import type { LegacyCode, PrivateKeys } from '../formats/legacy-format.ts'
import { ObjectChanged, ObjectRefused } from '../sources/object-source.ts'
import type { ObjectPlace, OpenedObject } from '../sources/object-source.ts'
import { fileProblem, Problem } from '../sources/problem.ts'
import type { ProblemKind } from '../sources/problem.ts'
import { checkAuthenticated, lookAt } from './object-formats.ts'
import type { ObjectFormat } from './object-formats.ts'

/** One message to a worker. */
export type ObjectTask =
  | { readonly step: 'look'; readonly place: ObjectPlace }
  /** To open it and forget what came out, for a plan. */
  | { readonly step: 'try'; readonly place: ObjectPlace }
  | StageTask

export interface StageTask {
  readonly step: 'stage'
  readonly place: ObjectPlace
  /** Where the envelope is to be written. */
  readonly path: string
  /** 32 bytes, of this object alone. */
  readonly dataKey: Uint8Array
  /** The envelope before its body. */
  readonly envelopeHead: Uint8Array
  readonly context: Readonly<Record<string, string>>
}

/** What is said of an object of an old format. */
export interface LegacyFacts {
  readonly format: string
  readonly keyId: string | undefined
  readonly wrapping: string
  readonly body: string
  readonly isAuthenticated: boolean
}

/** One message back. */
export type ObjectAnswer =
  | { readonly kind: 'other' | 'changed' }
  | { readonly kind: 'longhold'; readonly form: 'record' | 'envelope'; readonly keyId: string }
  | ({ readonly kind: 'legacy' } & LegacyFacts)
  | { readonly kind: 'opened'; readonly plaintextBytes: number }
  | {
      readonly kind: 'staged'
      readonly bytes: number
      readonly plaintextBytes: number
      /** Keyed, of the plaintext. */
      readonly digest: Uint8Array
      readonly isAuthenticated: boolean
    }
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string }
  /** What stops everything. */
  | {
      readonly kind: 'stopped'
      readonly as: ProblemKind
      readonly message: string
      readonly hint: string | undefined
    }

export interface ObjectWorkSettings {
  readonly formats: readonly ObjectFormat[]
  readonly keys: PrivateKeys
  readonly acceptUnauthenticated: boolean
  /** Keys the digests of plaintexts; of this process alone. */
  readonly digestKey: Uint8Array
  readonly open: (place: ObjectPlace) => Promise<OpenedObject>
  /** Gives the envelope what the object has besides its bytes. */
  readonly dress: (place: ObjectPlace, path: string) => Promise<void>
  /** Alters an envelope before it is checked: shows in a test that a bad one is not put in place. */
  readonly testingAlter?: (path: string) => Promise<void>
}

/** Prefix and key id of a record (SPEC §6.1), which an envelope has in its header. */
const recordHeadBytes = 20
const sliceBytes = 256 * 1024

/** Answers whatever happens but a fault of our own. */
export async function workOn(settings: ObjectWorkSettings, task: ObjectTask): Promise<ObjectAnswer> {
  try {
    const object = await settings.open(task.place)
    try {
      return await step(settings, task, object)
    } finally {
      await object.close()
    }
  } catch (error) {
    if (task.step === 'stage') await unlink(task.path).catch(() => {}) // it may not have come to be
    return answerTo(error)
  }
}

async function step(
  settings: ObjectWorkSettings,
  task: ObjectTask,
  object: OpenedObject,
): Promise<ObjectAnswer> {
  const look = await lookAt(settings.formats, task.place.name, object)
  if (look.kind === 'longhold') {
    const { kind: form, keyId } = look.value
    return { kind: 'longhold', form, keyId }
  }
  if (look.kind === 'other') return { kind: 'other' }
  const { format, stream } = look
  if (task.step === 'look') {
    const { keyId, wrapping, body, isAuthenticated } = stream
    return { kind: 'legacy', format, keyId, wrapping, body, isAuthenticated }
  }
  checkAuthenticated(stream, settings.acceptUnauthenticated || task.step === 'try')
  const hmac = createHmac('sha256', settings.digestKey)
  let plaintextBytes = 0
  const plaintext = async function* () {
    for await (const piece of stream.open(object.pieces(), settings.keys)) {
      hmac.update(piece)
      plaintextBytes += piece.length
      yield piece
    }
    await object.checkUnchanged()
  }
  if (task.step === 'try') {
    for await (const piece of plaintext()) piece.fill(0)
    return { kind: 'opened', plaintextBytes }
  }
  const dataKey = DataKey.from(task.dataKey)
  try {
    await using file = await open(task.path, 'wx+', 0o600)
    const bytes = await writeEnvelope(file, plaintext(), dataKey, task)
    const digest = hmac.digest()
    await settings.dress(task.place, task.path)
    await settings.testingAlter?.(task.path)
    await file.sync()
    await verifyEnvelope(file, dataKey, task, { ...settings, digest, bytes })
    return { kind: 'staged', bytes, plaintextBytes, digest, isAuthenticated: stream.isAuthenticated }
  } finally {
    dataKey.wipe()
  }
}

/** @returns Its bytes in all. */
async function writeEnvelope(
  file: FileHandle,
  plaintext: AsyncIterable<Uint8Array>,
  dataKey: DataKey,
  { envelopeHead, context }: StageTask,
): Promise<number> {
  let written = 0
  const write = async (piece: Uint8Array): Promise<void> => {
    for (let at = 0; at < piece.length;) {
      const { bytesWritten } = await file.write(piece, at, piece.length - at, written)
      at += bytesWritten
      written += bytesWritten
    }
  }
  await write(envelopeHead)
  let toSkip = recordHeadBytes
  const sink = async (pieces: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const piece of pieces) {
      const rest = piece.subarray(Math.min(toSkip, piece.length))
      toSkip -= piece.length - rest.length
      await write(rest)
    }
  }
  await pipeline(plaintext, encryptRecordTransform(dataKey, { recordContext: context }), sink)
  return written
}

/** What an envelope must turn out to be. */
interface Written {
  readonly digest: Uint8Array
  readonly bytes: number
}

/** Reads the file again, as the record that its body is. @throws VerificationError */
async function verifyEnvelope(
  file: FileHandle,
  dataKey: DataKey,
  { envelopeHead, context }: StageTask,
  expected: Pick<ObjectWorkSettings, 'digestKey'> & Written,
): Promise<void> {
  const recordHead = concat(Uint8Array.of(0x4c, 0x48, 0x52, 1), dataKey.keyId)
  const skipped = envelopeHead.length - recordHeadBytes
  const { size } = await file.stat()
  const source: RandomAccessSource = {
    size: size - skipped,
    async read(offset, length) {
      const bytes = await readAt(file, offset + skipped, length)
      if (offset < recordHeadBytes) bytes.set(recordHead.subarray(offset, offset + length))
      return bytes
    },
  }
  const head = await readAt(file, 0, envelopeHead.length)
  if (size !== expected.bytes || !equalBytes(head, envelopeHead)) throw new VerificationError()
  const reader = await openEncryptedRecord(source, dataKey, { recordContext: context })
  const hmac = createHmac('sha256', expected.digestKey)
  try {
    for (let at = 0; at < reader.size; at += sliceBytes) {
      const slice = await reader.slice(at, Math.min(at + sliceBytes, reader.size))
      hmac.update(slice)
      slice.fill(0)
    }
  } finally {
    reader.close()
  }
  if (!equalBytes(hmac.digest(), expected.digest)) throw new VerificationError()
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled)
    if (bytesRead === 0) throw new VerificationError()
    filled += bytesRead
  }
  return bytes
}

class VerificationError extends Error {}

/** Codes that are the state of the object, not of the run: of the file system, for the directory it is in. */
const closedDirectory = ['EACCES', 'EPERM', 'EROFS']

function answerTo(error: unknown): ObjectAnswer {
  if (error instanceof ObjectChanged) return { kind: 'changed' }
  if (error instanceof ObjectRefused) return { kind: 'refused', code: error.code, reason: error.message }
  if (error instanceof LegacyError) return refusal(error.code, error.message)
  if (error instanceof VerificationError) return refusal('verification_failed', 'it does not open again')
  if (error instanceof LongholdError) {
    return error.code === 'bad_context'
      ? refusal('bad_id', error.message)
      : refusal('verification_failed', error.message)
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (closedDirectory.includes(code)) return refusal('not_writable', 'its directory is not writable')
  if (code === 'ENOENT') return { kind: 'changed' }
  const problem = error instanceof Problem ? error : fileProblem(error, 'the new envelope', 'write')
  if (!(problem instanceof Problem)) throw error
  return { kind: 'stopped', as: problem.kind, message: problem.message, hint: problem.hint }
}

function refusal(
  code: LegacyCode | 'verification_failed' | 'bad_id' | 'not_writable',
  reason: string,
): ObjectAnswer {
  return { kind: 'refused', code, reason }
}
