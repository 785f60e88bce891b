import { randomBytes } from 'node:crypto'

import { generateIdentity, PublicKeyRecipient, Secret } from '@longhold/core'
import { describe, expect, onTestFinished, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { OwnKeys } from '../../src/service/own-keys.ts'
import { clusterOf, openRoot } from '../../src/service/root-opening.ts'
import type { Rows, TableName } from '../../src/service/rows.ts'
import { Service } from '../../src/service/service.ts'
import { wrapRoot } from '../../src/service/slot-secret.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { MemoryOpener } from '../support/memory-opener.ts'
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
    const { store, opener } = await startTestService()
    const { root } = await openRoot(opener, store)
    expect(root.clusterId).toEqual((await clusterOf(store))?.clusterId)
  })

  test('does not open with another secret, and nothing is made in its place', async () => {
    const { store } = await startTestService()
    const before = await contentsOf(store)
    const stranger = new MemoryOpener()
    await expect(Service.open({ store, opener: stranger })).rejects.toMatchObject({ code: 'wrong_secret' })
    expect(await contentsOf(store)).toEqual(before)
  })

  test('is not looked for in an empty store', async () => {
    const opener = new MemoryOpener()
    const opening = Service.open({ store: new MemoryStore(), opener })
    await expect(opening).rejects.toMatchObject({ code: 'not_initialised' })
  })

  test('does not open in another cluster, or from a slot of another name, kind or version', async () => {
    const { store, opener } = await startTestService()
    const other = await startTestService()
    const [slot] = await everyRow(store, 'slots')
    const cluster = await clusterOf(store)
    if (slot === undefined || cluster === undefined) throw new Error('not initialised')
    const theirs = await everyRow(other.store, 'cluster')
    const wrong = { code: 'wrong_secret' }
    const violation = { code: 'integrity_violation' }
    const opening = (changes: Parameters<typeof edited>[1]) => openRoot(opener, edited(store, changes))
    await expect(opening({ cluster: theirs })).rejects.toMatchObject(wrong)
    await expect(opening({ slots: [{ ...slot, slot: 'x' }] })).rejects.toMatchObject(wrong)
    await expect(opening({ slots: [{ ...slot, kind: 'passphrase' }] })).rejects.toMatchObject(wrong)
    await expect(opening({ slots: [] })).rejects.toMatchObject(wrong)
    const second = { cluster: [{ ...cluster, rootVersion: 2 }] }
    await expect(opening(second)).rejects.toMatchObject(violation)
    await expect(opening({ ...second, slots: [{ ...slot, rootVersion: 2 }] })).rejects.toMatchObject(
      violation,
    )
    const next = { cluster: [{ ...cluster, nextRootVersion: 2 }] }
    await expect(opening(next)).rejects.toMatchObject(violation)
    await expect(opening({ ...next, slots: [{ ...slot, nextRoot: slot.sealedRoot }] })).rejects.toMatchObject(
      violation,
    )
  })

  // The public key of a slot stands in its row, and anybody can wrap for a public key.
  test('is not taken from a slot in which somebody else put his', async () => {
    const { store, opener } = await startTestService()
    const [slot] = await everyRow(store, 'slots')
    const cluster = await clusterOf(store)
    if (slot === undefined || cluster === undefined) throw new Error('not initialised')
    const recipient = PublicKeyRecipient.fromPublicKey(slot.kemId, slot.publicKey)
    const [theirs, authKey] = [Secret.take(randomBytes(32)), Secret.take(randomBytes(32))]
    const address = { clusterId: cluster.clusterId, slot: slot.slot, kind: slot.kind }
    const sealedRoot = await wrapRoot(theirs, address, 1, { recipient, authKey })
    for (const changes of [{ sealedRoot }, { publicKey: generateIdentity().recipient.publicKey }]) {
      const slots = [{ ...slot, ...changes }]
      await expect(openRoot(opener, edited(store, { slots }))).rejects.toMatchObject({
        code: 'integrity_violation',
      })
    }
  })
})

describe('the service’s own keys', () => {
  test('open at their own rows only, and none may be missing', async () => {
    const { store, opener } = await startTestService()
    const { root } = await openRoot(opener, store)
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
    const service = await Service.open({ store, opener: there.opener })
    onTestFinished(() => service.close())
    await expect(service.tokens.authenticate(here.adminToken)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })
})
