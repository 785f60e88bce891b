import { describe, expect, onTestFinished, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { OwnKeys } from '../../src/service/own-keys.ts'
import { clusterOf, openRoot } from '../../src/service/root.ts'
import type { Rows, TableName } from '../../src/service/rows.ts'
import { Service } from '../../src/service/service.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { MemoryRootKey } from '../support/memory-root-key.ts'
import { contentsOf } from '../support/rows.ts'
import { rowMacsOf, startTestService } from '../support/service.ts'

/** A store in which some tables read otherwise, as somebody with access to the database can make them. */
function edited(store: KeyStore, changes: { readonly [T in TableName]?: readonly Rows[T][] }): KeyStore {
  return new Proxy(store, {
    get(target, name: keyof KeyStore) {
      const method = target[name] as (...args: unknown[]) => unknown
      if (name !== 'rows') return method.bind(target)
      return (table: TableName, page: never) => changes[table] ?? target.rows(table, page)
    },
  })
}

describe('the root key', () => {
  test('opens with the slot that sealed it', async () => {
    const { store, rootKey } = await startTestService()
    const root = await openRoot(rootKey, store)
    expect(root.clusterId).toEqual((await clusterOf(store))?.clusterId)
  })

  test('does not open with another secret, and nothing is made in its place', async () => {
    const { store } = await startTestService()
    const before = await contentsOf(store)
    const stranger = new MemoryRootKey()
    await expect(Service.open({ store, rootKey: stranger })).rejects.toMatchObject({ code: 'wrong_secret' })
    expect(await contentsOf(store)).toEqual(before)
  })

  test('is not looked for in an empty store', async () => {
    const rootKey = new MemoryRootKey()
    const opening = Service.open({ store: new MemoryStore(), rootKey })
    await expect(opening).rejects.toMatchObject({ code: 'not_initialised' })
  })

  test('does not open in another cluster, or from a slot of another name, kind or version', async () => {
    const { store, rootKey } = await startTestService()
    const other = await startTestService()
    const [slot] = await everyRow(store, 'slots')
    const cluster = await clusterOf(store)
    if (slot === undefined || cluster === undefined) throw new Error('not initialised')
    const theirs = await everyRow(other.store, 'cluster')
    const wrong = { code: 'wrong_secret' }
    const violation = { code: 'integrity_violation' }
    const opening = (changes: Parameters<typeof edited>[1]) => openRoot(rootKey, edited(store, changes))
    await expect(opening({ cluster: theirs })).rejects.toMatchObject(wrong)
    await expect(opening({ slots: [{ ...slot, slot: 'x' }] })).rejects.toMatchObject(wrong)
    await expect(opening({ slots: [{ ...slot, kind: 'x' }] })).rejects.toMatchObject(violation)
    await expect(opening({ slots: [{ ...slot, rootVersion: 2 }] })).rejects.toMatchObject(violation)
    const second = { cluster: [{ ...cluster, rootVersion: 2 }] }
    await expect(opening({ ...second, slots: [{ ...slot, rootVersion: 2 }] })).rejects.toMatchObject(wrong)
  })
})

describe('the service’s own keys', () => {
  test('open at their own rows only, and none may be missing', async () => {
    const { store, rootKey } = await startTestService()
    const root = await openRoot(rootKey, store)
    const rows = await everyRow(store, 'own_keys')
    const [one, two, three] = rows
    if (one === undefined || two === undefined || three === undefined) throw new Error('not initialised')
    expect(new OwnKeys(root, rows).newest('audit-chain').version).toBe(1)
    const violations = [
      [],
      [one, two],
      [one, three],
      [two, three],
      [{ ...one, sealed: two.sealed }, two, three],
      [{ ...one, purpose: two.purpose }, { ...two, purpose: one.purpose }, three],
      [{ ...one, version: 2 }, two, three],
      [{ ...one, rootVersion: 2 }, two, three],
    ]
    for (const [index, changed] of violations.entries()) {
      expect(() => new OwnKeys(root, changed), `${index}`).toThrow(
        expect.objectContaining({ code: 'integrity_violation' }),
      )
    }
  })

  test('are different in each cluster, so a token of one is none of another', async () => {
    const [here, there] = [await startTestService(), await startTestService()]
    const row = await here.store.row('tokens', { token: here.admin.principal.token })
    const macs = await rowMacsOf(there)
    onTestFinished(() => macs.close())
    if (row === undefined) throw new Error('no token')
    // Even a row that vouches for itself: its secret's HMAC is under another pepper.
    const mine = { ...row, mac: macs.tag('tokens', row.generation, row).mac }
    const store = new Proxy(there.store, {
      get(target, name: keyof KeyStore) {
        const method = target[name] as (...args: unknown[]) => unknown
        return name === 'row' ? async () => mine : method.bind(target)
      },
    })
    const service = await Service.open({ store, rootKey: there.rootKey })
    onTestFinished(() => service.close())
    await expect(service.tokens.authenticate(here.adminToken)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })
})
