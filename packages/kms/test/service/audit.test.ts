import { join } from 'node:path'

import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { auditHeads } from '../../src/service/audit-heads.ts'
import type { Commit, KeyStore } from '../../src/service/key-store.ts'
import { Service } from '../../src/service/service.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService } from '../support/service.ts'

/** A service whose log has entries in three runs. */
async function serviceWithHistory() {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  onTestFinished(() => store.close())
  const first = await startTestService({ store, keys: ['a', 'b'] })
  await first.service.life.versions.rotate(first.admin, 'a')
  const second = await Service.open({ store, opener: first.opener })
  onTestFinished(() => second.close())
  await second.life.versions.rotate(first.admin, 'b')
  await second.life.versions.rotate(first.admin, 'b')
  const outside = new Database(path)
  onTestFinished(() => void outside.close())
  const runs = (await auditHeads(store)).map(({ run }) => run)
  return { verifyAudit: first.verifyAudit, store, outside, runs }
}

describe('the audit log', () => {
  test('is whole when nobody touched it', async () => {
    const { verifyAudit, runs } = await serviceWithHistory()
    // Initialised; started, two keys, a rotation; started, two rotations.
    const newest = { run: runs[2], seq: 3, mac: expect.stringMatching(/^[0-9a-f]{64}$/u) as string }
    expect(await verifyAudit()).toEqual({ ok: true, runs: 3, entries: 1 + 4 + 3, faults: [], newest })
  })

  test('says who did what when, and nothing else', async () => {
    const { store, runs } = await serviceWithHistory()
    const entries = await store.auditEntries(runs[1] ?? '', { limit: 100 })
    const bodies = entries.map(({ body }) => JSON.parse(body) as Record<string, unknown>)
    expect(bodies.map(({ action }) => action)).toEqual([
      'service.start',
      'key.create',
      'key.create',
      'key.rotate',
    ])
    expect(Object.keys(bodies[3] ?? {})).toEqual([
      'at',
      'action',
      'principal',
      'request_id',
      'key',
      'version',
      'to',
    ])
  })

  test.each<[string, string, RegExp]>([
    [
      'an edited entry',
      `update audit_entries set body = replace(body, 'key.rotate', 'key.create') where run = :run and seq = 4`,
      /entry 4 was altered/u,
    ],
    ['a deleted entry', `delete from audit_entries where run = :run and seq = 2`, /entry 2 is missing/u],
    [
      'a deleted entry with the others moved up',
      `delete from audit_entries where run = :run and seq = 2;
       update audit_entries set seq = seq - 1 where run = :run and seq = 3;
       update audit_entries set seq = seq - 1 where run = :run and seq = 4`,
      /entry 2 was altered, or follows another/u,
    ],
    [
      'two entries in another order',
      `update audit_entries set seq = 99 where run = :run and seq = 2;
       update audit_entries set seq = 2 where run = :run and seq = 3;
       update audit_entries set seq = 3 where run = :run and seq = 99`,
      /entry 2 was altered, or follows another/u,
    ],
    ['a cut tail', `delete from audit_entries where run = :run and seq = 4`, /ends at 3, its head says 4/u],
    [
      'a cut tail with the head moved back',
      `delete from audit_entries where run = :run and seq = 4;
       update audit_heads set seq = 3, last_mac = (select mac from audit_entries where run = :run and seq = 3) where run = :run`,
      /altered head/u,
    ],
    ['a cut beginning', `delete from audit_entries where run = :run and seq = 1`, /entry 1 is missing/u],
    ['a missing head', `delete from audit_heads where run = :run`, /its head is missing/u],
    [
      'a whole chain gone',
      `delete from audit_entries where run = :run; delete from audit_heads where run = :run`,
      /the whole chain is missing/u,
    ],
    [
      'another chain made to look like the newest',
      `update audit_heads set ordinal = 99 where run = :run`,
      /no later chain names it/u,
    ],
    [
      'an entry copied from another chain',
      `update audit_entries set body = (select body from audit_entries where run <> :run and seq = 3),
       mac = (select mac from audit_entries where run <> :run and seq = 3) where run = :run and seq = 3`,
      /entry 3 was altered/u,
    ],
    [
      'an entry made up at the end',
      `insert into audit_entries select run, 5, body, mac from audit_entries where run = :run and seq = 4;
       update audit_heads set seq = 5 where run = :run`,
      /entry 5 was altered/u,
    ],
    [
      'another key version named',
      `update audit_heads set chain_key_version = 7 where run = :run`,
      /its key, version 7, is missing/u,
    ],
  ])('shows %s', async (_, statements, fault) => {
    const { verifyAudit, outside, runs } = await serviceWithHistory()
    for (const statement of statements.split(';')) {
      expect(outside.prepare(statement).run({ run: runs[1] }).changes).toBeGreaterThan(0)
    }
    const report = await verifyAudit()
    expect(report.ok).toBe(false)
    expect(report.faults.join('\n')).toMatch(fault)
  })

  test('of a store with nothing in it is not called whole', async () => {
    const { verifyAudit, outside } = await serviceWithHistory()
    outside.exec('delete from audit_entries; delete from audit_heads')
    expect(await verifyAudit()).toMatchObject({ ok: false, faults: ['there is no audit log'] })
  })
})

describe('writing the log', () => {
  /** A store that holds writes back until told. */
  function holdingBack(inner: KeyStore) {
    const held: (() => void)[] = []
    let isHolding = false
    const groups: number[] = []
    const store: KeyStore = new Proxy(inner, {
      get(target, name: keyof KeyStore) {
        const method = target[name] as (...args: unknown[]) => Promise<unknown>
        if (name !== 'commit') return method.bind(target)
        return async (commit: Commit) => {
          groups.push(commit.audit.entries.length)
          if (isHolding) await new Promise<void>((resolve) => held.push(resolve))
          return await target.commit(commit)
        }
      },
    })
    return {
      store,
      groups,
      hold: () => void (isHolding = true),
      release: () => {
        isHolding = false
        for (const resume of held.splice(0)) resume()
      },
    }
  }

  test('groups what arrives while a write is under way, and keeps its order', async () => {
    const holding = holdingBack(new MemoryStore())
    const { service, admin, store, verifyAudit } = await startTestService({
      between: () => holding.store,
      store: holding.store,
    })
    holding.groups.length = 0
    holding.hold()
    const denied = Array.from({ length: 100 }, (_, index) =>
      service.recordDenied({ ...admin, requestId: `r${index}` }, 'unwrap'),
    )
    // The first turn takes what is there; the rest waits for it.
    await new Promise((resolve) => setImmediate(resolve))
    const late = Array.from({ length: 50 }, (_, index) =>
      service.recordDenied({ ...admin, requestId: `late${index}` }, 'unwrap'),
    )
    await new Promise((resolve) => setImmediate(resolve))
    holding.release()
    await Promise.all([...denied, ...late])
    expect(holding.groups).toEqual([100, 50])
    const [run] = (await auditHeads(store)).slice(-1)
    const entries = await store.auditEntries(run?.run ?? '', { after: 1, limit: 1000 })
    expect(entries.map(({ body }) => (JSON.parse(body) as { request_id: string }).request_id)).toEqual([
      ...Array.from({ length: 100 }, (_, index) => `r${index}`),
      ...Array.from({ length: 50 }, (_, index) => `late${index}`),
    ])
    expect(await verifyAudit()).toMatchObject({ ok: true })
  })

  test('gives up at the deadline, and goes on when the store does', async () => {
    const holding = holdingBack(new MemoryStore())
    const { service, admin, verifyAudit } = await startTestService({
      store: holding.store,
      auditDeadlineMs: 20,
    })
    holding.hold()
    await expect(service.recordDenied(admin, 'unwrap')).rejects.toMatchObject({ code: 'audit_unavailable' })
    // Waiting in line behind the one that hangs is no better.
    await expect(service.recordDenied(admin, 'unwrap')).rejects.toMatchObject({ code: 'audit_unavailable' })
    holding.release()
    await service.recordDenied(admin, 'unwrap')
    expect(await verifyAudit()).toMatchObject({ ok: true })
  })

  test('a failed write fails those in it, and the chain goes on unbroken', async () => {
    const inner = new MemoryStore()
    let isBroken = false
    const between = new Proxy(inner, {
      get(target, name: keyof KeyStore) {
        const method = target[name] as (...args: unknown[]) => Promise<unknown>
        return async (...args: unknown[]) => {
          if (isBroken && name === 'commit') throw new TypeError('CANARY in a driver')
          return await method.apply(target, args)
        }
      },
    })
    const { service, admin, verifyAudit } = await startTestService({ store: between })
    isBroken = true
    const failure = await service.recordDenied(admin, 'unwrap').catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'audit_unavailable' })
    expect((failure as Error).message).not.toContain('CANARY')
    isBroken = false
    await service.recordDenied(admin, 'unwrap')
    expect(await verifyAudit()).toMatchObject({ ok: true })
  })

  test('an outcome nobody saw is found out from the store', async () => {
    const inner = new MemoryStore()
    let losesTheAnswer = false
    const between = new Proxy(inner, {
      get(target, name: keyof KeyStore) {
        const method = target[name] as (...args: unknown[]) => Promise<unknown>
        return async (...args: unknown[]) => {
          const answer = await method.apply(target, args)
          if (losesTheAnswer && name === 'commit') throw new Error('the connection broke after the commit')
          return answer
        }
      },
    })
    const { service, admin, verifyAudit } = await startTestService({ store: between })
    losesTheAnswer = true
    await expect(service.recordDenied(admin, 'unwrap')).rejects.toMatchObject({ code: 'audit_unavailable' })
    losesTheAnswer = false
    await service.recordDenied(admin, 'unwrap')
    expect(await verifyAudit()).toMatchObject({ ok: true, entries: 1 + 1 + 2 })
  })
})
