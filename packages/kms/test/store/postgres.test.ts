import { expect, onTestFinished, test } from 'vitest'

import { auditHeads } from '../../src/service/audit-heads.ts'
import { insert, update } from '../../src/service/changes.ts'
import { tableNames } from '../../src/service/rows.ts'
import { PostgresStore } from '../../src/store/postgres/store.ts'
import { keyStoreContract } from '../contracts/key-store.ts'
import { beginLedger, openLedger } from '../support/ledger.ts'
import { describePostgres } from '../support/postgres.ts'
import { contentsOf, keyRow, newKey, TestWriter, tokenRow } from '../support/rows.ts'

async function openStore(url: string): Promise<PostgresStore> {
  const store = await PostgresStore.open({ url, maxConnections: 4 })
  onTestFinished(() => store.close())
  return store
}

await describePostgres('PostgreSQL', (makeDatabase) => {
  keyStoreContract('PostgreSQL', async () => {
    const { url } = await makeDatabase()
    const store = await PostgresStore.open({ url, maxConnections: 4 })
    return { store, close: () => store.close() }
  })

  test('several nodes that open it at once make the tables once', async () => {
    const { url } = await makeDatabase()
    const stores = await Promise.all(Array.from({ length: 5 }, () => openStore(url)))
    const [first, second] = stores
    if (first === undefined || second === undefined) throw new Error('no store')
    expect(await new TestWriter(first).write(newKey('a'))).toBe('done')
    expect(await contentsOf(second)).toEqual(await contentsOf(first))
  })

  test('of a newer release is refused', async () => {
    const { url, pool } = await makeDatabase()
    await openStore(url)
    await pool.query(
      `insert into longhold_kms_migrations values (99, '20990101000000_from_the_future', '7.2.0')`,
    )
    await expect(PostgresStore.open({ url })).rejects.toMatchObject({
      code: 'newer_database',
      message: expect.stringContaining(
        'has schema 99 (20990101000000_from_the_future), made by release 7.2.0',
      ) as string,
    })
  })

  test.each([
    ['no address', 'kms.db'],
    ['an address with a password', 'postgres://longhold:CANARY@localhost/kms'],
  ])('%s is refused, and not repeated', async (_, url) => {
    const failure: unknown = await PostgresStore.open({ url }).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'bad_config' })
    expect(String(failure)).not.toContain('CANARY')
  })

  test('a server that is not there is storage_unavailable', async () => {
    await expect(PostgresStore.open({ url: 'postgres://127.0.0.1:1/kms' })).rejects.toMatchObject({
      code: 'storage_unavailable',
      message: expect.stringContaining('ECONNREFUSED') as string,
    })
  })

  test('a trigger that fails with a text of its own: the text stays inside', async () => {
    const { url, pool } = await makeDatabase()
    const store = await openStore(url)
    await pool.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'CANARY %', new.key; end $$`,
    )
    await pool.query(
      'create trigger refuse before insert on longhold_kms.keys for each row execute function refuse()',
    )
    const failure: unknown = await new TestWriter(store)
      .write(newKey('canary-key'))
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'storage_unavailable' })
    const everything = `${String(failure)} ${JSON.stringify(failure)} ${(failure as Error).stack ?? ''}`
    expect(everything).not.toMatch(/CANARY|canary-key|insert into/iu)
    expect((failure as Error).cause).toBeUndefined()
  })

  test('a trigger that swallows entries of the log: nothing is done', async () => {
    const { url, pool } = await makeDatabase()
    const store = await openStore(url)
    await pool.query(
      'create function swallow() returns trigger language plpgsql as $$ begin return null; end $$',
    )
    await pool.query(
      'create trigger swallow before insert on longhold_kms.audit_entries for each row execute function swallow()',
    )
    expect(await new TestWriter(store).write(newKey('a'))).toBe('chain_moved')
    expect(await store.row('keys', { key: 'a' })).toBeUndefined()
  })

  test('a connection that the server ends is made anew', async () => {
    const { url, pool } = await makeDatabase()
    const store = await openStore(url)
    await new TestWriter(store).write(newKey('a'))
    await pool.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
      'longhold-kms',
    ])
    // One of them may have been handed out before its end was known.
    await store.row('keys', { key: 'a' }).catch(() => undefined)
    expect(await store.row('keys', { key: 'a' })).toBeDefined()
  })

  test('a connection that the server ends in the middle of a transaction is an error of who asks next', async () => {
    const { url, pool } = await makeDatabase()
    const store = await openStore(url)
    await new TestWriter(store).write(newKey('a'))
    const snapshot = await store.snapshot()
    await pool.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
      'longhold-kms',
    ])
    await expect(snapshot.head()).rejects.toMatchObject({ code: 'storage_unavailable' })
    await snapshot.close()
    // One that was idle may be handed out before its end is known.
    await store.head().catch(() => undefined)
    expect(await store.head()).toBeDefined()
  })

  test('two nodes write to one cluster, and both see that all rows fit', async () => {
    const { url } = await makeDatabase()
    const stores = [await openStore(url), await openStore(url)] as const
    await beginLedger(stores[0])
    const a = await openLedger(stores[0], { ordinal: 2 })
    const b = await openLedger(stores[1], { ordinal: 3 })
    for (let round = 0; round < 10; round++) {
      expect(await a.commit(insert('tokens', tokenRow(`a${round}`)))).toBe('done')
      expect(await b.commit(insert('tokens', tokenRow(`b${round}`)))).toBe('done')
    }
    const made = await a.ledger.row('tokens', { token: 'b1' })
    if (made === undefined) throw new Error('no row')
    // Revoked on one node, it is revoked on the other.
    expect(await a.commit(update('tokens', made, { revokedAt: 7 }))).toBe('done')
    expect(await b.ledger.row('tokens', made)).toMatchObject({ revokedAt: 7 })
    expect(await b.commit(update('tokens', made, { revokedAt: 8 }))).toBe('conflict')
    await a.verify()
    await b.verify()
    expect((await auditHeads(stores[0])).map(({ ordinal }) => ordinal)).toEqual([1, 2, 3])
  })

  test('rows edited, taken away and put back by SQL are found', async () => {
    const { url, pool } = await makeDatabase()
    const store = await openStore(url)
    await beginLedger(store)
    const under = await openLedger(store)
    await under.commit(
      insert('keys', keyRow('a')),
      insert('tokens', tokenRow('x')),
      insert('tokens', tokenRow('y')),
    )
    const attacks = [
      `update longhold_kms.keys set rewrap_to = '["b"]'`,
      `delete from longhold_kms.tokens where token = 'x'`,
      `update longhold_kms.tokens set name = 'y' where token = 'x'`,
      `update longhold_kms.cluster_head set epoch = epoch - 1`,
    ]
    for (const [index, attack] of attacks.entries()) {
      await pool.query('begin')
      const backup = tableNames.map(
        (table) => `create table if not exists copy_${table} as table longhold_kms.${table}`,
      )
      await pool.query(
        `${backup.join(';')}; create table if not exists copy_head as table longhold_kms.cluster_head`,
      )
      await pool.query('commit')
      await pool.query(attack)
      const again = await openLedger(store, { ordinal: 10 + index })
      expect(again.fault, attack).toMatchObject({ code: 'integrity_violation' })
      await pool.query(
        `truncate longhold_kms.keys, longhold_kms.tokens, longhold_kms.cluster_head;
         insert into longhold_kms.keys table copy_keys; insert into longhold_kms.tokens table copy_tokens;
         insert into longhold_kms.cluster_head table copy_head`,
      )
    }
    await under.verify()
  })
})
