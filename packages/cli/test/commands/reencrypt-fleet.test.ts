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
    const pace = '--workers 1 --batch-rows 64'
    return ['reencrypt', command, url, ...`${place} ${pace}`.split(' '), ...keys]
  }

  test('three processes, one killed, while the application writes', { timeout: 180_000 }, async () => {
    using space = new Workspace()
    const keys = await prepareKeys(space)
    const rows = 20_000
    const written = 400
    await makeTable('notes', rows)
    const run = start(space, [
      ...fleetOf('notes', keys, 'run'),
      '--range-rows',
      '1000',
      '--takeover-seconds',
      '10',
      '--execute',
    ])
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
    expect(JSON.parse(status.stdout)).toMatchObject({ status: 'running', at_work: true, ranges: 21 })
    const ended = await run.ended
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(await workers[1]?.ended).toMatchObject({ code: 0 })
    expect(ended.stdout).toMatch(/found +20,000\n +migrated +20,000\n/)

    const { rows: found } = await client.query<{ id: string; body: string; times: string }>(
      `SELECT id, body, times FROM notes
        JOIN (SELECT id, count(*) AS times FROM notes_seen GROUP BY id) AS seen USING (id)`,
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

  test(
    'one plans, workers come and go, all of them wait; then everything is put back',
    { timeout: 60_000 },
    async () => {
      using space = new Workspace()
      const keys = await prepareKeys(space)
      await makeTable('slow', 300)
      await client.query("UPDATE slow SET body = 'hello' WHERE id = 7")
      const target = [url, '--table', 'slow', '--column', 'body']
      const plan = [...fleetOf('slow', keys, 'run'), '--range-rows', '50', '--execute']
      const early = await space.cli(fleetOf('slow', keys, 'worker'))
      expect(early).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/no fleet is at work on/) as string,
      })

      const run = space.cli([...plan, '--only-coordinate', '--skip-trial'])
      await until(client, "EXISTS (SELECT 1 FROM longhold_run WHERE table_name = 'slow')")
      const second = await space.cli(plan)
      expect(second).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/another run, or the coordi/) as string,
      })
      const alone = await space.cli(['reencrypt', 'run', ...target, '--format', 'jwe', ...keys, '--execute'])
      expect(alone).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/another run is at work/) as string,
      })
      const other = await space.cli([...fleetOf('slow', keys, 'worker'), '--accept-unauthenticated'])
      expect(other).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(
          /configured otherwise than its fleet: accept-unauthenticated/,
        ) as string,
      })

      expect((await space.cli(['reencrypt', 'pause', ...target])).code).toBe(0)
      const leaving = new AbortController()
      const waiting = space.cli(fleetOf('slow', keys, 'worker'), { signal: leaving.signal })
      await until(
        client,
        "EXISTS (SELECT 1 FROM longhold_fleet_members JOIN longhold_run USING (run_id) WHERE table_name = 'slow')",
      )
      leaving.abort()
      const waited = await waiting
      expect(waited).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/its ranges go to the other/) as string,
      })
      expect(waited.stdout).toMatch(/this worker +0 values/)
      const status = await space.cli(['reencrypt', 'status', ...target])
      expect(status.stdout).toMatch(/workers +none\nranges +0 of 7, paused\n/)
      expect((await space.cli(['reencrypt', 'resume', ...target])).code).toBe(0)

      // One that is stopped in the middle of its range leaves it for the next one.
      const stopping = new AbortController()
      const slowly = [...fleetOf('slow', keys, 'worker'), '--batch-rows', '5', '--max-rows-per-second', '20']
      const stopped = space.cli(slowly, { signal: stopping.signal })
      await until(client, '(SELECT count(*) >= 5 FROM slow_seen)')
      stopping.abort()
      expect((await stopped).code).toBe(4)
      const { rows: left } = await client.query(
        'SELECT 1 FROM longhold_fleet_ranges WHERE holder IS NOT NULL AND NOT done',
      )
      expect(left).toEqual([])
      expect((await space.cli(fleetOf('slow', keys, 'worker'))).code).toBe(0)

      const ended = await run
      expect(ended.stdout).toMatch(/run +finished\nfound +300\n +migrated +299\n/)
      expect(ended.code).toBe(1)
      expect(space.read('slow.dead.ndjson')).toMatch(/^\{[^\n]*"locator":"7"[^\n]*"code":"unrecognized"\}\n$/)
      const { rows: once } = await client.query('SELECT count(*), count(DISTINCT id) AS ids FROM slow_seen')
      expect(once).toEqual([{ count: '299', ids: '299' }])
      const verify = await space.cli(['reencrypt', 'verify', ...target, '--identity', 'identity.txt'])
      expect(verify.stdout).toMatch(/opened +299 under 2 data keys/)
      const back = await space.cli(['reencrypt', 'rollback', ...target, '--execute'])
      expect(back.code).toBe(0)
      const { rows: old } = await client.query('SELECT count(*) FROM slow WHERE body = $1', [await jweOf(1)])
      expect(old).toEqual([{ count: '299' }])
    },
  )

  test('without its queue it stops, and goes on later, or alone', { timeout: 60_000 }, async () => {
    using space = new Workspace()
    const keys = await prepareKeys(space)
    await makeTable('alone', 200)
    await client.query('CREATE DATABASE queue')
    const queue = new URL(url)
    queue.pathname = '/queue'
    const flags = [
      '--table',
      'alone',
      '--column',
      'body',
      '--format',
      'jwe',
      '--workers',
      '1',
      ...keys,
      '--execute',
    ]
    const nobody = ['reencrypt', 'run', url, '--queue', 'postgres://127.0.0.1:1/x', ...flags]
    expect(await space.cli(nobody)).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(
        /the queue at postgres:\/\/127\.0\.0\.1:1\/x: PostgreSQL: it does not answer/,
      ) as string,
    })

    const run = ['reencrypt', 'run', url, '--queue', queue.href, '--range-rows', '20', ...flags]
    const slow = space.cli([...run, '--batch-rows', '5', '--max-rows-per-second', '20'])
    await until(client, '(SELECT count(*) >= 5 FROM alone_seen)')
    await client.query('ALTER DATABASE queue ALLOW_CONNECTIONS false')
    await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'queue'")
    const broken = await slow
    expect(broken).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/the queue at postgres:/) as string,
    })
    const { rows: state } = await client.query(
      "SELECT status, position FROM longhold_run WHERE table_name = 'alone'",
    )
    expect(state).toEqual([{ status: 'running', position: 'in ranges' }])

    const stopping = new AbortController()
    await client.query('ALTER DATABASE queue ALLOW_CONNECTIONS true')
    const more = space.cli([...run, '--batch-rows', '5', '--max-rows-per-second', '50'], {
      signal: stopping.signal,
    })
    await until(client, '(SELECT count(*) >= 60 FROM alone_seen)')
    stopping.abort()
    expect(await more).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/going on with run/) as string,
    })

    const single = await space.cli(['reencrypt', 'run', url, ...flags, '--json'])
    expect(single).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/which was a fleet's: pass 1 begins/) as string,
    })
    expect(JSON.parse(single.stdout)).toMatchObject({ found: 200, migrated: 200, replaced_all_passes: 200 })
    const { rows: once } = await client.query('SELECT count(*), count(DISTINCT id) AS ids FROM alone_seen')
    expect(once).toEqual([{ count: '200', ids: '200' }])
  })

  test('what a fleet is not for', async () => {
    using space = new Workspace()
    const keys = await prepareKeys(space)
    space.write('rows.ndjson', '{"id":1,"body":"x"}\n')
    const file = ['reencrypt', 'run', 'rows.ndjson', '--id', 'id', '--column', 'body', ...keys, '--execute']
    const ofFile = await space.cli([...file, '--queue', url])
    expect(ofFile).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/a fleet works on a table/) as string,
    })
    const without = await space.cli([...file, '--only-coordinate'])
    expect(without).toMatchObject({ code: 2, stderr: expect.stringMatching(/are for fleets/) as string })
    const table = ['reencrypt', 'run', url, '--table', 't', '--column', 'body', ...keys, '--execute']
    await client.query('CREATE TABLE t (id bigint PRIMARY KEY, body text)')
    const withPassword = await space.cli([...table, '--queue', 'postgres://a:hunter2@localhost/x'])
    expect(withPassword).toMatchObject({ code: 2, stderr: expect.stringMatching(/PGPASSWORD/) as string })
    expect(withPassword.stderr).not.toMatch(/hunter2/)
  })
})
