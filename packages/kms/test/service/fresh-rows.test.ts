import { join } from 'node:path'

import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'

import { insert, update } from '../../src/service/changes.ts'
import { FreshRows } from '../../src/service/fresh-rows.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { beginLedger, openLedger } from '../support/ledger.ts'
import { keyRow } from '../support/rows.ts'

test('a row is read once for each state of the database', async () => {
  let [stamp, reads] = [1, 0]
  const rows = new FreshRows({ stamp: () => stamp })
  const read = async () => ({ reads: ++reads })
  expect(await rows.get('a', read)).toEqual({ reads: 1 })
  expect(await rows.get('a', read)).toEqual({ reads: 1 })
  expect(await rows.get('b', read)).toEqual({ reads: 2 })
  stamp = 2
  expect(await rows.get('a', read)).toEqual({ reads: 3 })
  expect(await rows.get(undefined, read)).toEqual({ reads: 4 })
  expect(await rows.get('c', async () => undefined)).toBeUndefined()
  expect(await rows.get('c', read)).toEqual({ reads: 5 })
})

test('a row that was read while the database changed is not kept for what came then', async () => {
  let stamp = 1
  const rows = new FreshRows({ stamp: () => stamp })
  const late = rows.get('a', async () => {
    stamp = 2
    await rows.get('b', async () => ({ of: 2 }))
    return { of: 1 }
  })
  expect(await late).toEqual({ of: 1 })
  expect(await rows.get('a', async () => ({ of: 2 }))).toEqual({ of: 2 })
})

/** With a poll of what can be read in between. */
const nextTurn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('whoever looked is not asked again in this turn of the event loop, unless something is written', async () => {
  let [stamp, looks] = [1, 0]
  const rows = new FreshRows({
    stamp: () => {
      looks += 1
      return stamp
    },
  })
  const read = async () => ({ of: stamp })
  rows.look()
  expect(await rows.get('a', read)).toEqual({ of: 1 })
  expect(await rows.get('b', read)).toEqual({ of: 1 })
  rows.look()
  expect(looks).toBe(1)
  stamp = 2
  rows.written()
  expect(await rows.get('a', read)).toEqual({ of: 2 })
  rows.look()
  stamp = 3
  await nextTurn()
  expect(await rows.get('a', read)).toEqual({ of: 3 })
  rows.look()
  stamp = 4
  await nextTurn()
  rows.look()
  expect(await rows.get('a', read)).toEqual({ of: 4 })
})

test('a store that cannot say whether it changed is asked each time', async () => {
  let reads = 0
  const rows = new FreshRows({ stamp: () => undefined })
  const read = async () => ({ reads: ++reads })
  expect(await rows.get('a', read)).toEqual({ reads: 1 })
  expect(await rows.get('a', read)).toEqual({ reads: 2 })
})

test('on SQLite, what was committed, and what somebody changed past the service, is seen at once', async () => {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  onTestFinished(() => store.close())
  await beginLedger(store)
  const { ledger, commit } = await openLedger(store)
  await commit(insert('keys', keyRow('a')))
  const first = await ledger.row('keys', { key: 'a' })
  expect(await ledger.row('keys', { key: 'a' })).toBe(first)
  if (first === undefined) throw new Error('it is there')
  expect(await commit(update('keys', first, { latestVersion: 2 }))).toBe('done')
  expect(await ledger.row('keys', { key: 'a' })).toMatchObject({ latestVersion: 2, generation: 2 })

  const outside = new Database(path)
  onTestFinished(() => void outside.close())
  outside.exec("update keys set latest_version = 3 where key = 'a'")
  await expect(ledger.row('keys', { key: 'a' })).rejects.toMatchObject({ code: 'integrity_violation' })
})
