import { chmodSync, mkdirSync, renameSync } from 'node:fs'

import Database from 'better-sqlite3'
import { expect, test } from 'vitest'

import { javaYaml, oldPem } from '../support/legacy-values.ts'
import { makeNotes } from '../support/migration.ts'
import { ServiceWorkspace } from '../support/service.ts'

const run = ['reencrypt', 'run', 'notes.db', '--execute', '--workers', '1', '--check-every', '5']

test('with the key service: run, rotate, rewrap, verify; and while it is down nothing changes', async () => {
  await using space = await ServiceWorkspace.create()
  await makeNotes(space.file('notes.db'), 30)
  space.write('old.pem', oldPem)
  chmodSync(space.file('old.pem'), 0o600)
  const section = `reencrypt:\n  table: notes\n  column: body\n  private-keys: [old.pem]${javaYaml}`
  space.write('longhold.yaml', `${space.read('longhold.yaml')}\n${section}`)

  const first = await space.ask([...run, '--json'])
  expect(first.stderr).toBe('')
  expect(JSON.parse(first.stdout)).toMatchObject({ status: 'finished', migrated: 30, dead: 0 })

  const before = new Database(space.file('notes.db'))
  const bodies = before.prepare('SELECT body FROM notes ORDER BY id').pluck().all()
  expect((await space.ask(['kms', 'rotate', 'default'])).code).toBe(0)
  expect((await space.ask(['rewrap', '--sqlite', 'notes.db', '--recipient', 'kms:default'])).code).toBe(0)
  expect(before.prepare('SELECT body FROM notes ORDER BY id').pluck().all()).toEqual(bodies)
  const verified = await space.ask(['reencrypt', 'verify', 'notes.db', '--json'])
  expect(JSON.parse(verified.stdout)).toMatchObject({ values: 30, opened: 30, failed: 0, not_reencrypted: 0 })

  await space.stop()
  mkdirSync(space.file('second'))
  await makeNotes(space.file('other.db'), 4)
  renameSync(space.file('other.db'), space.file('second/notes.db'))
  const down = await space.ask(['reencrypt', 'run', 'second/notes.db', '--execute', '--workers', '1'])
  expect(down.code).toBe(4)
  expect(down.stderr).toContain(space.url)
  const after = new Database(space.file('second/notes.db'))
  expect(after.prepare("SELECT count(*) FROM notes WHERE body LIKE 'TEhS%'").pluck().get()).toBe(0)
  after.close()
  before.close()
})
