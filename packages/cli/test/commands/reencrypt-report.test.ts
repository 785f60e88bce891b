import { verify as cryptoVerify, createPublicKey } from 'node:crypto'

import Database from 'better-sqlite3'
import { expect, test } from 'vitest'

import type { Report } from '../../src/reencrypt/report.ts'
import { Workspace } from '../support/cli.ts'
import { oldPem } from '../support/legacy-values.ts'
import { jweOf } from '../support/migration.ts'

const target = ['app.db', '--table', 'notes', '--column', 'body']

async function migrated(space: Workspace): Promise<void> {
  const database = new Database(space.file('app.db'))
  database.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)')
  for (let id = 1; id <= 4; id++) {
    database.prepare('INSERT INTO notes VALUES (?, ?)').run(id, id === 4 ? '<b>hello</b>' : await jweOf(id))
  }
  database.close()
  space.write('old.pem', oldPem)
  await space.cli(['keygen', '--output', 'identity.txt'])
  space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
  const keys = ['--private-key', 'old.pem', '--identity', 'identity.txt', '-R', 'recipients.txt', '--execute']
  await space.cli(['reencrypt', 'run', ...target, ...keys])
}

test('a report says what was done and what is there, is signed, and a changed one is found out', async () => {
  using space = new Workspace()
  await migrated(space)
  const made = await space.cli(['reencrypt', 'report-key', '--output', 'auditor.key', '--json'])
  const { fingerprint } = JSON.parse(made.stdout) as { fingerprint: string }
  const flags = [
    '--identity',
    'identity.txt',
    '--sign',
    'auditor.key',
    '--html',
    'report.html',
    '--since',
    '2015-04-01',
  ]
  const answer = await space.cli(['reencrypt', 'report', ...target, ...flags])
  expect(answer).toMatchObject({ code: 0, stderr: '' })
  expect(answer.stdout).toContain(fingerprint)

  const report = JSON.parse(space.read('notes.report.json')) as Report
  expect(report).toMatchObject({
    format: 'longhold/reencrypt-report/1',
    now: { values: 4, records: 3, remaining: 1, of_no_named_format: 1 },
    verification: { opened: 3, not_reencrypted: 1, do_not_open: [] },
    exposure: { since: '2015-04-01T00:00:00.000Z' },
  })
  expect(report.runs).toHaveLength(1)
  expect(report.runs[0]).toMatchObject({
    found: 4,
    migrated: 3,
    dead: 1,
    adds_up: true,
    keeps_originals: true,
  })
  expect(report.runs[0]?.opened_by_kind).toEqual([
    { format: 'jwe', key_id: 'old', wrapping: 'RSA-OAEP-256', body: 'A256GCM', values: 3 },
  ])
  expect(report.data_keys).toMatchObject([
    { records: 3, recipients: [{ suite: expect.stringMatching(/^MLKEM768-X25519,/) as string }] },
  ])

  // By a stranger: RFC 9964 by node:crypto alone.
  const [header = '', payload, signature = ''] = space.read('notes.report.json.jws').trim().split('.')
  expect(payload).toBe('')
  expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
    alg: 'ML-DSA-65',
    kid: fingerprint,
  })
  const input = `${header}.${Buffer.from(space.read('notes.report.json')).toString('base64url')}`
  const key = createPublicKey(space.read('auditor.key.pub'))
  expect(cryptoVerify(null, Buffer.from(input), key, Buffer.from(signature, 'base64url'))).toBe(true)

  const check = ['reencrypt', 'check-report', 'notes.report.json', '--public-key', 'auditor.key.pub']
  expect(await space.cli(check)).toMatchObject({ code: 0 })
  space.write('notes.report.json', space.read('notes.report.json').replace('"dead": 1', '"dead": 0'))
  const changed = await space.cli(check)
  expect(changed.code).toBe(1)
  expect(changed.stderr).toMatch(/is not what this key signed/)

  const page = space.read('report.html')
  expect(page).toContain(fingerprint)
  expect(page).toContain('3 records were opened for this report')
  expect(page).not.toMatch(/<script|https?:\/\//u)
})

test('a report is not overwritten, and its keys are what they must be', async () => {
  using space = new Workspace()
  await migrated(space)
  await space.cli(['reencrypt', 'report-key', '--output', 'auditor.key'])
  expect(await space.cli(['reencrypt', 'report-key', '--output', 'auditor.key'])).toMatchObject({ code: 2 })
  const report = ['reencrypt', 'report', ...target]
  expect((await space.cli([...report, '--sign', 'old.pem'])).stderr).toMatch(/no private key of ML-DSA-65/)
  expect((await space.cli([...report, '--since', 'yesterday'])).stderr).toMatch(/no date/)
  expect(await space.cli(report)).toMatchObject({ code: 0 })
  expect(await space.cli(report)).toMatchObject({ code: 2 })
  const check = ['reencrypt', 'check-report', 'notes.report.json', '--public-key']
  expect((await space.cli([...check, 'auditor.key'])).stderr).toMatch(/no public key of ML-DSA-65/)
})

test('before any run there is nothing to report', async () => {
  using space = new Workspace()
  new Database(space.file('app.db')).exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)').close()
  const answer = await space.cli(['reencrypt', 'report', ...target])
  expect(answer.code).toBe(1)
  expect(answer.stderr).toMatch(/no run has begun/)
})

test('names in the data are text on the page', async () => {
  using space = new Workspace()
  await migrated(space)
  const database = new Database(space.file('app.db'))
  database
    .prepare('UPDATE longhold_run SET kinds = ?')
    .run(JSON.stringify({ [JSON.stringify(['jwe', '<img src=x>', 'a', 'b'])]: 1 }))
  database.close()
  await space.cli(['reencrypt', 'report', ...target, '--html', 'report.html'])
  expect(space.read('report.html')).toContain('&lt;img src=x&gt;')
  expect(space.read('report.html')).not.toContain('<img')
})
