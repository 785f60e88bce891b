import { createHash } from 'node:crypto'
import { join } from 'node:path'

import { decryptStream, generateIdentity } from '@longhold/core'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import { backupContext } from '../../src/service/backup-format.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { makeBackup, offline, takeBackup } from '../support/backups.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService } from '../support/service.ts'

const day = 86_400_000

async function actionsOf(under: Awaited<ReturnType<typeof startTestService>>): Promise<string[]> {
  const actions: string[] = []
  for (const run of await under.store.auditRuns()) {
    for (const { body } of await under.store.auditEntries(run, { limit: 1000 })) {
      actions.push((JSON.parse(body) as { action: string }).action)
    }
  }
  return actions.filter((action) => action.startsWith('backup.'))
}

describe('a backup', () => {
  test('is on record before its first byte, with its digest before its last', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { backups } = under.service
    const underWay = await backups.begin(under.admin)
    const id = underWay?.row.backup ?? ''
    expect(await actionsOf(under)).toEqual(['backup.create'])
    expect(await backups.get(id)).toMatchObject({ epoch: null, sha256: null, confirmedAt: null })
    const hash = createHash('sha256')
    let last: Uint8Array | undefined
    for await (const piece of underWay?.pieces() ?? []) {
      hash.update(piece)
      last = piece
    }
    expect(last?.length).toBeGreaterThan(0)
    await underWay?.close()
    const row = await backups.get(id)
    expect(Buffer.from(row.sha256 ?? []).toString('hex')).toBe(hash.digest('hex'))
    expect(await actionsOf(under)).toEqual(['backup.create', 'backup.finish'])
    expect(row).toMatchObject({ confirmedAt: null, fileName: null })
    expect(
      (await backups.confirm(under.admin, id, row.sha256 ?? new Uint8Array())).confirmedAt,
    ).not.toBeNull()
    expect(await actionsOf(under)).toEqual(['backup.create', 'backup.finish', 'backup.confirm'])
  })

  test('opens for its recipients alone', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await takeBackup(under.service)
    const open = async (identity: typeof offline, context: Record<string, string>) => {
      const opened = new Blob([new Uint8Array(bytes)])
        .stream()
        .pipeThrough(decryptStream({ identities: [identity], context }))
      return await new Response(opened).bytes()
    }
    expect((await open(offline, backupContext)).length).toBeGreaterThan(1000)
    await expect(open(generateIdentity(), backupContext)).rejects.toMatchObject({ code: 'not_a_recipient' })
    await expect(open(offline, {})).rejects.toMatchObject({ code: 'cannot_open' })
  })

  test('is refused where nobody could open it, and while another is under way', async () => {
    const under = await startTestService({ backups: { recipients: [] } })
    await expect(under.service.backups.begin(under.admin)).rejects.toMatchObject({
      code: 'no_backup_recipients',
    })
    const other = await startTestService()
    const underWay = await other.service.backups.begin(other.admin)
    await expect(other.service.backups.begin(other.admin)).rejects.toMatchObject({ code: 'invalid_state' })
    await underWay?.close()
    const both = [1, 2].map(() => other.service.backups.begin(other.admin))
    const begun = await Promise.allSettled(both)
    expect(begun.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await (await both[0])?.close()
    await takeBackup(other.service)
  })

  test('that was given up half-way is known, and confirmed by nobody', async () => {
    const under = await startTestService({ keys: ['a'] })
    const underWay = await under.service.backups.begin(under.admin)
    const pieces = underWay?.pieces()
    expect((await pieces?.next())?.done).toBe(false)
    await underWay?.close()
    await expect(pieces?.next()).rejects.toMatchObject({ code: 'invalid_state' })
    const [row] = await under.service.backups.every()
    expect(row).toMatchObject({ sha256: null })
    await expect(
      under.service.backups.confirm(under.admin, row?.backup ?? '', new Uint8Array(32)),
    ).rejects.toMatchObject({ code: 'invalid_state' })
    const version = await under.service.life.versions.get(under.admin, 'a', 1)
    // What was in it may be anywhere.
    expect(await under.service.life.backupsHolding(version)).toMatchObject([{ backup: row?.backup }])
  })

  test('is not confirmed by whoever has another file', async () => {
    const under = await startTestService()
    const { row } = await takeBackup(under.service)
    await expect(
      under.service.backups.confirm(under.admin, row.backup, new Uint8Array(32)),
    ).rejects.toMatchObject({ code: 'invalid_state' })
    await expect(
      under.service.backups.confirm(under.admin, '0'.repeat(32), new Uint8Array(32)),
    ).rejects.toMatchObject({ code: 'not_found' })
  })

  test('that takes too long ends without its end', async () => {
    const under = await startTestService({
      keys: ['a'],
      backups: { recipients: [offline.recipient], maxMs: 0 },
    })
    await expect(takeBackup(under.service)).rejects.toMatchObject({
      code: 'invalid_state',
      message: expect.stringContaining('too long') as string,
    })
    expect((await under.service.backups.every()).map(({ sha256 }) => sha256)).toEqual([null])
    expect(under.service.backups.isBusy).toBe(false)
  })

  test('of a database that was altered has no end', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const under = await startTestService({ store: SqliteStore.open({ path }), keys: ['a'] })
    const outside = new Database(path)
    outside.prepare(`update versions set state_changed_at = 5`).run()
    outside.close()
    await expect(takeBackup(under.service)).rejects.toMatchObject({ code: 'integrity_violation' })
    expect((await under.service.backups.every()).map(({ sha256 }) => sha256)).toEqual([null])
  })

  test('that is over is forgotten with the next, and does not hold a version any more', async () => {
    const under = await startTestService({
      keys: ['a'],
      backups: { recipients: [offline.recipient], lifeMs: day },
    })
    const { row } = await makeBackup(under.service)
    const version = await under.service.life.versions.get(under.admin, 'a', 1)
    expect(await under.service.life.backupsHolding(version)).toMatchObject([{ backup: row.backup }])
    under.advance(2 * day)
    expect(await under.service.life.backupsHolding(version)).toEqual([])
    const next = await makeBackup(under.service)
    expect((await under.service.backups.every()).map(({ backup }) => backup)).toEqual([next.row.backup])
    await under.service.backups.remove(under.admin, next.row.backup)
    expect(await under.service.backups.every()).toEqual([])
  })
})
