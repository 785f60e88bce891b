import { writeFileSync } from 'node:fs'

import Database from 'better-sqlite3'
import { expect, test } from 'vitest'

import { fileTarget, killRuns, tableTarget } from '../support/kill.ts'
import { javaYaml, oldPem } from '../support/legacy-values.ts'
import { Directory, identity, jweOf, makeNotes, plaintextOf } from '../support/migration.ts'

const rows = 1000

function writeSettings(directory: Directory): void {
  writeFileSync(directory.file('old.pem'), oldPem, { mode: 0o600 })
  writeFileSync(directory.file('id.txt'), identity.exportText(), { mode: 0o600 })
  writeFileSync(
    directory.file('longhold.yaml'),
    `recipient: ${identity.recipient.toString()}\nidentity: id.txt\nreencrypt:\n  column: body\n  private-keys: [old.pem]\n  batch-rows: 16\n  workers: 2${javaYaml}`,
  )
}

test.each(['wal', 'delete'])(
  'a table (journal_mode %s) survives kill -9 at any instant',
  async (mode) => {
    using directory = new Directory()
    writeSettings(directory)
    const pristine = directory.file('pristine.db')
    await makeNotes(pristine, rows)
    const database = new Database(pristine)
    database.pragma(`journal_mode = ${mode}`)
    database.close()
    const path = directory.file('notes.db')
    const argv = ['reencrypt', 'run', 'notes.db', '--table', 'notes', '--execute']
    const target = tableTarget({ pristine, path }, argv, identity, plaintextOf)
    const report = await killRuns(directory.path, target, 8)
    expect(report.kills).toBeGreaterThanOrEqual(8)
    expect(report.inTheMiddle).toBeGreaterThanOrEqual(2)
  },
  120_000,
)

test('a file survives kill -9 at any instant', async () => {
  using directory = new Directory()
  writeSettings(directory)
  const lines: string[] = []
  for (let id = 1; id <= rows / 2; id++) lines.push(JSON.stringify({ id, body: await jweOf(id) }))
  const path = directory.file('rows.ndjson')
  writeFileSync(path, lines.join('\n'))
  const argv = ['reencrypt', 'run', 'rows.ndjson', '--id', 'id', '--format', 'jwe', '--execute']
  const report = await killRuns(directory.path, fileTarget(path, argv, identity, plaintextOf), 6)
  expect(report.kills).toBeGreaterThanOrEqual(6)
  expect(report.inTheMiddle).toBeGreaterThanOrEqual(2)
}, 120_000)
