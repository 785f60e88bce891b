import { join } from 'node:path'

import { toHex } from '@longhold/core'
import { describe, expect, onTestFinished, test } from 'vitest'

import type { Commit, KeyStore } from '../../src/service/key-store.ts'
import type { VersionRow } from '../../src/service/rows.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService } from '../support/service.ts'

const all = { limit: 1000 }

function sqliteStore(): KeyStore {
  const store = SqliteStore.open({ path: join(temporaryDirectory(), 'kms.db') })
  onTestFinished(() => store.close())
  return store
}

describe.each([
  ['memory', () => new MemoryStore()],
  ['SQLite', sqliteStore],
])('rotation on %s', (_, makeStore) => {
  test('64 at once make 64 versions, one primary, 64 entries', async () => {
    const { service, admin, store, verifyAudit } = await startTestService({ store: makeStore(), keys: ['a'] })
    const rotated = await Promise.all(
      Array.from({ length: 64 }, () => service.life.versions.rotate(admin, 'a')),
    )
    expect(new Set(rotated.map(({ primaryVersion }) => primaryVersion)).size).toBe(64)
    const versions = await store.rows('versions', all)
    expect(versions.map(({ version }) => version)).toEqual(
      Array.from({ length: 65 }, (__, index) => index + 1),
    )
    expect(versions.filter(({ state }) => state === 'primary').map(({ version }) => version)).toEqual([65])
    expect(new Set(versions.map(({ recipientId }) => toHex(recipientId))).size).toBe(65)
    expect(await service.keys.get(admin, 'a')).toMatchObject({ generation: 65, primaryVersion: 65 })
    // Initialised; started, made, 64 rotations.
    expect(await verifyAudit()).toMatchObject({ ok: true, runs: 2, entries: 1 + 2 + 64, faults: [] })
  })
})

describe('keys', () => {
  test('a name is given once', async () => {
    const { service, admin } = await startTestService({ keys: ['a'] })
    await expect(service.keys.create(admin, { key: 'a' })).rejects.toMatchObject({ code: 'invalid_state' })
  })

  test('a rewrap may only be allowed to keys that are there', async () => {
    const { service, admin } = await startTestService({ keys: ['a'] })
    await expect(service.keys.create(admin, { key: 'b', rewrapTo: ['c'] })).rejects.toMatchObject({
      code: 'not_found',
    })
    expect(await service.keys.create(admin, { key: 'b', rewrapTo: ['a', 'a'] })).toMatchObject({
      rewrapTo: ['a'],
    })
  })

  test('another process that rotates too is waited for, not fought', async () => {
    const store = new MemoryStore()
    let conflicts = 0
    const isRotation = (commit: unknown) => (commit as Commit).writes.length === 3
    const between = new Proxy(store, {
      get(target, name: keyof KeyStore) {
        const method = target[name] as (...args: unknown[]) => Promise<unknown>
        return async (...args: unknown[]) => {
          if (name === 'commit' && isRotation(args[0]) && conflicts++ < 3) return 'conflict'
          return await method.apply(target, args)
        }
      },
    })
    const { service, admin, verifyAudit } = await startTestService({ store: between, keys: ['a'] })
    expect(await service.life.versions.rotate(admin, 'a')).toMatchObject({ primaryVersion: 2 })
    conflicts = -100
    await expect(service.life.versions.rotate(admin, 'a')).rejects.toMatchObject({ code: 'invalid_state' })
    expect(await verifyAudit()).toMatchObject({ ok: true })
  })

  test('a version is switched off and on again; the primary is not', async () => {
    const { service, admin } = await startTestService({ keys: ['a'] })
    await service.life.versions.rotate(admin, 'a')
    expect(await service.life.versions.setState(admin, 'a', 1, 'disabled')).toMatchObject({
      state: 'disabled',
    })
    expect(await service.life.versions.setState(admin, 'a', 1, 'disabled')).toMatchObject({
      state: 'disabled',
    })
    expect(await service.life.versions.setState(admin, 'a', 1, 'unwrap_only')).toMatchObject({
      state: 'unwrap_only',
    })
    for (const state of ['disabled', 'unwrap_only'] as const) {
      await expect(service.life.versions.setState(admin, 'a', 2, state)).rejects.toMatchObject({
        code: 'invalid_state',
      })
    }
    await expect(service.life.versions.setState(admin, 'a', 3, 'disabled')).rejects.toMatchObject({
      code: 'not_found',
    })
    expect(await service.keys.get(admin, 'a')).toMatchObject({ generation: 4, primaryVersion: 2 })
  })

  test('a bundle names all versions that unwrap, and lasts a day', async () => {
    const { service, admin, store } = await startTestService({ keys: ['a'] })
    for (let i = 0; i < 3; i++) await service.life.versions.rotate(admin, 'a')
    await service.life.versions.setState(admin, 'a', 2, 'disabled')
    const bundle = await service.keys.publicKey(admin, 'a')
    const ids = (await store.rows('versions', all)).map(({ recipientId }) => recipientId)
    expect(bundle).toMatchObject({ version: 4, generation: 5, notAfter: bundle.issuedAt + 86_400_000 })
    expect(bundle.recipientIds).toEqual([ids[0], ids[2], ids[3]])
    expect(bundle.recipient.recipientId).toEqual(ids[3])
  })

  test('a public key replaced in the database is never handed out', async () => {
    const inner = new MemoryStore()
    let thief: VersionRow | undefined
    const between = new Proxy(inner, {
      get(target, name: keyof KeyStore) {
        const method = target[name] as (...args: unknown[]) => Promise<unknown>
        return async (...args: unknown[]) => {
          if (name !== 'row' || args[0] !== 'versions' || thief === undefined) {
            return await method.apply(target, args)
          }
          const row = await target.row('versions', { key: 'a', version: 1 })
          return { ...row, publicKey: thief.publicKey, recipientId: thief.recipientId }
        }
      },
    })
    const { service, admin } = await startTestService({ store: between, keys: ['a', 'b'] })
    await service.keys.publicKey(admin, 'a')
    thief = await inner.row('versions', { key: 'b', version: 1 })
    await expect(service.keys.publicKey(admin, 'a')).rejects.toMatchObject({ code: 'integrity_violation' })
  })
})
