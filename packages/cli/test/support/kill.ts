/** Runs that are killed with SIGKILL at random instants, and checks of what they leave behind. */

import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { fromText, toHex, unwrapDataKey } from '@longhold/core'
import type { DataKey, Identity } from '@longhold/core'
import Database from 'better-sqlite3'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly wasKilled: boolean
  readonly ms: number
  readonly stdout: string
  readonly stderr: string
}

/** `longhold ARGV…` as a process of its own, killed after so many milliseconds unless it has ended by then. */
export async function runAndKill(
  cwd: string,
  argv: readonly string[],
  afterMs: number | undefined,
  program = main,
): Promise<Ended> {
  const startMs = performance.now()
  const child = spawn(process.execPath, [program, ...argv], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const outputs = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (outputs.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (outputs.stderr += chunk.toString()))
  const timer = afterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), afterMs)
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) => {
    child.once('close', (...ended) => done(ended))
  })
  clearTimeout(timer)
  return { code, wasKilled: signal === 'SIGKILL', ms: performance.now() - startMs, ...outputs }
}

/** How one kind of target is begun anew and looked at. */
export interface KillTarget {
  readonly argv: readonly string[]
  /** Instead of `longhold`. */
  readonly program?: string
  /** Puts the old state in place. */
  reset(): void
  /**
   * Every value opens the old way or the new: it is the old one, byte for byte, or a record that opens to the same.
   * @returns How many are records. Throws for any value that is neither.
   */
  check(): Promise<number>
  /** Something is done and something is not, by the number that `check` gave. */
  isHalfway(done: number): boolean
}

export interface KillReport {
  readonly kills: number
  /** Kills that met a run in the middle: some values done, some not. */
  readonly inTheMiddle: number
  readonly runs: number
}

/** Kills runs until there were enough kills; every run that was begun is brought to its end. */
export async function killRuns(cwd: string, target: KillTarget, enough: number): Promise<KillReport> {
  target.reset()
  const whole = await runAndKill(cwd, target.argv, undefined, target.program)
  if (whole.code !== 0) throw new Error(`without a kill it ended with ${whole.code}: ${whole.stderr}`)
  const total = await target.check()
  if (target.isHalfway(total)) throw new Error('without a kill it ended halfway')
  let kills = 0
  let inTheMiddle = 0
  let runs = 0
  const isEnough = () => kills >= enough && inTheMiddle >= 2
  while (!isEnough()) {
    if (kills > 10 * enough) throw new Error('no kill met a run in the middle')
    runs++
    target.reset()
    for (;;) {
      // From before the first row to about the end.
      const afterMs = whole.ms * (0.3 + 0.75 * Math.random())
      const ended = await runAndKill(cwd, target.argv, afterMs, target.program)
      const done = await target.check()
      if (ended.wasKilled) kills++
      if (ended.wasKilled && target.isHalfway(done)) inTheMiddle++
      if (!ended.wasKilled && ended.code !== 0) throw new Error(`ended with ${ended.code}: ${ended.stderr}`)
      if (!ended.wasKilled || isEnough()) break
    }
    const last = await runAndKill(cwd, target.argv, undefined, target.program)
    if (last.code !== 0) throw new Error(`the last run ended with ${last.code}: ${last.stderr}`)
    if ((await target.check()) !== total) throw new Error('not everything is re-encrypted')
  }
  return { kills, inTheMiddle, runs }
}

interface NoteRow {
  readonly id: number
  readonly body: string
  readonly wrapped_key: string | null
  readonly iv: string | null
}

/** The table `notes` of `support/migration.ts`. */
export function tableTarget(
  files: { readonly pristine: string; readonly path: string },
  argv: readonly string[],
  identity: Identity,
  plaintextOf: (id: number) => string,
): KillTarget {
  const before = new Map(rowsOf(files.pristine).map((row) => [row.id, row]))
  return {
    argv,
    reset() {
      for (const suffix of ['-wal', '-shm', '-journal']) rmSync(files.path + suffix, { force: true })
      copyFileSync(files.pristine, files.path)
    },
    async check() {
      const rows = rowsOf(files.path)
      if (rows.length !== before.size) throw new Error('rows went missing')
      const keys = new KeyCache(identity, tableKeys(files.path))
      let records = 0
      for (const row of rows) {
        const old = before.get(row.id)
        if (old?.body === row.body && old.wrapped_key === row.wrapped_key && old.iv === row.iv) continue
        if (row.wrapped_key !== null || row.iv !== null)
          throw new Error(`row ${row.id} is half old, half new`)
        const context = { table: 'notes', column: 'body', id: String(row.id) }
        if ((await keys.open(row.body, context)) !== plaintextOf(row.id))
          throw new Error(`row ${row.id} differs`)
        records++
      }
      return records
    },
    isHalfway: (done) => done > 0 && done < before.size,
  }
}

/** A file of lines with `id` and `body`. */
export function fileTarget(
  path: string,
  argv: readonly string[],
  identity: Identity,
  plaintextOf: (id: number) => string,
): KillTarget {
  const content = readFileSync(path, 'utf8')
  const linesOf = (text: string) =>
    text.split('\n').map((line) => JSON.parse(line) as { id: number; body: string })
  const before = linesOf(content)
  return {
    argv,
    reset() {
      for (const suffix of ['.longhold', '.longhold.partial', '.keys.ndjson'])
        rmSync(path + suffix, { force: true })
      rmSync(`${path.slice(0, path.lastIndexOf('/'))}/.longhold`, { recursive: true, force: true })
    },
    async check() {
      if (readFileSync(path, 'utf8') !== content) throw new Error('the old file changed')
      if (!existsSync(`${path}.longhold`)) return 0
      const lines = linesOf(readFileSync(`${path}.longhold`, 'utf8'))
      const keys = new KeyCache(identity, fileKeys(path))
      for (const [index, { id, body }] of lines.entries()) {
        if (before[index]?.id !== id) throw new Error('lines are in another order')
        const context = { table: 'rows.ndjson', column: 'body', id: String(id) }
        if ((await keys.open(body, context)) !== plaintextOf(id)) throw new Error(`line ${index + 1} differs`)
      }
      if (lines.length !== before.length) throw new Error('lines went missing')
      return lines.length
    },
    isHalfway: () => existsSync(`${path}.longhold.partial`) && statSync(`${path}.longhold.partial`).size > 0,
  }
}

interface WrappedKey {
  readonly keyId: string
  readonly wrappedKey: Uint8Array
  readonly keyContext: Record<string, string>
}

function rowsOf(path: string): NoteRow[] {
  // Not read-only: a rollback journal that a kill left behind is played back here.
  const database = new Database(path)
  const rows = database.prepare<[], NoteRow>('SELECT id, body, wrapped_key, iv FROM notes ORDER BY id').all()
  database.close()
  return rows
}

function tableKeys(path: string): WrappedKey[] {
  const database = new Database(path)
  const isThere = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'longhold_data_keys'").get()
  const rows =
    isThere === undefined
      ? []
      : database
          .prepare<[], { key_id: Uint8Array; wrapped_key: Uint8Array; key_context: string }>(
            'SELECT key_id, wrapped_key, key_context FROM longhold_data_keys',
          )
          .all()
  database.close()
  return rows.map(({ key_id, wrapped_key, key_context }) => ({
    keyId: toHex(key_id),
    wrappedKey: wrapped_key,
    keyContext: JSON.parse(key_context) as Record<string, string>,
  }))
}

function fileKeys(path: string): WrappedKey[] {
  return readFileSync(`${path}.keys.ndjson`, 'utf8')
    .trim()
    .split('\n')
    .map(
      (line) =>
        JSON.parse(line) as { key_id: string; wrapped_key: string; key_context: Record<string, string> },
    )
    .map(({ key_id, wrapped_key, key_context }) => ({
      keyId: key_id,
      wrappedKey: fromText(wrapped_key),
      keyContext: key_context,
    }))
}

class KeyCache {
  readonly #identity: Identity
  readonly #wrapped: ReadonlyMap<string, WrappedKey>
  readonly #opened = new Map<string, DataKey>()

  constructor(identity: Identity, keys: readonly WrappedKey[]) {
    this.#identity = identity
    this.#wrapped = new Map(keys.map((key) => [key.keyId, key]))
  }

  async open(text: string, recordContext: Record<string, string>): Promise<string> {
    const record = fromText(text)
    const keyId = toHex(record.subarray(4, 20))
    let key = this.#opened.get(keyId)
    if (key === undefined) {
      const wrapped = this.#wrapped.get(keyId)
      if (wrapped === undefined) throw new Error('a record without its data key')
      const { wrappedKey, keyContext } = wrapped
      key = await unwrapDataKey(wrappedKey, { identities: [this.#identity], keyContext })
      this.#opened.set(keyId, key)
    }
    return Buffer.from(key.decrypt(record, { recordContext })).toString()
  }
}
