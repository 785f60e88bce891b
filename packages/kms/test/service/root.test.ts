import { describe, expect, test } from 'vitest'

import type { KeyStore } from '../../src/service/key-store.ts'
import { OwnKeys } from '../../src/service/own-keys.ts'
import { openRoot } from '../../src/service/root.ts'
import { Service } from '../../src/service/service.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { MemoryRootKey } from '../support/memory-root-key.ts'
import { startTestService } from '../support/service.ts'

/** The store with the answers of some reads changed, as somebody with access to the database can. */
function edited(store: KeyStore, changes: Partial<KeyStore>): KeyStore {
  return new Proxy(store, {
    get(target, name: keyof KeyStore) {
      const method = (changes[name] ?? target[name]) as (...args: unknown[]) => unknown
      return method.bind(target)
    },
  })
}

describe('the root key', () => {
  test('opens with the slot that sealed it', async () => {
    const { store, rootKey } = await startTestService()
    const root = await openRoot(rootKey, store)
    expect(root.clusterId).toEqual((await store.cluster())?.clusterId)
  })

  test('does not open with another secret, and nothing is made in its place', async () => {
    const { store } = await startTestService()
    const before = [
      await store.cluster(),
      await store.slots(),
      await store.ownKeys(),
      await store.auditHeads(),
    ]
    const stranger = new MemoryRootKey()
    await expect(Service.open({ store, rootKey: stranger })).rejects.toMatchObject({ code: 'wrong_key_file' })
    expect([
      await store.cluster(),
      await store.slots(),
      await store.ownKeys(),
      await store.auditHeads(),
    ]).toEqual(before)
  })

  test('is not looked for in an empty store', async () => {
    const rootKey = new MemoryRootKey()
    const opening = Service.open({ store: new MemoryStore(), rootKey })
    await expect(opening).rejects.toMatchObject({ code: 'not_initialised' })
  })

  test('does not open in another cluster, or from a slot of another name, kind or version', async () => {
    const { store, rootKey } = await startTestService()
    const other = await startTestService()
    const [slot] = await store.slots()
    const cluster = await store.cluster()
    if (slot === undefined || cluster === undefined) throw new Error('not initialised')
    const theirs = await other.store.cluster()
    const wrong = { code: 'wrong_key_file' }
    const violation = { code: 'integrity_violation' }
    const opening = (changes: Partial<KeyStore>) => openRoot(rootKey, edited(store, changes))
    await expect(opening({ cluster: async () => theirs })).rejects.toMatchObject(wrong)
    await expect(opening({ slots: async () => [{ ...slot, slot: 'x' }] })).rejects.toMatchObject(wrong)
    await expect(opening({ slots: async () => [{ ...slot, kind: 'x' }] })).rejects.toMatchObject(violation)
    await expect(opening({ slots: async () => [{ ...slot, rootVersion: 2 }] })).rejects.toMatchObject(
      violation,
    )
    const second = { cluster: async () => ({ ...cluster, rootVersion: 2 }) }
    await expect(
      opening({ ...second, slots: async () => [{ ...slot, rootVersion: 2 }] }),
    ).rejects.toMatchObject(wrong)
  })
})

describe('the service’s own keys', () => {
  test('open at their own rows only, and none may be missing', async () => {
    const { store, rootKey } = await startTestService()
    const root = await openRoot(rootKey, store)
    const rows = await store.ownKeys()
    const [one, two] = rows
    if (one === undefined || two === undefined) throw new Error('not initialised')
    expect(new OwnKeys(root, rows).newest('audit-chain').version).toBe(1)
    const violations = [
      [],
      [one],
      [two],
      [{ ...one, sealed: two.sealed }, two],
      [
        { ...one, purpose: two.purpose },
        { ...two, purpose: one.purpose },
      ],
      [{ ...one, version: 2 }, two],
      [{ ...one, rootVersion: 2 }, two],
    ]
    for (const [index, changed] of violations.entries()) {
      expect(() => new OwnKeys(root, changed), `${index}`).toThrow(
        expect.objectContaining({ code: 'integrity_violation' }),
      )
    }
  })

  test('are different in each cluster, so a token of one is none of another', async () => {
    const [here, there] = [await startTestService(), await startTestService()]
    const row = await here.store.token(here.admin.principal.token)
    const service = await Service.open({
      store: edited(there.store, { token: async () => row }),
      rootKey: there.rootKey,
    })
    await expect(service.tokens.authenticate(here.adminToken)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    await service.close()
  })
})
