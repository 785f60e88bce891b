import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'

import { KmsSysClient } from '@longhold/core/kms'
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
  const paths = { dataDir }
  const { database, tokenFile } = await initService({ ...paths, firstKey: 'a' })
  const logged: string[] = []
  const socket = join(dataDir, 'admin.sock')
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
  let shares: string[] = []
  await serving(async (url, token) => {
    const asked = { kind: 'shares', label: '', threshold: 2, count: 3 } as const
    shares = (await new KmsSysClient({ url, token }).addSlot(asked)).share_texts
  })
  const copy = join(dataDir, 'copy.db')
  copyFileSync(database, copy)
  await rotate(2)
  for (const side of ['', '-wal', '-shm']) rmSync(database + side, { force: true })
  copyFileSync(copy, database)
  return {
    paths,
    database,
    serving,
    socket,
    shares,
    logged,
    anchor: new AnchorFile(join(dataDir, 'anchor.json')),
  }
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

/** A request on the admin socket. */
async function ask(socketPath: string, body: object): Promise<{ status: number; json: unknown }> {
  return await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const asked = request(
      { socketPath, path: '/v1/sys/accept-rollback', method: 'POST', headers, agent: false },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.once('end', () => {
          resolve({ status: answer.statusCode ?? 0, json: JSON.parse(Buffer.concat(chunks).toString()) })
        })
      },
    )
    asked.once('error', reject)
    asked.end(JSON.stringify(body))
  })
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

describe('while the service runs, on its admin socket', () => {
  const nothing = { accepted: false, what: null, database_epoch: null, anchor_epoch: null, shares: null }

  test('whoever opens a slot accepts the epochs he was told, and it answers again', async () => {
    const { paths, serving, socket, anchor } = await putBack()
    const before = await anchor.read()
    await serving(async (url, token) => {
      const key_file = readFileSync(join(paths.dataDir, 'root.key')).toString('base64url')
      const named = await ask(socket, { key_file })
      expect(named).toMatchObject({ status: 200, json: { accepted: false, anchor_epoch: before?.epoch } })
      const { database_epoch: epoch, what } = named.json as { database_epoch: number; what: string }
      expect(what).toBe(`the database is at epoch ${epoch}, and was at ${before?.epoch} before`)
      expect(await ask(socket, { key_file, epochs: `${epoch}:1` })).toEqual(named)
      expect((await answers(url, token))['/v1/keys']).toEqual(refused)
      expect(await anchor.read()).toEqual(before)

      const accepted = await ask(socket, { key_file, epochs: `${epoch}:${before?.epoch}` })
      expect(accepted).toMatchObject({ status: 200, json: { accepted: true, what } })
      expect(Object.values(await answers(url, token))).toEqual([served, served, served, served])
      expect(await ask(socket, { key_file, epochs: 'any' })).toEqual({ status: 200, json: nothing })
    })
    expect((await anchor.read())?.epoch).toBeGreaterThan(before?.epoch ?? 0)
    // For good: the next start finds nothing either.
    await serving(async (url, token) => {
      expect((await answers(url, token))['/v1/keys']).toEqual(served)
    })
  })

  test('whoever has a share is one of several', async () => {
    const { serving, socket, shares } = await putBack()
    await serving(async (url, token) => {
      const [first, second] = shares
      const one = await ask(socket, { share: first, epochs: 'any' })
      expect(one).toEqual({ status: 200, json: { ...nothing, shares: { given: 1, threshold: 2 } } })
      expect((await answers(url, token))['/v1/keys']).toEqual(refused)
      const both = await ask(socket, { share: second, epochs: 'any' })
      expect(both).toMatchObject({ status: 200, json: { accepted: true, shares: null } })
      expect((await answers(url, token))['/v1/keys']).toEqual(served)
    })
  })

  test('nobody else accepts anything, and no other listener takes it', async () => {
    const { serving, socket, anchor } = await putBack()
    const before = await anchor.read()
    await serving(async (url, token) => {
      const wrong = { key_file: Buffer.alloc(32).toString('base64url'), epochs: 'any' }
      expect(await ask(socket, wrong)).toMatchObject({ status: 422, json: { code: 'wrong_secret' } })
      expect(await ask(socket, wrong)).toMatchObject({ status: 429, json: { code: 'rate_limited' } })
      for (const body of [{}, { epochs: 'any' }, { ...wrong, epochs: '1' }, { forget_shares: true }]) {
        expect(await ask(socket, body)).toMatchObject({ status: 400 })
      }
      const elsewhere = await fetch(`${url}/v1/sys/accept-rollback`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(wrong),
      })
      expect(elsewhere.status).toBe(404)
      expect((await answers(url, token))['/v1/keys']).toEqual(refused)
    })
    expect(await anchor.read()).toEqual(before)
  })
})
