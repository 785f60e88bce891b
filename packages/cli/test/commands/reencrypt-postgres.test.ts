import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import type { TestPostgres } from '../../../../test/postgres.ts'
import { Workspace } from '../support/cli.ts'
import { oldPem } from '../support/legacy-values.ts'
import { jweOf } from '../support/migration.ts'

const server = await startPostgres()

describe.skipIf('missing' in server)('reencrypt over a table of PostgreSQL', () => {
  const { url } = server as TestPostgres // not entered otherwise
  const client = new Client({ connectionString: url })
  beforeAll(() => client.connect())
  afterAll(async () => {
    await client.end()
    await (server as TestPostgres)[Symbol.asyncDispose]()
  })

  test('plan, run, verify and status, as on any other target', async () => {
    using space = new Workspace()
    await client.query('CREATE SCHEMA app; CREATE TABLE app.notes (id bigint PRIMARY KEY, body text)')
    for (let id = 1; id <= 10; id++) {
      await client.query('INSERT INTO app.notes VALUES ($1, $2)', [id, id === 7 ? 'hello' : await jweOf(id)])
    }
    space.write('old.pem', oldPem)
    await space.cli(['keygen', '--output', 'identity.txt'])
    space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
    const target = [url, '--table', 'app.notes', '--column', 'body']
    const keys = [
      '--private-key',
      'old.pem',
      '--identity',
      'identity.txt',
      '--recipients-file',
      'recipients.txt',
    ]

    const plan = await space.cli(['reencrypt', 'plan', ...target, '--private-key', 'old.pem'])
    expect(plan.stdout).toMatch(/target +postgres:\/\/localhost\/postgres, table notes, column body/)
    expect(plan.stdout).toMatch(/to re-encrypt +9/)
    expect(plan.stdout).toMatch(/dead rows and free space of the table until VACUUM FULL/)
    expect(plan.code).toBe(1) // one value is of no format

    const run = await space.cli(['reencrypt', 'run', ...target, ...keys, '--execute'])
    expect(run.stdout).toMatch(/migrated +9\n/)
    expect(run.stdout).toMatch(/dead letters in +notes\.dead\.ndjson/)
    expect(run.code).toBe(1)
    expect(space.read('notes.dead.ndjson')).toMatch(/"locator":"7".*"code":"unrecognized"/)

    await client.query('DELETE FROM app.notes WHERE id = 7')
    const verify = await space.cli(['reencrypt', 'verify', ...target, '--identity', 'identity.txt'])
    expect(verify.stdout).toMatch(/opened +9 under 1 data key/)
    expect(verify.code).toBe(0)

    const status = await space.cli(['reencrypt', 'status', ...target, '--json'])
    expect(JSON.parse(status.stdout)).toMatchObject({ status: 'finished', migrated: 9, at_work: false })
  })

  test('without a table, and where nobody answers', async () => {
    using space = new Workspace()
    const column = ['--column', 'body', '--private-key', 'old.pem']
    space.write('old.pem', oldPem)
    const noTable = await space.cli(['reencrypt', 'plan', url, ...column])
    expect(noTable).toMatchObject({ code: 2, stderr: expect.stringMatching(/give --table NAME/) as string })
    const nobody = ['reencrypt', 'plan', 'postgres://127.0.0.1:1/x', '--table', 't', ...column]
    const unreachable = await space.cli(nobody)
    expect(unreachable.stderr).toMatch(/PostgreSQL: it does not answer \(ECONNREFUSED\)/)
    expect(unreachable.code).toBe(4)
    const withPassword = ['reencrypt', 'plan', 'postgres://a:hunter2@127.0.0.1/x', '--table', 't', ...column]
    const refused = await space.cli(withPassword)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/PGPASSWORD/)
    expect(refused.stderr).not.toMatch(/hunter2/)
  })
})
