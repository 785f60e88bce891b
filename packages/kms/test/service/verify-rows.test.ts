import { join } from 'node:path'

import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'

import { insert } from '../../src/service/changes.ts'
import { growingTables } from '../../src/service/grown-rows.ts'
import type { KeyStore, Snapshot } from '../../src/service/key-store.ts'
import { spansOf } from '../../src/service/row-sums.ts'
import type { TableName } from '../../src/service/rows.ts'
import { verifyRows } from '../../src/service/verify-rows.ts'
import type { VerifyOptions } from '../../src/service/verify-rows.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { beginLedger, openLedger } from '../support/ledger.ts'
import { versionRow } from '../support/rows.ts'

/** Enough for a thread beside this one, and for several spans of each table. */
const count = 6000
const all = 2 * count + 3
const violation = { code: 'integrity_violation' }

test('many rows are verified by this thread and one beside it, or by that one alone', async () => {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  onTestFinished(() => store.close())
  const { macs, verify } = await fill(store)
  const outside = new Database(path)
  onTestFinished(() => void outside.close())
  const helped = countingThreads(store)

  const ways: VerifyOptions[] = [{ isAlone: true }, {}]
  for (const way of ways) {
    expect(await verifyRows(helped.store, macs, way)).toMatchObject({
      head: { rowCount: all },
      grown: { rows: count },
      isWhole: true,
    })
  }
  expect(helped.threads()).toBe(2)

  const gone = 'from versions where version = 3000'
  const attacks = [
    [
      "update versions set state = 'disabled' where version = 6000",
      "update versions set state = 'unwrap_only' where version = 6000",
    ],
    [
      'update issued_data_keys set issued_at = 7 where rowid = 1',
      'update issued_data_keys set issued_at = 0 where rowid = 1',
    ],
    [
      `create table gone as select * ${gone}; delete ${gone}`,
      'insert into versions select * from gone; drop table gone',
    ],
  ] as const
  for (const [attack, undo] of attacks) {
    outside.exec(attack)
    for (const way of ways) await expect(verifyRows(store, macs, way)).rejects.toMatchObject(violation)
    outside.exec(undo)
  }
  await verify()
})

test('a verification ends when the service does, in whichever thread it is', async () => {
  const store = SqliteStore.open({ path: join(temporaryDirectory(), 'kms.db') })
  onTestFinished(() => store.close())
  const { macs } = await fill(store)
  const { beside: _, ...alone } = await store.snapshot()
  const stopped = new AbortController()
  const unavailable = { code: 'storage_unavailable' }
  const there = expect(verifyRows(store, macs, stopped)).rejects.toMatchObject(unavailable)
  const here = expect(verifyRows({ snapshot: async () => alone }, macs, stopped)).rejects.toMatchObject(
    unavailable,
  )
  stopped.abort()
  await Promise.all([there, here])
})

test('the tables that only grow are left out where what they hold is known', async () => {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  onTestFinished(() => store.close())
  const { macs, verify } = await fill(store)
  const outside = new Database(path)
  onTestFinished(() => void outside.close())
  const { grown, head } = await verifyRows(store, macs)
  const grownAt = (epoch: number) => (epoch === head.epoch ? grown : undefined)

  expect(await verifyRows(store, macs, { grownAt })).toMatchObject({ grown, isWhole: false })
  outside.prepare('delete from issued_data_keys where rowid = 7').run()
  expect(await verifyRows(store, macs, { grownAt })).toMatchObject({ isWhole: false })
  outside.prepare('delete from versions where version = 7').run()
  await expect(verifyRows(store, macs, { grownAt })).rejects.toMatchObject(violation)
  await expect(verify()).rejects.toMatchObject(violation)
})

test('spans of a table are all its rows, each once, whatever their number', async () => {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  onTestFinished(() => store.close())
  await fill(store)
  const snapshot = await store.snapshot()
  onTestFinished(() => snapshot.close())
  const spans = []
  for await (const span of spansOf(snapshot, ['cluster', 'versions', 'aliases'])) spans.push(span)
  expect(spans).toEqual([
    { table: 'cluster', after: undefined, count: undefined },
    { table: 'versions', after: undefined, count: 5000 },
    { table: 'versions', after: { key: 'a', version: 5000 }, count: undefined },
    { table: 'aliases', after: undefined, count: undefined },
  ])
})

test('no table that grows allows anything by what is missing from it', () => {
  expect(growingTables).toEqual<TableName[]>(['issued_data_keys'])
})

async function fill(store: KeyStore) {
  await beginLedger(store)
  const under = await openLedger(store)
  const versions = Array.from({ length: count }, (_, index) =>
    insert('versions', versionRow('a', index + 1, { state: index === 0 ? 'primary' : 'unwrap_only' })),
  )
  const issued = Array.from({ length: count }, (_, index) => {
    const keyId = index.toString(16).padStart(32, '0')
    return insert('issued_data_keys', { key: 'a', keyId, version: 1, issuedAt: index })
  })
  expect(await under.commit(...versions, ...issued)).toBe('done')
  return under
}

/** How often a reader beside was asked for. */
function countingThreads(store: KeyStore) {
  let threads = 0
  const snapshot = async (): Promise<Snapshot> => {
    const { beside, ...taken } = await store.snapshot()
    if (beside === undefined) return taken
    return {
      ...taken,
      beside: async (macs) => {
        threads += 1
        return await beside(macs)
      },
    }
  }
  return { store: { snapshot }, threads: () => threads }
}
