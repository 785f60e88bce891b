import { join } from 'node:path'

import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { readCheckpoint } from '../../src/service/checkpoint.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService } from '../support/service.ts'

describe('a checkpoint', () => {
  test('says where the log ends, what is final, and is signed', async () => {
    const { service, admin } = await startTestService({ keys: ['a'] })
    await service.life.versions.rotate(admin, 'a')
    await service.life.versions.setState(admin, 'a', 1, 'compromised')
    const { checkpoint, line } = await service.checkpoints.create(admin)
    expect(checkpoint).toBe(1)
    const read = readCheckpoint(service.signer, line)
    expect(read).toMatchObject({ number: 1, finalVersions: [{ key: 'a', version: 1, state: 'compromised' }] })
    expect(read.chains).toHaveLength(2)
    expect(await service.verifyAudit(admin, [line])).toMatchObject({ ok: true, faults: [] })
    expect((await service.checkpoints.create(admin)).checkpoint).toBe(2)
    const all = await service.checkpoints.list({ after: undefined, limit: 10 })
    expect(all.map(({ checkpoint: number }) => number)).toEqual([1, 2])
  })

  test('finds a log that was cut, and says so', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const store = SqliteStore.open({ path })
    onTestFinished(() => store.close())
    const { service, admin } = await startTestService({ store, keys: ['a'] })
    const { line } = await service.checkpoints.create(admin)
    const seq = readCheckpoint(service.signer, line).chains.at(-1)?.seq ?? 0
    const outside = new Database(path)
    onTestFinished(() => void outside.close())
    outside.prepare('delete from audit_entries where seq = ?').run(seq)
    const { ok, faults } = await service.verifyAudit(admin, [line])
    expect(ok).toBe(false)
    expect(faults.join('\n')).toContain(`entry ${seq} is not the one that checkpoint 1 saw`)
  })

  test('of another service is refused', async () => {
    const here = await startTestService()
    const there = await startTestService()
    const { line } = await there.service.checkpoints.create(there.admin)
    await expect(here.service.verifyAudit(here.admin, [line])).rejects.toMatchObject({
      code: 'malformed_request',
    })
  })
})

describe('reading the log', () => {
  test('filters, goes on where the page ended, and is in the log itself', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    for (const key of ['a', 'b', 'a', 'a']) await under.service.life.versions.rotate(under.admin, key)
    const { audit } = under.client()
    const bodies = async (filter: Parameters<typeof audit.events>[0]) => {
      const found: Record<string, unknown>[] = []
      for await (const page of audit.events(filter)) {
        found.push(...page.map(({ body }) => JSON.parse(body) as Record<string, unknown>))
      }
      return found
    }
    const rotations = await bodies({ action: 'key.rotate', key: 'a' })
    expect(rotations.map(({ version }) => version)).toEqual([2, 3, 4])
    expect(await bodies({ action: 'key.rotate', until: '2020-01-01T00:00:00.000Z' })).toEqual([])
    const readings = await bodies({ action: 'audit.read' })
    expect(readings[0]).toMatchObject({ filter: { action: 'key.rotate', key: 'a' } })

    const seen: number[] = []
    let cursor = ''
    for (;;) {
      const path = `/v1/audit/events?action=key.rotate&limit=1${cursor}`
      const response = await under.app.request(path, {
        headers: { authorization: `Bearer ${under.adminToken}` },
      })
      const { items, next_cursor: next } = (await response.json()) as {
        items: { seq: number }[]
        next_cursor?: string
      }
      seen.push(...items.map(({ seq }) => seq))
      if (next === undefined) break
      cursor = `&cursor=${encodeURIComponent(next)}`
    }
    expect(seen).toHaveLength(4)
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
  })
})
