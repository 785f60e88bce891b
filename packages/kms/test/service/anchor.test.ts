import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { AnchorKeeper } from '../../src/service/anchor.ts'
import type { Anchor, AnchoredHead } from '../../src/service/anchor.ts'
import { insert } from '../../src/service/changes.ts'
import { ServiceError } from '../../src/service/errors.ts'
import { tableNames } from '../../src/service/rows.ts'
import { AnchorFile } from '../../src/store/anchor-file.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { beginLedger, openLedger, testClusterId, testMacs } from '../support/ledger.ts'
import { keyRow } from '../support/rows.ts'

const rollback = { code: 'rollback_detected' }

/** A database whose anchor was written, and the files. */
async function anchored() {
  const directory = temporaryDirectory()
  const path = join(directory, 'kms.db')
  const anchor = new AnchorFile(join(directory, 'anchor'))
  const store = SqliteStore.open({ path })
  await beginLedger(store)
  const head = await store.head()
  if (head === undefined) throw new Error('no head')
  await anchor.write({ clusterId: testClusterId, ...head })
  await store.close()
  let ordinal = 10
  return {
    path,
    anchor,
    copyTo: (name: string) => copyFile(path, join(directory, name)),
    restore: async (name: string) => {
      for (const side of ['', '-wal', '-shm']) await rm(path + side, { force: true })
      await copyFile(join(directory, name), path)
    },
    /** Opens, writes so many keys, and closes again. */
    run: async (...keys: string[]) => {
      const opened = SqliteStore.open({ path })
      onTestFinished(() => opened.close())
      const under = await openLedger(opened, { anchor, ordinal: ordinal++ })
      for (const key of keys) await under.commit(insert('keys', keyRow(key)))
      await under.close()
      await opened.close()
      return under.fault
    },
  }
}

describe('a database', () => {
  test('that goes on where it was is accepted', async () => {
    const { run, anchor } = await anchored()
    expect(await run('a', 'b')).toBeUndefined()
    expect((await anchor.read())?.epoch).toBe(3)
    expect(await run()).toBeUndefined()
    expect(await run('c')).toBeUndefined()
  })

  test('newer than its anchor is accepted: a process may end between commit and anchor', async () => {
    const { run, anchor } = await anchored()
    const old = readFileSync(anchor.place)
    await run('a')
    writeFileSync(anchor.place, old)
    expect(await run()).toBeUndefined()
    expect((await anchor.read())?.epoch).toBe(2)
  })

  test('that was put back is refused', async () => {
    const { run, copyTo, restore } = await anchored()
    await run('a')
    await copyTo('old.db')
    await run('b')
    await restore('old.db')
    expect(await run()).toMatchObject(rollback)
    // And stays refused.
    expect(await run()).toMatchObject({
      ...rollback,
      message: expect.stringMatching(/epoch 2, and was at 3/u) as string,
    })
  })

  test('that is put back whole while it is open is refused, and the anchor stays where it was', async () => {
    const { path, anchor } = await anchored()
    const tables = [...tableNames, 'cluster_head', 'audit_entries']
    const outside = new Database(path)
    onTestFinished(() => void outside.close())
    const opened = SqliteStore.open({ path })
    onTestFinished(() => opened.close())
    const under = await openLedger(opened, { anchor, ordinal: 10 })
    await under.commit(insert('keys', keyRow('a')))
    for (const table of tables) outside.exec(`create temp table old_${table} as select * from ${table}`)
    await under.commit(insert('keys', keyRow('b')))
    await under.commit(insert('keys', keyRow('c')))
    for (const table of tables) {
      outside.exec(`delete from ${table}; insert into ${table} select * from temp.old_${table}`)
    }
    // The first finds that the head moved, and must not go on from there.
    await expect(under.commit(insert('keys', keyRow('d')))).rejects.toMatchObject(rollback)
    expect(under.fault).toMatchObject(rollback)
    await expect(under.verify()).rejects.toMatchObject(rollback)
    await under.close()
    expect((await anchor.read())?.epoch).toBe(4)
  })

  test('that was put back and went on elsewhere to the same epoch is refused', async () => {
    const { run, copyTo, restore, anchor } = await anchored()
    await run('a')
    await copyTo('old.db')
    const old = readFileSync(anchor.place)
    await run('b')
    const newest = readFileSync(anchor.place)
    await restore('old.db')
    writeFileSync(anchor.place, old)
    await run('c')
    writeFileSync(anchor.place, newest)
    expect(await run()).toMatchObject({ ...rollback, message: expect.stringContaining('another') as string })
  })

  test('without its anchor is refused', async () => {
    const { run, anchor } = await anchored()
    await rm(anchor.place)
    expect(await run()).toMatchObject({
      ...rollback,
      message: expect.stringContaining(anchor.place) as string,
    })
    expect(existsSync(anchor.place)).toBe(false)
  })

  test('with the anchor of another cluster is refused', async () => {
    const { run, anchor } = await anchored()
    const head = await anchor.read()
    if (head === undefined) throw new Error('no anchor')
    await anchor.write({ ...head, clusterId: new Uint8Array(16) })
    expect(await run()).toMatchObject(rollback)
  })

  test.each([
    ['empty', ''],
    ['cut short', '{"format":"longhold/kms/v1/anch'],
    ['of another format', '{"format":"x"}'],
    ['no object', 'null'],
    ['with an epoch that is none', '{"format":"longhold/kms/v1/anchor","epoch":-1}'],
  ])('whose anchor is %s does not open', async (_, text) => {
    const { run, anchor } = await anchored()
    writeFileSync(anchor.place, text)
    await expect(run()).rejects.toMatchObject({ code: 'bad_config' })
  })
})

describe('the keeper of an anchor', () => {
  const head = (epoch: number) => ({
    epoch,
    rowCount: 1,
    maskedSum: new Uint8Array(32),
    mac: new Uint8Array(32).fill(epoch),
  })

  /** An anchor whose writes end when they are told to. */
  function held() {
    const written: number[] = []
    const going: (() => void)[] = []
    const anchor: Anchor = {
      place: 'memory',
      read: async () => undefined,
      async write({ epoch }: AnchoredHead) {
        written.push(epoch)
        await new Promise<void>((resolve) => going.push(resolve))
      },
    }
    return { anchor, written, release: () => going.shift()?.() }
  }

  test('writes the newest head alone, and never an older one after it', async () => {
    const { anchor, written, release } = held()
    const keeper = new AnchorKeeper(anchor, testMacs().clusterId, () => undefined)
    for (const epoch of [1, 2, 4, 3]) keeper.committed(head(epoch))
    expect(written).toEqual([1])
    release()
    const closed = keeper.close()
    while (written.length < 2) await new Promise((resolve) => setImmediate(resolve))
    release()
    await closed
    expect(written).toEqual([1, 4])
  })

  test('says when it could not write, and writes the next', async () => {
    const failures: ServiceError[] = []
    const written: number[] = []
    const anchor: Anchor = {
      place: 'memory',
      read: async () => undefined,
      async write({ epoch }) {
        if (epoch === 1) throw new ServiceError('storage_unavailable', 'full')
        written.push(epoch)
      },
    }
    const keeper = new AnchorKeeper(anchor, testClusterId, (error) => void failures.push(error))
    keeper.committed(head(1))
    await keeper.close()
    keeper.committed(head(2))
    await keeper.close()
    expect(failures).toMatchObject([{ code: 'storage_unavailable' }])
    expect(written).toEqual([2])
  })
})
