import { createHash } from 'node:crypto'
import { join } from 'node:path'

import { auditExportLine } from '@longhold/core/kms'
import type { AuditEntry } from '@longhold/core/kms'
import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { startsIn } from '../../src/service/audit-starts.ts'
import { readCheckpoint } from '../../src/service/checkpoint.ts'
import { integrityViolation } from '../../src/service/errors.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { everyRow } from '../../src/service/key-store.ts'
import { restoreBackup } from '../../src/service/restore.ts'
import { verifyAuditOf } from '../../src/service/service.ts'
import { fingerprint } from '../../src/service/signing.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { fileOf, makeBackup } from '../support/backups.ts'
import { temporaryDirectory } from '../support/files.ts'
import { MemoryOpener } from '../support/memory-opener.ts'
import { rowMacsOf, startTestService } from '../support/service.ts'
import type { TestService, TestServiceOptions } from '../support/service.ts'

const day = 86_400_000

function digestOf(entries: readonly AuditEntry[]): Uint8Array {
  const hash = createHash('sha256')
  for (const entry of entries) hash.update(auditExportLine(entry))
  return hash.digest()
}

async function exported(under: TestService, line: string): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = []
  for await (const page of under.client().audit.covered(line)) entries.push(...page)
  return entries
}

/** A service in its third run, with a checkpoint in the second and an export up to it. */
async function covered(store: KeyStore, options: TestServiceOptions = {}) {
  const under = await startTestService({ store, keys: ['a'], ...options })
  await under.service.life.versions.rotate(under.admin, 'a')
  const second = await under.second()
  await second.life.versions.rotate(under.admin, 'a')
  const { line } = await second.checkpoints.create(under.admin)
  await second.life.versions.rotate(under.admin, 'a')
  const third = await under.second()
  await third.life.versions.rotate(under.admin, 'a')
  const entries = await exported(under, line)
  const request = { checkpoint: line, exportSha256: digestOf(entries) }
  return { under, line, entries, request, third }
}

async function onDisk(options: TestServiceOptions = {}) {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  onTestFinished(() => store.close())
  const outside = new Database(path)
  onTestFinished(() => void outside.close())
  return { ...(await covered(store, options)), outside, store }
}

async function countEntries(store: KeyStore): Promise<number> {
  let count = 0
  for (const run of await store.auditRuns())
    count += (await store.auditEntries(run, { limit: 10_000 })).length
  return count
}

describe('pruning', () => {
  test('takes what checkpoint and export cover; the rest verifies, and the log says what became of it', async () => {
    const { under, line, entries, request } = await covered(new MemoryStore())
    const before = await countEntries(under.store)
    const row = await under.service.pruning.prune(under.admin, request)
    await under.service.pruning.settled()
    expect(row).toMatchObject({
      pruning: 1,
      checkpoint: 1,
      entries: entries.length,
      prunedBy: under.admin.principal.token,
    })
    expect(await countEntries(under.store)).toBe(before - entries.length + 1)
    expect(await under.verifyAudit()).toMatchObject({ ok: true, faults: [] })
    expect(await under.service.verifyAudit(under.admin, [line])).toMatchObject({ ok: true, faults: [] })

    const left: AuditEntry[] = []
    for await (const page of under.client().audit.events()) left.push(...page)
    const covering = readCheckpoint(under.service.signer, line).chains
    for (const { run, seq } of left) {
      expect(seq).toBeGreaterThan(covering.find((chain) => chain.run === run)?.seq ?? 0)
    }
    const event = left.map(({ body }) => JSON.parse(body) as object).find((one) => 'sha256' in one)
    expect(event).toMatchObject({
      action: 'audit.prune',
      checkpoint: 1,
      rows: entries.length,
      sha256: Buffer.from(request.exportSha256).toString('hex'),
      principal: under.admin.principal.token,
    })
    expect(await under.client().audit.listPrunings()).toMatchObject([{ number: 1, entries: entries.length }])
  })

  test('goes on from where the log begins, and never twice', async () => {
    const { under, request, entries } = await covered(new MemoryStore())
    const { service, admin } = under
    await service.pruning.prune(admin, request)
    await expect(service.pruning.prune(admin, request)).rejects.toMatchObject({
      code: 'invalid_state',
      message: 'the log begins at checkpoint 1 already',
    })
    const { line } = await service.checkpoints.create(admin)
    const more = await exported(under, line)
    expect(more.map(({ mac }) => mac)).not.toContain(entries[0]?.mac)
    const row = await service.pruning.prune(admin, { checkpoint: line, exportSha256: digestOf(more) })
    expect(row).toMatchObject({ pruning: 2, checkpoint: 2, entries: more.length })
    await service.pruning.settled()
    expect(await service.verifyAudit(admin, [request.checkpoint, line])).toMatchObject({
      ok: true,
      faults: [],
    })
    const fourth = await under.second()
    expect(await fourth.verifyAudit(admin, [line])).toMatchObject({ ok: true, faults: [] })
  })

  test('is not done by a dry run', async () => {
    const { under, request } = await covered(new MemoryStore())
    const before = await countEntries(under.store)
    await under.service.pruning.prune({ ...under.admin, isDryRun: true }, request)
    await under.service.pruning.settled()
    expect(await countEntries(under.store)).toBe(before)
    expect(await everyRow(under.store, 'prunings')).toEqual([])
  })

  test('waits as long as is configured, and for ever where nothing is', async () => {
    const kept = await covered(new MemoryStore(), { auditRetentionMs: null })
    await expect(kept.under.service.pruning.prune(kept.under.admin, kept.request)).rejects.toMatchObject({
      code: 'invalid_state',
      message: 'this service keeps its audit log for ever',
    })
    const { under, request } = await covered(new MemoryStore(), { auditRetentionMs: 30 * day })
    under.advance(29 * day)
    const early = under.service.pruning.prune(under.admin, request)
    await expect(early).rejects.toMatchObject({
      message: expect.stringContaining('are kept until') as string,
    })
    under.advance(day)
    expect(await under.service.pruning.prune(under.admin, request)).toMatchObject({ pruning: 1 })
  })

  test('does not hurry because somebody set the clock', async () => {
    const { under, request } = await covered(new MemoryStore(), { auditRetentionMs: 30 * day })
    await under.service.life.upkeep.run()
    under.jump(31 * day)
    await expect(under.service.pruning.prune(under.admin, request)).rejects.toMatchObject({
      code: 'invalid_state',
    })
  })
})

describe('whoever would take more than is covered', () => {
  test.each<[string, (entries: AuditEntry[]) => AuditEntry[]]>([
    ['leaves one out', (entries) => entries.slice(1)],
    ['leaves the last out', (entries) => entries.slice(0, -1)],
    [
      'alters one',
      (entries) => entries.map((one, at) => (at === 2 ? { ...one, body: one.body.replace('a', 'b') } : one)),
    ],
    ['makes one up', (entries) => [...entries, { ...entries[0]!, seq: 99 }]],
    ['has them in another order', (entries) => entries.toReversed()],
    ['has nothing', () => []],
  ])('%s', async (_, forge) => {
    const { under, line, entries } = await covered(new MemoryStore())
    const before = await countEntries(under.store)
    const forged = { checkpoint: line, exportSha256: digestOf(forge(entries)) }
    await expect(under.service.pruning.prune(under.admin, forged)).rejects.toMatchObject({
      code: 'invalid_state',
      message: 'the export is not what is to be deleted',
    })
    expect(await countEntries(under.store)).toBe(before)
    expect(await everyRow(under.store, 'prunings')).toEqual([])
  })

  test('says a later end than the checkpoint was signed with', async () => {
    const { under, line, entries } = await covered(new MemoryStore())
    const { body, signature } = JSON.parse(line) as { body: string; signature: string }
    const last = entries.at(-1)?.seq ?? 0
    const altered = JSON.stringify({ body: body.replace(`"seq":${last},`, `"seq":${last + 1},`), signature })
    expect(altered).not.toBe(line)
    const request = { checkpoint: altered, exportSha256: digestOf(entries) }
    await expect(under.service.pruning.prune(under.admin, request)).rejects.toMatchObject({
      code: 'malformed_request',
      message: 'the checkpoint was not signed by this service',
    })
  })

  test('comes with the checkpoint of another cluster', async () => {
    const { under, entries } = await covered(new MemoryStore())
    const there = await covered(new MemoryStore())
    const request = { checkpoint: there.line, exportSha256: digestOf(entries) }
    await expect(under.service.pruning.prune(under.admin, request)).rejects.toMatchObject({
      code: 'malformed_request',
    })
  })

  test('has no permission for it, whatever else he may', async () => {
    const { under, request } = await covered(new MemoryStore())
    const token = await under.token(['audit.read', 'audit.verify', 'audit.checkpoint'])
    const sha256 = Buffer.from(request.exportSha256).toString('hex')
    await expect(under.client(token).audit.prune(request.checkpoint, sha256)).rejects.toMatchObject({
      message: expect.stringContaining('audit.prune') as string,
    })
    expect(await under.client().audit.prune(request.checkpoint, sha256)).toMatchObject({ number: 1 })
  })

  test('finds a log that was altered kept as evidence', async () => {
    const { under, request, outside, entries } = await onDisk()
    const { run, seq } = entries[3]!
    outside.prepare(`update audit_entries set body = '{}' where run = ? and seq = ?`).run(run, seq)
    await expect(under.service.pruning.prune(under.admin, request)).rejects.toMatchObject(
      integrityViolation(`chain ${run} of the audit log`),
    )
    expect(await everyRow(under.store, 'prunings')).toEqual([])
  })
})

describe('after pruning', () => {
  async function pruned() {
    const ready = await onDisk()
    await ready.under.service.pruning.prune(ready.under.admin, ready.request)
    await ready.under.service.pruning.settled()
    const runs = (await everyRow(ready.store, 'audit_heads')).toSorted((a, b) => a.ordinal - b.ordinal)
    return { ...ready, heads: runs }
  }

  test.each<[string, string, number, RegExp]>([
    [
      'an edit',
      `update audit_entries set body = '{}' where run = :run and seq = (select max(seq) from audit_entries where run = :run)`,
      2,
      /was altered/u,
    ],
    [
      'a cut tail',
      `delete from audit_entries where run = :run and seq = (select max(seq) from audit_entries where run = :run)`,
      3,
      /its head says/u,
    ],
    ['a tail that was cut off whole', `delete from audit_entries where run = :run`, 3, /its head says/u],
    [
      'a cut beginning',
      `delete from audit_entries where run = :run and seq = (select min(seq) from audit_entries where run = :run)`,
      2,
      /is missing/u,
    ],
    [
      'a chain that is gone',
      `delete from audit_entries where run = :run; delete from audit_heads where run = :run`,
      2,
      /the whole chain is missing/u,
    ],
    ['the pruning denied', `delete from prunings where :run is not null`, 1, /entry 1 is missing/u],
    [
      'a pruning of more',
      `update prunings set line = (select line from checkpoints where checkpoint = 2), checkpoint = 2 where :run is not null`,
      1,
      /row prunings 1/u,
    ],
  ])('%s shows', async (_, statements, chain, fault) => {
    const { under, outside, heads } = await pruned()
    await under.service.checkpoints.create(under.admin)
    expect(await under.verifyAudit()).toMatchObject({ ok: true, faults: [] })
    for (const statement of statements.split(';')) {
      expect(outside.prepare(statement).run({ run: heads[chain - 1]?.run }).changes).toBeGreaterThan(0)
    }
    const { ok, faults } = await under.verifyAudit()
    expect(ok).toBe(false)
    expect(faults.join('\n')).toMatch(fault)
  })

  test('a fork shows: another history from where the log begins', async () => {
    const { under, outside, line } = await pruned()
    const chain = readCheckpoint(under.service.signer, line).chains.at(-1)
    outside
      .prepare(`update audit_entries set mac = randomblob(32) where run = ? and seq = ?`)
      .run(chain?.run, (chain?.seq ?? 0) + 1)
    expect((await under.verifyAudit()).faults.join('\n')).toMatch(
      /follows another than it was written after/u,
    )
  })

  test('entries put back where nothing is any more are neither shown nor believed', async () => {
    const { under, outside, entries } = await pruned()
    const { run } = entries[0]!
    outside
      .prepare(
        `insert into audit_entries values (?, 1, '{"action":"unwrap","at":"2026-01-01T00:00:00Z"}', x'00')`,
      )
      .run(run)
    expect(await under.verifyAudit()).toMatchObject({ ok: true })
    const shown: string[] = []
    for await (const page of under.client().audit.events())
      shown.push(...page.map((one) => `${one.run} ${one.seq}`))
    expect(shown).not.toContain(`${run} 1`)
    // The next start takes them away.
    const next = await under.second()
    await next.pruning.settled()
    expect(await under.store.auditEntries(run, { limit: 1 })).not.toMatchObject([{ seq: 1 }])
  })

  test('a row that vouches for itself, with the checkpoint of another cluster, is not believed', async () => {
    const here = await covered(new MemoryStore())
    const there = await covered(new MemoryStore())
    const macs = await rowMacsOf(here.under)
    onTestFinished(() => macs.close())
    const row = {
      pruning: 1,
      checkpoint: 1,
      line: there.line,
      entries: 1,
      exportSha256: '',
      prunedAt: 0,
      prunedBy: 'nobody',
    }
    const stored = { ...row, generation: 1, mac: macs.tag('prunings', 1, row).mac }
    const reads = new Proxy(here.under.store, {
      get(target, name: keyof KeyStore) {
        const method = (target[name] as (...args: unknown[]) => Promise<unknown>).bind(target)
        return async (...args: unknown[]) =>
          name === 'rows' && args[0] === 'prunings' ? [stored] : await method(...args)
      },
    })
    const found = await startsIn(reads, macs, here.under.service.signer)
    expect(found.starts.size).toBe(0)
    expect(found.faults.join()).toMatch(/the checkpoint of pruning 1/u)
  })
})

test('a backup of what is left restores a log that is whole, from where it begins', async () => {
  const { under, request } = await covered(new MemoryStore())
  await under.service.pruning.prune(under.admin, request)
  await under.service.pruning.settled()
  const { bytes } = await makeBackup(under.service, under.admin)
  const [store, opener] = [new MemoryStore(), new MemoryOpener()]
  await restoreBackup({
    file: fileOf(bytes),
    fingerprint: fingerprint(under.service.signer.publicKey),
    target: async () => ({ store, opener, keepToken: () => undefined }),
  })
  expect(await everyRow(store, 'prunings')).toHaveLength(1)
  expect(await verifyAuditOf({ store, opener }, [request.checkpoint])).toMatchObject({ ok: true, faults: [] })
})

test('what a run had no time to delete, the next one deletes', async () => {
  const { under, request, entries } = await covered(new MemoryStore())
  let isStuck = true
  const store = under.store
  const forget = store.forgetAuditEntries.bind(store)
  store.forgetAuditEntries = async (run, page) =>
    isStuck ? await Promise.reject(new Error('gone')) : await forget(run, page)
  const before = await countEntries(store)
  await under.service.pruning.prune(under.admin, request)
  await under.service.pruning.settled()
  expect(await countEntries(store)).toBe(before + 1)
  expect(await under.verifyAudit()).toMatchObject({ ok: true })
  isStuck = false
  const next = await under.second()
  await next.pruning.settled()
  // The start is an entry too.
  expect(await countEntries(store)).toBe(before + 2 - entries.length)
  expect(await under.verifyAudit()).toMatchObject({ ok: true })
})
