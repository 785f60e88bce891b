/**
 * Objects below a prefix of an S3-compatible store. An envelope takes the place of an object by a PUT with `If-Match`,
 * which the store must honour. Journal and lock are in a file on this machine.
 */

import { randomBytes } from 'node:crypto'
import { createWriteStream, mkdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import { ObjectJournal } from './object-journal.ts'
import type { ObjectRow } from './object-journal.ts'
import { ObjectChanged, ObjectRefused } from './object-source.ts'
import type {
  DecidedObjects,
  ListedObject,
  ObjectsPutBack,
  ObjectSource,
  StagedEnvelope,
} from './object-source.ts'
import { Problem } from './problem.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { attributesOf } from './s3-objects.ts'
import { BucketReader, lockOf, maxPutBytes, originalsPrefix } from './s3-reader.ts'
import type { BucketOptions } from './s3-reader.ts'
import { encoded } from './s3-signature.ts'
import { stateDirectory, TargetLock } from './target-lock.ts'

const putBackObjects = 50

/** @throws Problem when another run of this machine is at work on it. */
export function openBucket(options: BucketOptions): ObjectSource {
  const lock = TargetLock.take(dirname(options.stateFile), lockOf(options), options.shown)
  try {
    return new Bucket(options, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

class Bucket extends BucketReader implements ObjectSource {
  readonly #journal: ObjectJournal
  readonly #lock: TargetLock
  readonly #staging: string
  #quotes = true
  #isLearned = false

  constructor(options: BucketOptions, lock: TargetLock) {
    super(options)
    this.#lock = lock
    this.#journal = new ObjectJournal(options.stateFile)
    // With the lock held, whatever lies there is of a run that was killed.
    this.#staging = join(dirname(options.stateFile), stateDirectory, `staged-${basename(options.stateFile)}`)
    rmSync(this.#staging, { recursive: true, force: true })
    mkdirSync(this.#staging, { recursive: true, mode: 0o700 })
  }

  override close(): void {
    rmSync(this.#staging, { recursive: true, force: true })
    this.#journal.close()
    this.#lock.release()
  }

  protected override get journal(): ObjectJournal {
    return this.#journal
  }

  /** A store that takes a PUT with another `If-Match` than the object's would lose what others write. */
  async checkReady(): Promise<void> {
    await this.#learn()
  }

  async begin(state: RunState): Promise<RunState> {
    await this.#learn()
    const { runId } = state
    const rows = this.#journal.unsettled(runId)
    const done: ObjectRow[] = []
    const undone: ObjectRow[] = []
    for (const row of rows) ((await this.#keyIdAt(row.name))?.keyId === row.keyId ? done : undone).push(row)
    for (const row of undone) await this.#removeOriginal(runId, row)
    this.#journal.settle(
      runId,
      done.map(({ name }) => name),
      true,
    )
    this.#journal.settle(
      runId,
      undone.map(({ name }) => name),
      false,
    )
    const sum = (of: (row: ObjectRow) => number): number => done.reduce((total, row) => total + of(row), 0)
    const mended = {
      ...state,
      migrated: state.migrated + done.length,
      bytesBefore: state.bytesBefore + sum((row) => row.bytesBefore),
      bytesAfter: state.bytesAfter + sum((row) => row.bytesAfter),
    }
    this.#journal.save(mended)
    return mended
  }

  stage(): string {
    return join(this.#staging, randomBytes(8).toString('hex'))
  }

  unstage(path: string): void {
    rmSync(path, { force: true })
  }

  isOurs(runId: string, keyId: string): boolean {
    return this.#journal.isOurs(runId, keyId)
  }

  async commit(state: RunState, decided: DecidedObjects): Promise<RunState> {
    const { runId } = state
    const staged = decided.page.objects.flatMap((object, index) => {
      const fate = decided.fates[index]
      return fate?.fate === 'staged' ? [{ object, envelope: fate.envelope }] : []
    })
    const rows = staged.map(({ object: { name, version, size }, envelope: { keyId, path, bytes } }) => {
      return { name, keyId, version, staged: path, bytesBefore: size, bytesAfter: bytes }
    })
    const before = this.#journal.prepare(runId, rows)
    const ends = await Promise.all(
      staged.map(async (one, index) => ({ ...one, index, end: await this.#replace(state, one) })),
    )
    const done = ends.filter(({ end }) => end === 'done')
    const sum = (of: (one: (typeof done)[number]) => number): number =>
      done.reduce((all, one) => all + of(one), 0)
    const next = this.#journal.commit(state, decided, {
      migrated: done.length,
      conflict: ends.filter(({ end }) => end === 'conflict').length,
      dead: ends.flatMap(({ end }) => (typeof end === 'object' ? [end] : [])),
      unauthenticated: sum(({ envelope }) => (envelope.isAuthenticated ? 0 : 1)),
      bytesBefore: sum(({ object }) => object.size),
      bytesAfter: sum(({ envelope }) => envelope.bytes),
      done: done.map(({ object }) => object.name),
      undone: ends.filter(({ end }) => end !== 'done').map(({ object }) => object.name),
    })
    for (const { envelope } of staged) this.unstage(envelope.path)
    for (const row of before) await this.#removeOriginal(runId, row)
    return next
  }

  store(state: RunState): void {
    this.#journal.save(state)
  }

  async putBack({ runId }: RunState, after = ''): Promise<ObjectsPutBack | undefined> {
    const rows = this.#journal.done(runId, after, putBackObjects)
    const last = rows.at(-1)
    if (last === undefined) return undefined
    let restored = 0
    for (const row of rows) {
      if (await this.#restore(runId, row)) restored++
      await this.#removeOriginal(runId, row)
    }
    this.#journal.forget(
      runId,
      rows.map(({ name }) => name),
    )
    return { restored, changed: rows.length - restored, after: last.name }
  }

  async finalize(state: RunState): Promise<void> {
    for (let after = ''; ;) {
      const rows = this.#journal.done(state.runId, after, 1000)
      for (const row of rows) await this.#removeOriginal(state.runId, row)
      const last = rows.at(-1)
      if (last === undefined) break
      after = last.name
    }
    this.#journal.forgetRun(state)
  }

  /** How the store takes `If-Match`. @throws Problem `wrong` when it does not honour it. */
  async #learn(): Promise<void> {
    if (this.#isLearned) return
    const key = `${this.options.prefix}.longhold-probe-${randomBytes(8).toString('hex')}`
    const put = async (etag: string, text: string): Promise<boolean> => {
      const headers = { 'if-match': this.#tag(etag) }
      const request = { method: 'PUT', key, headers, body: Buffer.from(text) } as const
      return (await this.client.ask(request, 200, 400, 409, 412, 501)).status === 200
    }
    const { etag = '' } = (await this.client.ask({ method: 'PUT', key, body: Buffer.from('first') }, 200))
      .headers
    try {
      const tookWrong = await put('"0123456789abcdef0123456789abcdef"', 'second')
      let tookRight = await put(etag, 'third')
      if (!tookRight) {
        // radosgw compares tags with what was sent, quotes and all (RFC 9110 §13.1.1 has them).
        this.#quotes = false
        tookRight = await put(etag, 'third')
      }
      if (tookWrong || !tookRight || (await put(etag, 'fourth'))) {
        throw new Problem('wrong', `${this.options.connection.endpoint} does not honour If-Match at a PUT`, {
          hint: 'what others write meanwhile could be lost: use a store that does, or copy the objects to a directory',
        })
      }
    } finally {
      await this.client.ask({ method: 'DELETE', key }, 200, 204)
    }
    this.#isLearned = true
  }

  /** An entity tag as this store compares it. */
  #tag(etag: string): string {
    return this.#quotes ? etag : etag.replaceAll('"', '')
  }

  /** Undefined when there is no longhold envelope. */
  async #keyIdAt(key: string) {
    const request = { method: 'GET', key, headers: { range: 'bytes=0-19' } } as const
    const { status, headers, bytes } = await this.client.ask(request, 200, 206, 404, 416)
    if (status >= 400 || bytes.length < 20 || bytes.toString('latin1', 0, 3) !== 'LHE') return undefined
    return { keyId: bytes.toString('hex', 4, 20), etag: headers.etag ?? '' }
  }

  #originalKey(runId: string, { keyId }: { readonly keyId: string }): string {
    return `${originalsPrefix}${runId}/${keyId}`
  }

  async #replace(
    { runId, keepsOriginals }: RunState,
    { object, envelope }: { readonly object: ListedObject; readonly envelope: StagedEnvelope },
  ): Promise<'done' | 'conflict' | DeadLetter> {
    const { name, version } = object
    const letter = (code: string): DeadLetter => ({
      locator: name,
      format: undefined,
      keyId: undefined,
      code,
    })
    try {
      const { headers, etag } = await attributesOf(this.client, name, false)
      if (etag !== version) return 'conflict'
      if (envelope.bytes > maxPutBytes) return letter('limit_exceeded')
      const original = this.#originalKey(runId, envelope)
      if (keepsOriginals) {
        const { bucket } = this.options.connection
        const source = `/${[bucket, ...name.split('/')].map(encoded).join('/')}`
        const copy = { 'x-amz-copy-source': source, 'x-amz-copy-source-if-match': version }
        const { status } = await this.client.ask(
          { method: 'PUT', key: original, headers: copy },
          200,
          404,
          412,
        )
        if (status !== 200) return 'conflict'
      }
      const body = { path: envelope.path, bytes: envelope.bytes }
      const put = {
        method: 'PUT',
        key: name,
        headers: { ...headers, 'if-match': this.#tag(version) },
        body,
      } as const
      const { status } = await this.client.ask(put, 200, 403, 404, 409, 412)
      // A PUT that was sent twice meets what it wrote at first.
      if (status === 200 || (await this.#keyIdAt(name))?.keyId === envelope.keyId) return 'done'
      await this.client.ask({ method: 'DELETE', key: original }, 200, 204, 404)
      return status === 403 ? letter('not_writable') : 'conflict'
    } catch (error) {
      if (error instanceof ObjectChanged) return 'conflict'
      if (error instanceof ObjectRefused) return letter(error.code)
      throw error
    }
  }

  /** @returns False when somebody has written since, or nothing of the old is left. */
  async #restore(runId: string, row: ObjectRow): Promise<boolean> {
    const now = await this.#keyIdAt(row.name)
    if (now?.keyId !== row.keyId) return false
    const key = this.#originalKey(runId, row)
    const path = this.stage()
    try {
      const { headers } = await attributesOf(this.client, key, true)
      const answer = await this.client.send({ method: 'GET', key })
      if (answer.statusCode !== 200) return false
      await pipeline(answer, createWriteStream(path, { mode: 0o600 }))
      const body = { path, bytes: row.bytesBefore }
      const put = {
        method: 'PUT',
        key: row.name,
        headers: { ...headers, 'if-match': this.#tag(now.etag) },
        body,
      } as const
      return (await this.client.ask(put, 200, 409, 412)).status === 200
    } catch (error) {
      if (error instanceof ObjectChanged) return false
      throw error
    } finally {
      this.unstage(path)
    }
  }

  async #removeOriginal(runId: string, row: ObjectRow): Promise<void> {
    await this.client.ask({ method: 'DELETE', key: this.#originalKey(runId, row) }, 200, 204, 404)
  }
}
