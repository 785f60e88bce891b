import { describe, expect, onTestFinished, test } from 'vitest'

import { Identities } from '../../src/service/identities.ts'
import { everyRow } from '../../src/service/key-store.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { OwnKeys } from '../../src/service/own-keys.ts'
import { openRoot } from '../../src/service/root-opening.ts'
import { columnsOf, tableNames } from '../../src/service/rows.ts'
import { sealedTables } from '../../src/service/sealed-tables.ts'
import { Service } from '../../src/service/service.ts'
import type { SlotOpener } from '../../src/service/slot-opener.ts'
import { slotKeys } from '../../src/service/slots.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { MemoryOpener } from '../support/memory-opener.ts'
import { startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

/** A service with two slots, and so many versions of two keys. */
async function begin(versions: number, between: (store: KeyStore) => KeyStore = (store) => store) {
  const inner = new MemoryStore()
  const under = await startTestService({ store: inner, keys: ['a', 'b'], between })
  const second = new MemoryOpener()
  await under.service.slots.add(under.admin, { label: 'second', opener: second })
  for (let made = 2; made < versions; made++)
    await under.service.life.versions.rotate(under.admin, made % 2 ? 'a' : 'b')
  return { under, inner, openers: [under.opener, second] }
}

/** Everything that a root seals opens, with every slot. */
async function expectWhole(store: KeyStore, openers: readonly SlotOpener[]): Promise<void> {
  for (const opener of openers) {
    const { root } = await openRoot(opener, store)
    const identities = new Identities(root)
    try {
      new OwnKeys(root, await everyRow(store, 'own_keys')).close()
      for (const row of await everyRow(store, 'versions')) identities.get(row)
      for (const row of await everyRow(store, 'slots')) slotKeys(root, row).authKey.wipe()
    } finally {
      identities.close()
      root.close()
    }
  }
}

/** The versions of the root that rows name. */
async function rootsNamed(store: KeyStore): Promise<number[]> {
  const [slots, ownKeys, versions] = [
    await everyRow(store, 'slots'),
    await everyRow(store, 'own_keys'),
    await everyRow(store, 'versions'),
  ]
  const named = [
    ...slots.flatMap(({ rootVersion, authRootVersion }) => [rootVersion, authRootVersion]),
    ...ownKeys.map(({ rootVersion }) => rootVersion),
    ...versions.map(({ rootVersion }) => rootVersion),
  ]
  return [...new Set(named)].toSorted((a, b) => a - b)
}

async function rotate({ service, admin }: TestService): Promise<void> {
  await service.rootRotation.begin(admin)
  await service.rootRotation.run()
}

describe('a rotation of the root key', () => {
  test('leaves nothing under the old one, and everything opens with every slot', async () => {
    const { under, openers } = await begin(240)
    const before = await everyRow(under.store, 'slots')
    await rotate(under)
    expect(await rootsNamed(under.store)).toEqual([2])
    const [cluster] = await everyRow(under.store, 'cluster')
    expect(cluster).toMatchObject({ rootVersion: 2, nextRootVersion: null })
    const slots = await everyRow(under.store, 'slots')
    expect(slots.map(({ nextRoot }) => nextRoot)).toEqual([null, null])
    expect(slots.map(({ sealedSecret }) => sealedSecret)).toEqual(before.map((one) => one.sealedSecret))
    expect(await under.service.rootRotation.state()).toEqual({
      rootVersion: 2,
      nextRootVersion: null,
      rowsLeft: 0,
    })
    await expectWhole(under.store, openers)
    expect((await under.verifyAudit()).faults).toEqual([])
    // The service that did it goes on, and so does a token from before.
    await under.client().rotateKey('a')
    await rotate(under)
    expect(await rootsNamed(under.store)).toEqual([3])
    await expectWhole(under.store, openers)
  })

  test('takes nobody who holds a slot, and the old root does not open the new one', async () => {
    const { under } = await begin(2)
    const before = await everyRow(under.store, 'slots')
    await rotate(under)
    const after = await everyRow(under.store, 'slots')
    for (const [index, slot] of after.entries()) {
      expect(slot.publicKey).toEqual(before[index]?.publicKey)
      expect(slot.sealedRoot).not.toEqual(before[index]?.sealedRoot)
    }
  })

  test('goes on beside rotations of keys, and new keys', async () => {
    const { under, openers } = await begin(120)
    await under.service.rootRotation.begin(under.admin)
    const rotating = under.service.rootRotation.run()
    for (let made = 0; made < 20; made++) {
      await under.service.life.versions.rotate(under.admin, 'a')
      await under.service.keys.create(under.admin, { key: `new-${made}` })
    }
    await rotating
    expect(await rootsNamed(under.store)).toEqual([2])
    await expectWhole(under.store, openers)
  })

  test('is not missed by a version that was sealed before it and is written after it', async () => {
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => (release = resolve))
    let isArmed = false
    const { under, openers } = await begin(2, (store) =>
      intercepting(store, 'row', async (read, table) => {
        // The read between sealing a new version and writing it.
        if (isArmed && table === 'versions') await gate
        return await read()
      }),
    )
    isArmed = true
    const rotating = under.service.life.versions.rotate(under.admin, 'a')
    await rotate(under)
    isArmed = false
    release()
    expect(await rotating).toMatchObject({ primaryVersion: 2 })
    expect(await rootsNamed(under.store)).toEqual([2])
    await expectWhole(under.store, openers)
  })

  test('is one at a time, and slots stay as they are meanwhile', async () => {
    const { under } = await begin(2)
    await under.service.rootRotation.begin(under.admin)
    await under.service.rootRotation.begin(under.admin)
    const [cluster] = await everyRow(under.store, 'cluster')
    expect(cluster?.nextRootVersion).toBe(2)
    const [slot] = await everyRow(under.store, 'slots')
    const during = { code: 'invalid_state', message: 'the root key is being replaced' }
    const adding = under.service.slots.add(under.admin, { label: '', opener: new MemoryOpener() })
    await expect(adding).rejects.toMatchObject(during)
    await expect(under.service.slots.remove(under.admin, slot?.slot ?? '')).rejects.toMatchObject(during)
    const tables = ['slots', 'own_keys', 'versions'] as const
    const counts = await Promise.all(tables.map(async (table) => (await everyRow(under.store, table)).length))
    expect(await under.service.rootRotation.state()).toMatchObject({
      nextRootVersion: 2,
      rowsLeft: counts.reduce((sum, count) => sum + count, 0),
    })
    await under.service.rootRotation.run()
    await expectWhole(under.store, [under.opener])
  })

  test('seals every table that names a root', () => {
    const named = tableNames.filter((table) =>
      columnsOf(table).some((column) => column === 'rootVersion' || column === 'authRootVersion'),
    )
    expect(named.toSorted()).toEqual([...sealedTables.map(({ table }) => table), 'cluster'].toSorted())
  })
})

describe('a rotation of the root key that ends', () => {
  // 120 versions: two batches. Each commit of the whole, before it and after it.
  const versions = 120

  async function commitsOfAll(): Promise<number> {
    let commits = 0
    const { under } = await begin(versions, (store) =>
      intercepting(store, 'commit', async (commit) => {
        commits += 1
        return await commit()
      }),
    )
    commits = 0
    await rotate(under)
    return commits
  }

  test('anywhere, goes on with any slot, and nothing is lost', async () => {
    const all = await commitsOfAll()
    expect(all).toBeGreaterThanOrEqual(6)
    for (let at = 1; at <= all; at++) {
      for (const moment of ['before', 'after'] as const) {
        const what = `${moment} commit ${at} of ${all}`
        let commits = 0
        let isArmed = false
        const { under, inner, openers } = await begin(versions, (store) =>
          intercepting(store, 'commit', async (commit) => {
            if (isArmed) commits += 1
            if (commits < at) return await commit()
            // Nothing comes back any more: the process is gone.
            if (commits === at && moment === 'after') await commit()
            throw new Error('the process ended')
          }),
        )
        isArmed = true
        await expect(rotate(under), what).rejects.toThrow()
        await expectWhole(inner, openers)
        const service = await Service.open({ store: inner, opener: openers[at % 2] ?? under.opener })
        onTestFinished(() => service.close())
        await service.rootRotation.run()
        const [cluster] = await everyRow(inner, 'cluster')
        expect(cluster?.nextRootVersion, what).toBeNull()
        expect(await rootsNamed(inner), what).toEqual([cluster?.rootVersion])
        await expectWhole(inner, openers)
      }
    }
  })
})

/** A store in which calls of one method are made by `around`, or not. */
function intercepting(
  store: KeyStore,
  method: 'commit' | 'row',
  around: (call: () => Promise<unknown>, argument: unknown) => Promise<unknown>,
): KeyStore {
  return new Proxy(store, {
    get(target, name: keyof KeyStore) {
      const original = (target[name] as (...args: unknown[]) => Promise<unknown>).bind(target)
      if (name !== method) return original
      return async (...args: unknown[]) => await around(async () => await original(...args), args[0])
    },
  })
}
