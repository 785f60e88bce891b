import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import Database from 'better-sqlite3'
import { expect, test } from 'vitest'

import { tableTarget } from '../support/kill.ts'
import { javaYaml, oldPem } from '../support/legacy-values.ts'
import { Directory, identity, jweOf, makeNotes, plaintextOf } from '../support/migration.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const nobody = 65_534

function writeSettings(directory: Directory): void {
  writeFileSync(directory.file('old.pem'), oldPem, { mode: 0o600 })
  writeFileSync(directory.file('id.txt'), identity.exportText(), { mode: 0o600 })
  writeFileSync(
    directory.file('longhold.yaml'),
    `recipient: ${identity.recipient.toString()}\nidentity: id.txt\nreencrypt:\n  column: body\n  private-keys: [old.pem]\n  batch-rows: 50\n  workers: 1${javaYaml}`,
  )
}

const runTable = ['reencrypt', 'run', 'notes.db', '--table', 'notes', '--execute']
const runFile = ['reencrypt', 'run', 'rows.ndjson', '--id', 'id', '--format', 'jwe', '--execute']

/** A process that may write files of so many KiB; beyond that a write fails, as on a full disk. */
function runWithLimit(directory: Directory, argv: readonly string[], kib: number) {
  const script = `trap '' XFSZ; ulimit -f ${kib}; exec "$0" "$@"`
  return spawnSync('bash', ['-c', script, process.execPath, main, ...argv], {
    cwd: directory.path,
    encoding: 'utf8',
  })
}

function run(directory: Directory, argv: readonly string[], as?: number) {
  const who = as === undefined ? {} : { uid: as, gid: as }
  return spawnSync(process.execPath, [main, ...argv], { cwd: directory.path, encoding: 'utf8', ...who })
}

test('a table whose database cannot grow stops where it is, and goes on once it can', async () => {
  using directory = new Directory()
  writeSettings(directory)
  const pristine = directory.file('pristine.db')
  await makeNotes(pristine, 600)
  const path = directory.file('notes.db')
  const target = tableTarget({ pristine, path }, runTable, identity, plaintextOf)
  target.reset()
  // Room for the log of a few commits, not for all of them.
  const full = runWithLimit(directory, runTable, Math.ceil(statSync(path).size / 1024 / 2))
  expect(full.stderr).toMatch(/notes\.db: (?:input\/output error|no room)/)
  expect(full.stderr).toMatch(/hint: .*run the same command again/)
  expect(full.status).toBe(4)
  expect(await target.check()).toBeLessThan(600)
  const freed = run(directory, runTable)
  expect(freed.status).toBe(0)
  expect(await target.check()).toBe(600)
})

test('a disk without room for the lock is no reason to look for another file system', async () => {
  using directory = new Directory()
  writeSettings(directory)
  await makeNotes(directory.file('notes.db'), 2)
  const database = new Database(directory.file('notes.db'))
  // With a write-ahead log even reading needs room for its index.
  database.pragma('journal_mode = DELETE')
  database.close()
  const full = runWithLimit(directory, runTable, 0)
  expect(full.stderr).toMatch(/cannot lock notes\.db, table notes: .*\.lock cannot grow/)
  expect(full.stderr).toMatch(/hint: free some space/)
  expect(full.status).toBe(4)
  expect(run(directory, runTable).status).toBe(0)
})

test('a file whose disk is full stops where it is, and goes on once it is not', async () => {
  using directory = new Directory()
  writeSettings(directory)
  const lines: string[] = []
  for (let id = 1; id <= 300; id++) lines.push(JSON.stringify({ id, body: await jweOf(id) }))
  writeFileSync(directory.file('rows.ndjson'), lines.join('\n'))
  // The journal stays below it, the new file does not.
  const full = runWithLimit(directory, runFile, 48)
  expect(full.stderr).toMatch(/cannot write rows\.ndjson\.longhold: a limit allows no larger file/)
  expect(full.status).toBe(4)
  expect(existsSync(directory.file('rows.ndjson.longhold'))).toBe(false)
  const freed = run(directory, runFile)
  expect(freed.status).toBe(0)
  expect(readFileSync(directory.file('rows.ndjson.longhold'), 'utf8').match(/"TEhS/g)?.length).toBe(300)
})

test('a database that is read-only is refused, and nothing is done', async () => {
  using directory = new Directory()
  writeSettings(directory)
  const path = directory.file('notes.db')
  await makeNotes(path, 4)
  const database = new Database(path)
  database.pragma('journal_mode = delete')
  database.close()
  const before = readFileSync(path)
  chmodSync(path, 0o444)
  // Root may write everything, so then it is nobody who tries.
  const isRoot = process.getuid?.() === 0
  if (isRoot) {
    for (const name of ['', 'old.pem', 'id.txt']) chownSync(directory.file(name), nobody, nobody)
  }
  const result = run(directory, runTable, isRoot ? nobody : undefined)
  expect(result.stderr).toMatch(/notes\.db cannot be written/)
  expect(result.stderr).toMatch(/hint: the file and its directory must be writable for you/)
  expect(result.status).toBe(2)
  expect(readFileSync(path)).toEqual(before)
})

test('a directory that cannot be written is refused too', async () => {
  using directory = new Directory()
  writeSettings(directory)
  const path = directory.file('notes.db')
  await makeNotes(path, 4)
  const isRoot = process.getuid?.() === 0
  if (isRoot)
    for (const name of ['notes.db', 'old.pem', 'id.txt']) chownSync(directory.file(name), nobody, nobody)
  chmodSync(directory.path, 0o555)
  const result = run(directory, runTable, isRoot ? nobody : undefined)
  chmodSync(directory.path, 0o755)
  expect(result.stderr).toMatch(/cannot write .*\.longhold: permission denied|notes\.db cannot be/)
  expect(result.status).toBe(2)
})

test('a file that is no database, or a damaged one', async () => {
  using directory = new Directory()
  writeSettings(directory)
  const path = directory.file('notes.db')
  writeFileSync(path, `SQLite format 3\0${'x'.repeat(5000)}`)
  const strange = run(directory, runTable)
  expect(strange.stderr).toMatch(/notes\.db is not an SQLite database, or it is encrypted/)
  expect(strange.status).toBe(2)
})

test('Ctrl-C in a terminal: the process ends with 4, and the same command goes on', async () => {
  using directory = new Directory()
  writeSettings(directory)
  const path = directory.file('notes.db')
  await makeNotes(path, 600)
  const { spawn } = await import('node:child_process')
  const child = spawn(process.execPath, [main, ...runTable], {
    cwd: directory.path,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<number | null>((done) => child.once('close', done))
  // Interrupted once the first rows are committed.
  const database = new Database(path)
  const isBegun = database.prepare("SELECT 1 FROM notes WHERE body LIKE 'TEhS%' LIMIT 1")
  while (isBegun.get() === undefined && child.exitCode === null)
    await new Promise((turn) => setImmediate(turn))
  child.kill('SIGINT')
  const code = await ended
  const left =
    database.prepare<[], number>("SELECT count(*) FROM notes WHERE body NOT LIKE 'TEhS%'").pluck().get() ?? 0
  expect({ code, isHalfway: left > 0 }).toEqual({ code: 4, isHalfway: true })
  expect(run(directory, runTable).status).toBe(0)
  expect(database.prepare("SELECT count(*) FROM notes WHERE body NOT LIKE 'TEhS%'").pluck().get()).toBe(0)
  database.close()
})
