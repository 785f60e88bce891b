/** A store that fails, or does not answer, while the service runs on it. */

import { join } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'

import { ServiceError } from '../../src/service/errors.ts'
import type { Commit, KeyStore } from '../../src/service/key-store.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { openConnection, storageError } from '../../src/store/sqlite/connection.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { prepareWrites, runCommit } from '../../src/store/sqlite/writes.ts'
import { temporaryDirectory } from '../support/files.ts'
import { encodeStanza, hexOf, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

/** `store` with commits that are made by `commit`. */
function withCommit(store: KeyStore, commit: KeyStore['commit']): KeyStore {
  return new Proxy(store, {
    get(target, name: keyof KeyStore) {
      if (name === 'commit') return commit
      return (target[name] as (...args: unknown[]) => Promise<unknown>).bind(target)
    },
  })
}

async function unwrapper(under: TestService) {
  const { stanza, dataKey } = await wrapFor(under.client(), ['a'])
  const item = { id: '1', keyId: dataKey.keyId, stanza: encodeStanza(stanza), context: [] }
  return async (): Promise<string> => {
    const [one] = await under.service.unwrap(under.admin, [item])
    return one === undefined || one.answer instanceof ServiceError ? 'refused' : hexOf(one.answer.dataKey)
  }
}

describe('a database that may have no more pages (SQLITE_FULL)', () => {
  test('changes nothing, answers nothing, and goes on when it may', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const inner = SqliteStore.open({ path })
    onTestFinished(() => inner.close())
    // A writer of its own, whose pages are limited: the limit is one of the connection.
    const connection = openConnection(path, { readonly: false, busyTimeoutMs: 100 })
    onTestFinished(() => void connection.client.close())
    const writes = prepareWrites(connection)
    const store = withCommit(inner, async (commit: Commit) => {
      try {
        return runCommit(writes, commit)
      } catch (error) {
        throw storageError(error)
      }
    })
    const under = await startTestService({ store, keys: ['a'] })
    const unwrap = await unwrapper(under)
    const opened = await unwrap()
    const pages = Number(connection.client.pragma('page_count', { simple: true }))
    connection.client.pragma(`max_page_count = ${pages}`)

    let rotations = 0
    let failure: unknown
    while (failure === undefined && rotations < 500) {
      try {
        await under.service.life.versions.rotate(under.admin, 'a')
        rotations += 1
      } catch (error) {
        failure = error
      }
    }
    expect(failure).toMatchObject({
      code: 'storage_unavailable',
      message: expect.stringContaining('SQLITE_FULL') as string,
      hint: expect.stringContaining('disk is full') as string,
    })
    // Small entries may still fit into the last page.
    let refusal: unknown
    for (let attempt = 0; refusal === undefined && attempt < 500; attempt++) {
      refusal = await unwrap().then(
        () => undefined,
        (error: unknown) => error,
      )
    }
    expect(refusal).toMatchObject({ code: 'audit_unavailable' })
    const versions = await inner.rows('versions', { limit: 1000 })
    expect(versions).toHaveLength(1 + rotations)
    expect(versions.filter(({ state }) => state === 'primary')).toHaveLength(1)

    connection.client.pragma('max_page_count = 1000000')
    expect(await unwrap()).toBe(opened)
    await under.service.life.versions.rotate(under.admin, 'a')
    expect(await inner.rows('versions', { limit: 1000 })).toHaveLength(2 + rotations)
    await under.service.verifyRows()
    expect(await under.verifyAudit()).toMatchObject({ ok: true, faults: [] })
  })
})

describe('a commit that hangs', () => {
  test('is audit_unavailable at the deadline, for all that wait, and what was done late is known afterwards', async () => {
    const inner = new MemoryStore()
    let release = (): void => undefined
    let isHolding = false
    const store = withCommit(inner, async (commit) => {
      if (isHolding) await new Promise<void>((resolve) => (release = resolve))
      return await inner.commit(commit)
    })
    const under = await startTestService({ store, keys: ['a'], auditDeadlineMs: 50 })
    const unwrap = await unwrapper(under)
    const opened = await unwrap()
    isHolding = true
    const rotating = under.service.life.versions.rotate(under.admin, 'a')
    const waiting = Array.from({ length: 20 }, () => unwrap())
    for (const one of [rotating, ...waiting])
      await expect(one).rejects.toMatchObject({ code: 'audit_unavailable' })
    isHolding = false
    release()
    // The rotation was under way, and was made; what waited behind it was never begun.
    expect(await unwrap()).toBe(opened)
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 2 })
    expect(await under.verifyAudit()).toMatchObject({ ok: true, faults: [] })
    const runs = await inner.auditRuns()
    const entries = await Promise.all(runs.map((run) => inner.auditEntries(run, { limit: 1000 })))
    const actions = entries.flat().map(({ body }) => (JSON.parse(body) as { action: string }).action)
    expect(actions.filter((action) => action === 'unwrap')).toHaveLength(2)
    expect(actions.filter((action) => action === 'key.rotate')).toHaveLength(1)
  })

  test('holds up nobody who needs no entry', async () => {
    const inner = new MemoryStore()
    let isHolding = false
    const store = withCommit(inner, async (commit) => {
      if (isHolding) await new Promise<never>(() => undefined)
      return await inner.commit(commit)
    })
    const under = await startTestService({ store, keys: ['a'], auditDeadlineMs: 20 })
    isHolding = true
    await expect(under.service.life.versions.rotate(under.admin, 'a')).rejects.toMatchObject({
      code: 'audit_unavailable',
    })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 1 })
    const readyz = await under.app.request('/readyz')
    expect(readyz.status).toBe(200)
  })
})
