import { describe, expect, test } from 'vitest'

import type { BackupPlace } from '../../src/service/backup-keeper.ts'
import { ServiceError } from '../../src/service/errors.ts'
import type { BackupRow } from '../../src/service/rows.ts'
import { offline, takeBackup } from '../support/backups.ts'
import { startTestService } from '../support/service.ts'

const day = 86_400_000

/** Files in memory; full when it is told so. */
class TestPlace implements BackupPlace {
  readonly files = new Map<string, number>()
  isFull = false

  async write(fileName: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    let bytes = 0
    for await (const piece of pieces) {
      bytes += piece.length
      if (this.isFull) throw new ServiceError('storage_unavailable', 'no room')
    }
    this.files.set(fileName, bytes)
  }

  async remove(fileName: string): Promise<void> {
    this.files.delete(fileName)
  }
}

async function keeping() {
  const place = new TestPlace()
  const outcomes: (BackupRow | ServiceError)[] = []
  const under = await startTestService({
    keys: ['a'],
    backups: {
      recipients: [offline.recipient],
      lifeMs: 3 * day,
      everyMs: day,
      place,
      onBackup: (outcome) => void outcomes.push(outcome),
    },
  })
  return { under, place, outcomes, keeper: under.service.backupKeeper, service: under.service }
}

describe('backups by themselves', () => {
  test('are made when one is due, by whichever node, and deleted when they are over', async () => {
    const { under, keeper, place, outcomes, service } = await keeping()
    await keeper.keep()
    await keeper.keep()
    expect(place.files.size).toBe(1)
    const [name = ''] = place.files.keys()
    expect(name).toMatch(/^longhold-kms-\d{8}T\d{6}Z-[0-9a-f]{32}\.lhb$/u)
    expect(outcomes).toMatchObject([{ fileName: name, byteLength: place.files.get(name) }])
    // Kept long enough to be the newest: nothing is due.
    under.advance(day / 2)
    await keeper.keep()
    expect(place.files.size).toBe(1)
    under.advance(day / 2)
    await keeper.keep()
    expect(place.files.size).toBe(2)
    under.advance(2 * day)
    await keeper.keep()
    expect([...place.files.keys()]).not.toContain(name)
    const known = (await service.backups.every()).map(({ fileName }) => fileName)
    expect(new Set(known)).toEqual(new Set(place.files.keys()))
  })

  test('that failed leave nothing, and are tried again a while later', async () => {
    const { under, keeper, place, outcomes, service } = await keeping()
    place.isFull = true
    await keeper.keep()
    expect(outcomes).toMatchObject([{ code: 'storage_unavailable' }])
    expect(await service.backups.every()).toEqual([])
    expect(service.backups.isBusy).toBe(false)
    place.isFull = false
    await keeper.keep()
    expect(place.files.size).toBe(0)
    under.advance(16 * 60_000)
    await keeper.keep()
    expect(place.files.size).toBe(1)
  })

  test('are not made where one that was handed out is new enough', async () => {
    const { under, keeper, place, service } = await keeping()
    const { row } = await takeBackup(service, under.admin)
    await service.backups.confirm(under.admin, row.backup, row.sha256 ?? new Uint8Array())
    await keeper.keep()
    expect(place.files.size).toBe(0)
  })

  test('are not deleted by a clock that jumped', async () => {
    const { under, keeper, place, service } = await keeping()
    await keeper.keep()
    await service.life.upkeep.run()
    under.jump(10 * day)
    await service.life.upkeep.run()
    await keeper.keep()
    expect(place.files.size).toBe(2)
    await service.life.acceptClock(under.admin)
    await keeper.keep()
    expect(place.files.size).toBe(1)
  })
})

test('a backup whose reader goes away makes room for the next', async () => {
  const under = await startTestService({ keys: ['a'] })
  const headers = { authorization: `Bearer ${under.adminToken}` }
  const response = await under.app.request('/v1/sys/backups', { method: 'POST', headers })
  expect(response.headers.get('content-type')).toBe('application/octet-stream')
  expect(response.headers.get('cache-control')).toBe('no-store')
  const reader = response.body?.getReader()
  await reader?.read()
  expect(under.service.backups.isBusy).toBe(true)
  const second = await under.app.request('/v1/sys/backups', { method: 'POST', headers })
  expect(await second.json()).toMatchObject({ code: 'invalid_state' })
  await reader?.cancel()
  expect(under.service.backups.isBusy).toBe(false)
  expect((await takeBackup(under.service)).row.sha256).not.toBeNull()
})

test('a service that is closed ends the backup under way', async () => {
  const under = await startTestService({ keys: ['a'] })
  const headers = { authorization: `Bearer ${under.adminToken}` }
  const response = await under.app.request('/v1/sys/backups', { method: 'POST', headers })
  await under.service.close()
  await expect(response.arrayBuffer()).rejects.toThrow()
})
