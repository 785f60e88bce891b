import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import { acceptRollback } from '../../src/server/accept-rollback.ts'
import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import { AnchorFile } from '../../src/store/anchor-file.ts'
import { temporaryDirectory } from '../support/files.ts'
import { readToken } from '../support/service.ts'

/** A service that went on after its database was copied, and has the copy in its place now. */
async function putBack() {
  const dataDir = temporaryDirectory()
  const paths = { dataDir, adminSocket: 'none' }
  const { database, tokenFile } = await initService({ ...paths, firstKey: 'a' })
  const logged: string[] = []
  const serving = async (requests: (url: string, token: string) => Promise<void>) => {
    const log = ({ message }: { message: string }) => void logged.push(message)
    const service = await startService({ ...paths, port: 0, log })
    try {
      await requests(service.url, readToken(tokenFile))
    } finally {
      await service.close()
    }
  }
  const rotate = (times: number) =>
    serving(async (url, token) => {
      for (let time = 0; time < times; time++) {
        const response = await fetch(`${url}/v1/keys/a/rotate`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: '{}',
        })
        expect(response.status).toBe(200)
      }
    })
  await rotate(1)
  const copy = join(dataDir, 'copy.db')
  copyFileSync(database, copy)
  await rotate(2)
  for (const side of ['', '-wal', '-shm']) rmSync(database + side, { force: true })
  copyFileSync(copy, database)
  return { paths, database, serving, logged, anchor: new AnchorFile(join(dataDir, 'anchor.json')) }
}

type Answer = { status: number; code: string | undefined }

async function answers(url: string, token: string): Promise<Record<string, Answer>> {
  const headers = { authorization: `Bearer ${token}` }
  const asked = await Promise.all(
    ['/livez', '/readyz', '/v1/keys', '/v1/keys/a/public-key'].map(async (path) => {
      const response = await fetch(url + path, { headers })
      const { code } = (await response.json()) as { code?: string }
      return [path, { status: response.status, code }] as const
    }),
  )
  return Object.fromEntries(asked)
}

const refused = { status: 503, code: 'rollback_detected' }
const served = { status: 200, code: undefined }

describe('a database that was put back', () => {
  test('is served nothing from, until somebody accepts it', async () => {
    const { paths, serving, logged, anchor } = await putBack()
    const before = await anchor.read()
    await serving(async (url, token) => {
      expect(await answers(url, token)).toEqual({
        '/livez': served,
        '/readyz': refused,
        '/v1/keys': refused,
        '/v1/keys/a/public-key': refused,
      })
    })
    const [, database, newest] =
      /the database is at epoch (\d+), and was at (\d+) before/u.exec(logged.join('\n')) ?? []
    expect(before?.epoch).toBe(Number(newest))
    expect(await anchor.read()).toEqual(before)

    const other = {
      code: 'rollback_detected',
      hint: expect.stringContaining(`--epochs ${database}:${newest}`) as string,
    }
    await expect(acceptRollback(paths)).rejects.toMatchObject(other)
    await expect(
      acceptRollback({ ...paths, epochs: `${database}:${Number(newest) + 1}` }),
    ).rejects.toMatchObject(other)
    expect(await anchor.read()).toEqual(before)

    expect(await acceptRollback({ ...paths, epochs: `${database}:${newest}` })).toMatchObject({
      databaseEpoch: Number(database),
      anchorEpoch: Number(newest),
    })
    // Above both: no head is ever made twice.
    expect((await anchor.read())?.epoch).toBe(Number(newest) + 1)
    expect(await acceptRollback({ ...paths, epochs: 'any' })).toBeUndefined()
    await serving(async (url, token) => {
      expect(Object.values(await answers(url, token))).toEqual([served, served, served, served])
    })
  })

  test('is accepted on record', async () => {
    const { paths, database } = await putBack()
    const accepted = await acceptRollback({ ...paths, epochs: 'any' })
    const outside = new Database(database)
    const bodies = outside.prepare('select body from audit_entries').pluck().all() as string[]
    outside.close()
    const entries = bodies.map((body) => JSON.parse(body) as Record<string, unknown>)
    expect(entries.filter(({ action }) => action === 'rollback.accept')).toMatchObject([
      { epoch: accepted?.databaseEpoch, anchor_epoch: accepted?.anchorEpoch },
    ])
  })

  test('and altered cannot be accepted', async () => {
    const { paths, database, anchor } = await putBack()
    const before = await anchor.read()
    const outside = new Database(database)
    outside.prepare(`update tokens set permissions = '["wrap"]'`).run()
    outside.close()
    await expect(acceptRollback({ ...paths, epochs: 'any' })).rejects.toMatchObject({
      code: 'integrity_violation',
    })
    expect(await anchor.read()).toEqual(before)
  })

  test('is accepted by nobody who has no slot, or while it is in use', async () => {
    const { paths, serving } = await putBack()
    const stranger = { ...paths, passphrase: 'a passphrase of nobody', epochs: 'any' }
    await expect(acceptRollback(stranger)).rejects.toMatchObject({ code: 'wrong_secret' })
    await serving(async () => {
      await expect(acceptRollback({ ...paths, epochs: 'any' })).rejects.toMatchObject({
        code: 'database_in_use',
      })
    })
  })
})
