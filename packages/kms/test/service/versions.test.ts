import { toHex, unwrapDataKey } from '@longhold/core'
import { KmsIdentity } from '@longhold/core/kms'
import type { Permission, SettableState } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import { allBut, hexOf, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const day = 86_400_000
const hour = 3_600_000

async function start(versions = 1, options: Parameters<typeof startTestService>[0] = {}) {
  const under = await startTestService({ keys: ['a'], ...options })
  for (let made = 1; made < versions; made++) await under.service.life.versions.rotate(under.admin, 'a')
  return under
}

async function states({ store }: TestService): Promise<string[]> {
  return (await everyRow(store, 'versions', { key: 'a' })).map(({ state }) => state)
}

function set({ service, admin }: TestService, version: number, state: SettableState) {
  return service.life.versions.setState(admin, 'a', version, state)
}

async function destroy({ service, admin }: TestService, version: number) {
  const { generation } = await service.keys.get(admin, 'a')
  return await service.life.versions.destroy(admin, 'a', version, generation)
}

describe('a pending version', () => {
  test('is not wrapped for until it is activated, and then takes the place of the primary', async () => {
    const under = await start()
    const { service, admin } = under
    const pending = await service.life.versions.rotate(admin, 'a', 'pending')
    expect(pending).toMatchObject({ latestVersion: 2, primaryVersion: 1, generation: 2, rotatedAt: null })
    expect(await service.keys.publicKey(admin, 'a')).toMatchObject({ version: 1 })
    expect((await service.keys.publicKey(admin, 'a')).recipientIds).toHaveLength(1)
    await set(under, 2, 'primary')
    expect(await states(under)).toEqual(['unwrap_only', 'primary'])
    expect(await service.keys.publicKey(admin, 'a')).toMatchObject({ version: 2 })
    expect(await service.keys.get(admin, 'a')).toMatchObject({ primaryVersion: 2 })
  })

  test('may be given up, and its number is not given again', async () => {
    const under = await start()
    await under.service.life.versions.rotate(under.admin, 'a', 'pending')
    await set(under, 2, 'disabled')
    expect(await under.service.life.versions.rotate(under.admin, 'a')).toMatchObject({ primaryVersion: 3 })
    expect(await states(under)).toEqual(['unwrap_only', 'disabled', 'primary'])
  })
})

test('an older version becomes primary again, and there is one primary', async () => {
  const under = await start(3)
  await set(under, 1, 'primary')
  expect(await states(under)).toEqual(['primary', 'unwrap_only', 'unwrap_only'])
  expect(await under.service.life.versions.rotate(under.admin, 'a')).toMatchObject({ primaryVersion: 4 })
  expect(await under.verifyAudit()).toMatchObject({ ok: true })
})

describe('a compromised version', () => {
  test('that was primary is replaced in the same moment', async () => {
    const under = await start(2)
    const before = await under.service.keys.get(under.admin, 'a')
    expect(await set(under, 2, 'compromised')).toMatchObject({ state: 'compromised' })
    expect(await states(under)).toEqual(['unwrap_only', 'compromised', 'primary'])
    const after = await under.service.keys.get(under.admin, 'a')
    expect(after).toMatchObject({ primaryVersion: 3, generation: before.generation + 1 })
  })

  test('unwraps with its own permission only, and may be rewrapped from', async () => {
    const under = await start()
    const { dataKey, wrappedKey, stanza } = await wrapFor(under.client(), ['a'])
    await set(under, 1, 'compromised')
    const without = under.client(await under.token(allBut('unwrap.compromised')))
    const alone = under.client(await under.token(['unwrap.compromised']))
    const both = under.client(await under.token(['unwrap', 'unwrap.compromised']))
    const item = { stanza, keyId: dataKey.keyId }
    expect(await without.unwrap([item])).toMatchObject([{ error: { code: 'unavailable' } }])
    await expect(alone.unwrap([item])).rejects.toMatchObject({ code: 'unavailable' })
    expect(await both.unwrap([item])).toMatchObject([{ key: 'a', version: 1 }])
    const rewrapper = under.client(await under.token(['rewrap', 'wrap']))
    expect(await rewrapper.rewrap([{ wrappedKey }])).toMatchObject([{ key: 'a', version: 1 }])
  })

  test('is known to readers, who are told that they may not, or may', async () => {
    const under = await start()
    const { dataKey, wrappedKey } = await wrapFor(under.client(), ['a'])
    await set(under, 1, 'compromised')
    const open = async (...permissions: Permission[]) => {
      const client = under.client(await under.token(['wrap', 'unwrap', ...permissions]))
      return await unwrapDataKey(wrappedKey, { identities: [new KmsIdentity(client, { keys: ['a'] })] })
    }
    await expect(open()).rejects.toMatchObject({ code: 'unavailable' })
    expect(hexOf(await open('unwrap.compromised'))).toBe(hexOf(dataKey))
  })

  test('stays compromised, even by way of a destruction that is called off', async () => {
    const under = await start(2)
    await set(under, 1, 'compromised')
    await expect(set(under, 1, 'unwrap_only')).rejects.toMatchObject({ code: 'invalid_state' })
    await destroy(under, 1)
    await under.service.life.versions.restore(under.admin, 'a', 1)
    await expect(set(under, 1, 'unwrap_only')).rejects.toMatchObject({ code: 'invalid_state' })
    await set(under, 1, 'compromised')
    expect(await states(under)).toEqual(['compromised', 'primary'])
  })
})

describe('a minimum version', () => {
  test('stops older ones unwrapping, and lets them be rewrapped from', async () => {
    const under = await start(2)
    const { service, admin } = under
    const client = under.client()
    const { wrappedKey, stanza, dataKey } = await wrapFor(client, ['a'])
    await service.life.versions.rotate(admin, 'a')
    const item = { stanza, keyId: dataKey.keyId }
    await service.keys.update(admin, 'a', 3, { minUnwrapVersion: 3 })
    expect(await client.unwrap([item])).toMatchObject([{ error: { code: 'unavailable' } }])
    expect(await client.rewrap([{ wrappedKey }])).toMatchObject([{ version: 2 }])
    await expect(set(under, 1, 'primary')).rejects.toMatchObject({ code: 'invalid_state' })
    await service.keys.update(admin, 'a', 4, { minUnwrapVersion: 2 })
    expect(await client.unwrap([item])).toMatchObject([{ version: 2 }])
  })

  test('is not above the primary', async () => {
    const { service, admin } = await start(2)
    const above = service.keys.update(admin, 'a', 2, { minUnwrapVersion: 3 })
    await expect(above).rejects.toMatchObject({ code: 'invalid_state' })
  })
})

describe('destruction', () => {
  test('waits, then overwrites the seed, and leaves the rest for ever', async () => {
    const under = await start(2)
    const { service, store } = under
    const [row] = await everyRow(store, 'versions', { key: 'a' })
    await set(under, 1, 'disabled')
    const scheduled = await destroy(under, 1)
    expect(scheduled.destroyAt).toBeGreaterThan(Date.now() + 29 * day)
    under.advance(30 * day - hour)
    expect(await service.life.upkeep.run()).toMatchObject({ destroyed: [] })
    expect(await states(under)).toEqual(['destroy_scheduled', 'primary'])
    under.advance(2 * hour)
    const destroyed = [{ key: 'a', version: 1 }]
    expect(await service.life.upkeep.run()).toMatchObject({ destroyed, failures: [] })
    const [tombstone] = await everyRow(store, 'versions', { key: 'a' })
    expect(tombstone).toMatchObject({ state: 'destroyed', recipientId: row?.recipientId })
    expect(tombstone?.sealedSeed).toHaveLength(0)
    expect(await everyRow(store, 'destructions')).toEqual([])
    for (const state of ['primary', 'unwrap_only', 'disabled', 'compromised'] as const) {
      await expect(set(under, 1, state)).rejects.toMatchObject({ code: 'invalid_state' })
    }
    await expect(service.life.versions.restore(under.admin, 'a', 1)).rejects.toMatchObject({
      code: 'invalid_state',
    })
    expect(await under.verifyAudit()).toMatchObject({ ok: true })
  })

  test('is called off while it waits', async () => {
    const under = await start(2)
    await set(under, 1, 'disabled')
    await destroy(under, 1)
    await under.service.life.versions.restore(under.admin, 'a', 1)
    under.advance(60 * day)
    expect(await under.service.life.upkeep.run()).toMatchObject({ destroyed: [] })
    await set(under, 1, 'unwrap_only')
    expect(await states(under)).toEqual(['unwrap_only', 'primary'])
  })

  test('is called off by restoring the version alone, not by setting its state', async () => {
    const under = await start(2)
    await set(under, 1, 'disabled')
    await destroy(under, 1)
    await expect(set(under, 1, 'disabled')).rejects.toMatchObject({ code: 'invalid_state' })
    await under.service.life.versions.restore(under.admin, 'a', 1)
    await destroy(under, 1)
    expect(await states(under)).toEqual(['destroy_scheduled', 'primary'])
  })

  test('of what unwraps or wraps is refused, and of what was changed since it was read', async () => {
    const under = await start(2)
    await expect(destroy(under, 1)).rejects.toMatchObject({ code: 'invalid_state' })
    await expect(destroy(under, 2)).rejects.toMatchObject({ code: 'invalid_state' })
    await set(under, 1, 'disabled')
    const stale = under.service.life.versions.destroy(under.admin, 'a', 1, 2)
    await expect(stale).rejects.toMatchObject({ code: 'precondition_failed' })
  })

  test('does not happen after the clock jumped, until somebody accepts it', async () => {
    const under = await start(2)
    const { service, admin } = under
    await set(under, 1, 'disabled')
    await destroy(under, 1)
    under.jump(31 * day)
    expect(await service.life.upkeep.run()).toMatchObject({ destroyed: [] })
    expect((await service.life.time.current()).jump).toMatchObject({ byMs: expect.any(Number) as number })
    under.advance(day)
    expect(await service.life.upkeep.run()).toMatchObject({ destroyed: [] })
    expect(await states(under)).toEqual(['destroy_scheduled', 'primary'])
    await service.life.acceptClock(admin)
    expect(await service.life.upkeep.run()).toMatchObject({ destroyed: [{ key: 'a', version: 1 }] })
  })

  test('goes on after a clock that was set back was accepted, though time stands until it is there', async () => {
    const under = await start(2)
    const { service, admin } = under
    const { latest } = await service.life.time.look()
    under.jump(-3 * hour)
    expect((await service.life.time.current()).jump).not.toBeNull()
    await service.life.acceptClock(admin)
    under.advance(hour)
    expect(await service.life.time.current()).toMatchObject({ jump: null, latest })
    await set(under, 1, 'disabled')
    await destroy(under, 1)
    under.advance(30 * day + 3 * hour)
    expect(await service.life.upkeep.run()).toMatchObject({ destroyed: [{ key: 'a', version: 1 }] })
  })

  test('is survived by a rotation of the root, which has nothing to seal any more', async () => {
    const under = await start(2)
    const { service, admin } = under
    await set(under, 1, 'disabled')
    await destroy(under, 1)
    under.advance(31 * day)
    await service.life.upkeep.run()
    await service.rootRotation.begin(admin)
    await service.rootRotation.run()
    expect(await service.rootRotation.state()).toEqual({
      rootVersion: 2,
      nextRootVersion: null,
      rowsLeft: 0,
    })
    expect(await states(under)).toEqual(['destroyed', 'primary'])
  })

  test('against rotation: each is done once, whichever comes first', async () => {
    const under = await start(2)
    const { service, admin } = under
    await set(under, 1, 'disabled')
    const { generation } = await service.keys.get(admin, 'a')
    const settled = await Promise.allSettled([
      ...Array.from({ length: 8 }, () => service.life.versions.rotate(admin, 'a')),
      service.life.versions.destroy(admin, 'a', 1, generation),
      ...Array.from({ length: 8 }, () => service.life.versions.rotate(admin, 'a')),
    ])
    // The key was rotated since the destruction was decided on.
    expect(settled.filter(({ status }) => status === 'rejected')).toHaveLength(1)
    await Promise.all([service.life.versions.rotate(admin, 'a'), destroy(under, 1).catch(() => undefined)])
    await destroy(under, 1).catch(() => undefined)
    const after = await states(under)
    expect(after[0]).toBe('destroy_scheduled')
    expect(after.filter((state) => state === 'primary')).toHaveLength(1)
    expect(after).toHaveLength(19)
    expect(await under.verifyAudit()).toMatchObject({ ok: true })
  })
})

describe('scheduled rotation', () => {
  test('happens once a tick, and once for all that were missed', async () => {
    const under = await start()
    const { service, admin } = under
    const { schedule } = await service.keys.update(admin, 'a', 1, { rotateEveryMs: hour })
    expect(await service.life.upkeep.run()).toMatchObject({ rotated: [] })
    under.advance(hour)
    expect(await service.life.upkeep.run()).toMatchObject({ rotated: ['a'] })
    expect(await service.life.upkeep.run()).toMatchObject({ rotated: [] })
    under.advance(50 * hour)
    expect(await service.life.upkeep.run()).toMatchObject({ rotated: ['a'] })
    const key = await service.keys.get(admin, 'a')
    expect(key).toMatchObject({ primaryVersion: 3 })
    expect(((key.schedule?.nextAt ?? 0) - (schedule?.nextAt ?? 0)) % hour).toBe(0)
    expect(await under.verifyAudit()).toMatchObject({ ok: true })
  })

  test('begins anew after a rotation by hand, and ends when it is taken away', async () => {
    const under = await start()
    const { service, admin } = under
    await service.keys.update(admin, 'a', 1, { rotateEveryMs: hour })
    under.advance(hour / 2)
    await service.life.versions.rotate(admin, 'a')
    under.advance(hour / 2)
    expect(await service.life.upkeep.run()).toMatchObject({ rotated: [] })
    await service.keys.update(admin, 'a', 3, { rotateEveryMs: null })
    under.advance(day)
    expect(await service.life.upkeep.run()).toMatchObject({ rotated: [], failures: [] })
    expect(await everyRow(under.store, 'schedules')).toEqual([])
  })

  test('leaves a key that is not enabled alone', async () => {
    const under = await start()
    await under.service.keys.update(under.admin, 'a', 1, { rotateEveryMs: hour, enabled: false })
    under.advance(day)
    expect(await under.service.life.upkeep.run()).toMatchObject({ rotated: [], failures: [] })
    await under.service.keys.update(under.admin, 'a', 2, { enabled: true })
    expect(await under.service.life.upkeep.run()).toMatchObject({ rotated: ['a'] })
  })
})

test('every change of versions is one entry of the log, with what it did', async () => {
  const under = await start(2)
  await set(under, 1, 'disabled')
  await destroy(under, 1)
  await under.service.life.versions.restore(under.admin, 'a', 1)
  await set(under, 2, 'compromised')
  const [run] = (await under.store.auditRuns()).slice(-1)
  const entries = await under.store.auditEntries(run ?? '', { limit: 100 })
  const said = entries.map(({ body }) => JSON.parse(body) as Record<string, unknown>)
  expect(said.map(({ action, version, to, primary }) => ({ action, version, to, primary }))).toEqual([
    { action: 'service.start' },
    { action: 'key.create', version: 1 },
    { action: 'key.rotate', version: 2, to: 'primary' },
    { action: 'version.update', version: 1, to: 'disabled' },
    { action: 'version.destroy', version: 1 },
    { action: 'version.restore', version: 1 },
    { action: 'version.update', version: 2, to: 'compromised', primary: 3 },
  ])
})

test('a destroyed private key is nowhere in what the store holds', async () => {
  const under = await start(2)
  const [row] = await everyRow(under.store, 'versions', { key: 'a' })
  await set(under, 1, 'disabled')
  await destroy(under, 1)
  under.advance(31 * day)
  await under.service.life.upkeep.run()
  const all = JSON.stringify(await everyRow(under.store, 'versions'), (_, value: unknown) =>
    value instanceof Uint8Array ? toHex(value) : value,
  )
  expect(all).not.toContain(toHex(row?.sealedSeed ?? new Uint8Array(1)))
})
