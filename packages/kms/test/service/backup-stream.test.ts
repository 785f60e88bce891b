import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { Identities } from '../../src/service/identities.ts'
import { everyRow } from '../../src/service/key-store.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { OwnKeys } from '../../src/service/own-keys.ts'
import { openRoot } from '../../src/service/root-opening.ts'
import { BackupFolder } from '../../src/store/backup-folder.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { makeBackup, offline, takeBackup } from '../support/backups.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService } from '../support/service.ts'

/** A secret as it could be written down. */
function spellings(secret: Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString('hex')
  const base64 = bytes.toString('base64').replace(/=+$/u, '')
  const texts = [hex, hex.toUpperCase(), base64, bytes.toString('base64url')]
  return [bytes, ...texts.map((text) => Buffer.from(text))]
}

test('no seed, root, key of the service or token is in a backup, handed out or in a folder', async () => {
  const place = temporaryDirectory()
  const folder = new BackupFolder(place)
  const under = await startTestService({
    keys: ['a', 'b'],
    backups: { recipients: [offline.recipient], place: folder },
  })
  const { store, opener, service, admin, adminToken } = under
  const token = await under.token(['unwrap'])
  const secrets = new Map<string, Uint8Array>([
    ['token', Buffer.from(adminToken)],
    ['secret of the token', Buffer.from(adminToken.slice(-43), 'base64url')],
    ['another token', Buffer.from(token)],
  ])
  const { root } = await openRoot(opener, store)
  await root.lendSecrets(async (version, bytes) => void secrets.set(`root ${version}`, new Uint8Array(bytes)))
  const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
  for (const purpose of ['token-pepper', 'row-mac', 'audit-chain', 'signing'] as const) {
    const { secret } = ownKeys.newest(purpose)
    secrets.set(
      purpose,
      secret.use((bytes) => new Uint8Array(bytes)),
    )
  }
  const identities = new Identities(root)
  for (const row of await everyRow(store, 'versions')) {
    const seed = identities.copySeed(row)
    secrets.set(
      `seed of ${row.key}`,
      seed.use((bytes) => new Uint8Array(bytes)),
    )
  }
  const { bytes } = await makeBackup(service, admin)
  await service.backupKeeper.write(admin)
  const places = new Map([['handed out', Buffer.from(bytes)]])
  for (const name of readdirSync(place)) places.set(name, readFileSync(join(place, name)))
  expect(places.size).toBe(2)
  expect(secrets.size).toBe(10)
  const found = [...secrets].flatMap(([what, secret]) =>
    [...places].flatMap(([where, content]) =>
      spellings(secret).some((spelling) => content.includes(spelling)) ? [`${what} in ${where}`] : [],
    ),
  )
  expect(found).toEqual([])
})

/** A store that says how many rows and entries were read of its snapshots. */
function counted(store: KeyStore, counts: { rows: number; mostAtOnce: number }): KeyStore {
  return new Proxy(store, {
    get(target, member: keyof KeyStore) {
      const method = (target[member] as (...args: unknown[]) => unknown).bind(target)
      if (member !== 'snapshot') return method
      return async () => {
        const snapshot = await target.snapshot()
        return {
          ...snapshot,
          rows: async (...args: Parameters<typeof snapshot.rows>) => {
            const rows = await snapshot.rows(...args)
            counts.rows += rows.length
            counts.mostAtOnce = Math.max(counts.mostAtOnce, rows.length)
            return rows
          },
        }
      }
    },
  })
}

describe('a backup of many rows', () => {
  test('reads no further ahead than whoever takes it', async () => {
    const counts = { rows: 0, mostAtOnce: 0 }
    const path = join(temporaryDirectory(), 'kms.db')
    const under = await startTestService({
      store: SqliteStore.open({ path }),
      keys: ['a'],
      between: (store) => counted(store, counts),
    })
    for (let made = 0; made < 900; made++) await under.service.life.versions.rotate(under.admin, 'a')
    counts.rows = 0
    const underWay = await under.service.backups.begin(under.admin)
    const pieces = underWay?.pieces()
    await pieces?.next()
    await pieces?.next()
    // What is read stands still with the reader.
    for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve))
    const ahead = counts.rows
    await underWay?.close()
    counts.rows = 0
    const { bytes } = await takeBackup(under.service)
    expect(bytes.length).toBeGreaterThan(1_400_000)
    expect(counts.rows).toBeGreaterThan(900)
    // Two pages that are under way, and one that is begun.
    expect(ahead).toBeLessThanOrEqual(3 * 200)
    expect(counts.mostAtOnce).toBeLessThanOrEqual(200)
  })
})
