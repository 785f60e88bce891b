import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import type { TestPostgres } from '../../../../test/postgres.ts'
import { Workspace } from '../support/cli.ts'
import { prepareKeys, recordOpener, start, until } from '../support/fleet.ts'
import { jweOf, plaintextOf } from '../support/migration.ts'

const server = await startPostgres()

describe.skipIf('missing' in server)('a fleet over a table of PostgreSQL', () => {
  const { url } = server as TestPostgres // not entered otherwise
  const client = new Client({ connectionString: url })
  beforeAll(() => client.connect())
  afterAll(async () => {
    await client.end()
    await (server as TestPostgres)[Symbol.asyncDispose]()
  })

  /** Every row holds the same old value; `seen` has a row for each record that was ever written. */
  async function makeTable(name: string, rows: number): Promise<void> {
    await client.query(`
      CREATE TABLE ${name} (id bigint PRIMARY KEY, body text);
      CREATE TABLE ${name}_seen (id bigint);
      CREATE FUNCTION ${name}_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.body LIKE 'TEhS%' THEN INSERT INTO ${name}_seen VALUES (new.id); END IF; RETURN NULL; END $$;
      CREATE TRIGGER note AFTER UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION ${name}_note()`)
    await client.query(`INSERT INTO ${name} SELECT id, $1 FROM generate_series(1, ${rows}) AS id`, [
      await jweOf(1),
    ])
  }

  const fleetOf = (name: string, keys: readonly string[], command: string): string[] => {
    const place = `--queue ${url} --table ${name} --column body --format jwe`
    const pace = '--takeover-seconds 10 --workers 1 --batch-rows 64'
    return ['reencrypt', command, url, ...`${place} ${pace}`.split(' '), ...keys]
  }

  test('three processes, one killed, while the application writes', { timeout: 180_000 }, async () => {
    using space = new Workspace()
    const keys = await prepareKeys(space)
    const rows = 20_000
    const written = 400
    await makeTable('notes', rows)
    const run = start(space, [...fleetOf('notes', keys, 'run'), '--range-rows', '1000', '--execute'])
    await until(client, "to_regclass('longhold_fleet_ranges') IS NOT NULL", [run])
    await until(client, 'EXISTS (SELECT 1 FROM longhold_fleet_ranges)', [run])
    const workers = [1, 2].map(() => start(space, fleetOf('notes', keys, 'worker')))
    await until(client, '(SELECT count(*) = 3 FROM longhold_fleet_members)', [run, ...workers])
    await until(client, '(SELECT count(*) > 3000 FROM notes_seen)', [run, ...workers])

    const killed = workers[0]?.child
    const itsRanges = `SELECT count(*) FROM longhold_fleet_ranges JOIN longhold_fleet_members ON holder = member_id
      WHERE name LIKE '%/${killed?.pid}' AND NOT done`

    // The application: every row of some, twice, with values of its own.
    const jwe = await jweOf(2)
    const writer = new Client({ connectionString: url })
    await writer.connect()
    for (let id = 1; id <= written; id++) {
      const at = 1 + ((id * 49) % rows)
      await writer.query('UPDATE notes SET body = $2 WHERE id = $1', [at, jwe])
      if (id !== 100) continue
      await until(writer, `(${itsRanges}) > 0`, [run, ...workers])
      killed?.kill('SIGKILL')
    }
    await writer.end()

    expect(await workers[0]?.ended).toMatchObject({ code: null })
    const status = await space.cli([
      'reencrypt',
      'status',
      url,
      '--table',
      'notes',
      '--column',
      'body',
      '--json',
    ])
    expect(JSON.parse(status.stdout)).toMatchObject({ status: 'running', at_work: true })
    const ended = await run.ended
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(await workers[1]?.ended).toMatchObject({ code: 0 })
    expect(ended.stdout).toMatch(/found +20,000\n +migrated +20,000\n/)

    const { rows: found } = await client.query<{ id: string; body: string; times: string }>(
      'SELECT id, body, (SELECT count(*) FROM notes_seen s WHERE s.id = n.id) AS times FROM notes n ORDER BY n.id',
    )
    const open = recordOpener(space, client, 'notes')
    const touched = new Set(Array.from({ length: written }, (_, at) => String(1 + (((at + 1) * 49) % rows))))
    let lost = 0
    let notOnce = 0
    for (const { id, body, times } of found) {
      const isTouched = touched.has(id)
      if ((await open(id, body)) !== plaintextOf(isTouched ? 2 : 1)) lost++
      if (!isTouched && times !== '1') notOnce++
    }
    expect({ rows: found.length, lost, notOnce }).toEqual({ rows, lost: 0, notOnce: 0 })
    // What the counts say is what the trigger saw.
    const { rows: counted } = await client.query(
      `SELECT migrated_all_passes = (SELECT count(*) FROM notes_seen) AS same,
              migrated_all_passes = (SELECT sum(messages) FROM longhold_data_keys WHERE name = 'notes') AS under_keys,
              status, jsonb_array_length(data_keys::jsonb) AS keys FROM longhold_run WHERE table_name = 'notes'`,
    )
    expect(counted).toEqual([{ same: true, under_keys: true, status: 'finished', keys: 3 }])
  })
})
