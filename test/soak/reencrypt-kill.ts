/**
 * Kills runs with SIGKILL for as long as one likes: `node test/soak/reencrypt-kill.ts [KILLS]`, 500 without a number. The
 * test suite does a few dozen; this is for a night.
 */

import { writeFileSync } from 'node:fs'

import { fileTarget, killRuns, tableTarget } from '../../packages/cli/test/support/kill.ts'
import { javaYaml, oldPem } from '../../packages/cli/test/support/legacy-values.ts'
import {
  Directory,
  identity,
  jweOf,
  makeNotes,
  plaintextOf,
} from '../../packages/cli/test/support/migration.ts'

const kills = Number(process.argv[2] ?? 500)
const rows = 4000

using directory = new Directory()
writeFileSync(directory.file('old.pem'), oldPem, { mode: 0o600 })
writeFileSync(directory.file('id.txt'), identity.exportText(), { mode: 0o600 })
writeFileSync(
  directory.file('longhold.yaml'),
  `recipient: ${identity.recipient.toString()}\nidentity: id.txt\nreencrypt:\n  column: body\n  private-keys: [old.pem]\n  batch-rows: 16${javaYaml}`,
)

const pristine = directory.file('pristine.db')
await makeNotes(pristine, rows)
const path = directory.file('notes.db')
const tableArgv = ['reencrypt', 'run', 'notes.db', '--table', 'notes', '--execute']
const table = tableTarget({ pristine, path }, tableArgv, identity, plaintextOf)
console.log('table', await killRuns(directory.path, table, kills))

const lines: string[] = []
for (let id = 1; id <= rows; id++) lines.push(JSON.stringify({ id, body: await jweOf(id) }))
const file = directory.file('rows.ndjson')
writeFileSync(file, lines.join('\n'))
const fileArgv = ['reencrypt', 'run', 'rows.ndjson', '--id', 'id', '--format', 'jwe', '--execute']
console.log('file', await killRuns(directory.path, fileTarget(file, fileArgv, identity, plaintextOf), kills))
