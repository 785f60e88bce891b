import { describe, expect, onTestFinished, test, vi } from 'vitest'

import { ServiceError } from '../../src/service/errors.ts'
import { everyRow } from '../../src/service/key-store.ts'
import type { Commit, KeyStore, Outcome } from '../../src/service/key-store.ts'
import { PostgresStore } from '../../src/store/postgres/store.ts'
import { describePostgres } from '../support/postgres.ts'
import { appOf, startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

interface Sent {
  path?: string
  method?: string
  key?: string
  token?: string
  body?: unknown
  headers?: Record<string, string>
}

async function send(under: TestService, { path = '/v1/keys', method = 'POST', ...sent }: Sent) {
  const headers = {
    authorization: `Bearer ${sent.token ?? under.adminToken}`,
    'content-type': 'application/json',
    ...(sent.key === undefined ? {} : { 'idempotency-key': sent.key }),
    ...sent.headers,
  }
  const body = sent.body === undefined ? null : JSON.stringify(sent.body)
  const response = await under.app.request(path, { method, headers, body })
  const text = await response.text()
  return {
    status: response.status,
    text,
    code: text === '' ? undefined : (JSON.parse(text) as { code?: string }).code,
    etag: response.headers.get('etag'),
    isReplay: response.headers.get('idempotent-replay') === 'true',
  }
}

describe('a change that is sent again under its key', () => {
  test('gets the answer of the first time, and happens once', async () => {
    const under = await startTestService({ keys: ['a'] })
    const rotation = { path: '/v1/keys/a/rotate', key: 'k1' }
    const first = await send(under, rotation)
    const second = await send(under, rotation)
    expect(first).toMatchObject({ status: 200, isReplay: false, etag: '"2"' })
    expect(second).toEqual({ ...first, isReplay: true })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 2 })
    expect(await send(under, { ...rotation, key: 'k2' })).toMatchObject({ status: 200, isReplay: false })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 3 })
  })

  test('keeps its status, also without a body', async () => {
    const under = await startTestService({ keys: ['a'] })
    await under.service.life.aliases.put(under.admin, 'now', 'a')
    const removal = { path: '/v1/aliases/now', method: 'DELETE', key: 'k' }
    expect(await send(under, removal)).toMatchObject({ status: 204, text: '', isReplay: false })
    expect(await send(under, removal)).toMatchObject({ status: 204, text: '', isReplay: true })
    expect(await send(under, { ...removal, key: 'other' })).toMatchObject({ status: 404 })
  })

  test('that made a secret does not get it again', async () => {
    const under = await startTestService()
    const creation = { path: '/v1/tokens', key: 'k', body: { name: 'x', permissions: ['wrap'], keys: [] } }
    const first = await send(under, creation)
    expect(first).toMatchObject({ status: 201 })
    const second = await send(under, creation)
    expect(second).toMatchObject({ status: 409, code: 'already_done' })
    expect(second.text).not.toContain('lhk_')
    expect((await under.client().listTokens()).filter(({ name }) => name === 'x')).toHaveLength(1)
  })

  test.each<[string, Sent]>([
    ['another body', { body: { key: 'c' } }],
    ['another path', { path: '/v1/keys/b/rotate' }],
    ['another expectation', { path: '/v1/keys/a/rotate', headers: { 'if-match': '"1"' } }],
  ])('with %s is refused', async (_, other) => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const isRotation = other.path !== undefined
    const first = isRotation ? { path: '/v1/keys/a/rotate', key: 'k' } : { key: 'k', body: { key: 'x' } }
    expect((await send(under, first)).status).toBeLessThan(300)
    const before = await under.client().listKeys()
    expect(await send(under, { ...first, ...other })).toMatchObject({
      status: 422,
      code: 'idempotency_key_reused',
    })
    expect(await under.client().listKeys()).toEqual(before)
  })

  test('while the first one is under way is told so', async () => {
    const under = await startTestService({ keys: ['a'] })
    const rotation = { path: '/v1/keys/a/rotate', key: 'k' }
    const answers = await Promise.all([send(under, rotation), send(under, rotation), send(under, rotation)])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409])
    expect(answers.find(({ status }) => status === 409)).toMatchObject({ code: 'idempotency_in_progress' })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 2 })
  })

  test('by somebody else, or on another route, is another change', async () => {
    const under = await startTestService({ keys: ['a'] })
    const token = await under.token(['keys.rotate'])
    const rotation = { path: '/v1/keys/a/rotate', key: 'k' }
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: false })
    expect(await send(under, { ...rotation, token })).toMatchObject({ status: 200, isReplay: false })
    expect(await send(under, { key: 'k', body: { key: 'b' } })).toMatchObject({ status: 201 })
  })

  test('that was refused is tried again', async () => {
    const under = await startTestService()
    const rotation = { path: '/v1/keys/a/rotate', key: 'k' }
    expect(await send(under, rotation)).toMatchObject({ status: 404 })
    await under.client().createKey({ key: 'a' })
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: false })
  })

  test('after the token was revoked gets nothing', async () => {
    const under = await startTestService({ keys: ['a'] })
    const token = await under.token(['keys.rotate'])
    const rotation = { path: '/v1/keys/a/rotate', key: 'k', token }
    expect(await send(under, rotation)).toMatchObject({ status: 200 })
    await under.client().revokeToken(token.split('_')[1] ?? '')
    expect(await send(under, rotation)).toMatchObject({ status: 401 })
  })

  test.each(['', 'a b', 'ü', 'x'.repeat(129)])('under the key %j is refused', async (key) => {
    const under = await startTestService()
    expect(await send(under, { key, body: { key: 'a' } })).toMatchObject({ status: 400 })
  })
})

const minute = 60_000
const hour = 60 * minute

describe('what is known of a key', () => {
  const rotation = { path: '/v1/keys/a/rotate', key: 'k' }
  const creation = { path: '/v1/tokens', key: 'k', body: { name: 'x', permissions: ['wrap'], keys: [] } }

  /** The same service, started again, or another node. */
  async function again(under: TestService): Promise<TestService> {
    const service = await under.second()
    return { ...under, service, app: await appOf(service) }
  }

  test('outlives the process: the answer, or that there was one', async () => {
    const under = await startTestService({ keys: ['a'] })
    const [first] = [await send(under, rotation), await send(under, creation)]
    const other = await again(under)
    expect(await send(other, rotation)).toEqual({ ...first, isReplay: true })
    expect(await send(other, creation)).toMatchObject({ status: 409, code: 'already_done' })
    expect(await send(other, { ...rotation, headers: { 'if-match': '"1"' } })).toMatchObject({
      status: 422,
      code: 'idempotency_key_reused',
    })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 2 })
    expect(await under.verifyAudit()).toMatchObject({ ok: true, faults: [] })
  })

  test('is written with the change: who dies before he answers does not make it twice', async () => {
    let dies = false
    let revive = (): void => undefined
    const under = await startTestService({
      keys: ['a'],
      between: (store) =>
        committing(store, async (commit) => {
          const outcome = await store.commit(commit)
          // The transaction is done, and nobody hears of it.
          if (dies) await new Promise<void>((resolve) => (revive = resolve))
          return outcome
        }),
      auditDeadlineMs: 60_000,
    })
    dies = true
    void send(under, rotation)
    await vi.waitFor(async () => {
      expect(await under.store.row('keys', { key: 'a' })).toMatchObject({ primaryVersion: 2 })
    })
    dies = false
    const other = await again(under)
    // It may be on its way still.
    expect(await send(other, rotation)).toMatchObject({ status: 409, code: 'idempotency_in_progress' })
    under.advance(6000)
    expect(await send(other, rotation)).toMatchObject({ status: 409, code: 'already_done' })
    expect(await other.service.keys.get(under.admin, 'a')).toMatchObject({ primaryVersion: 2 })
    revive()
  })

  test('is not written without the change', async () => {
    let fails = false
    const under = await startTestService({
      keys: ['a'],
      between: (store) =>
        committing(store, async (commit) => {
          if (fails) throw new ServiceError('storage_unavailable', 'no')
          return await store.commit(commit)
        }),
    })
    fails = true
    expect(await send(under, rotation)).toMatchObject({ status: 503 })
    fails = false
    expect(await everyRow(under.store, 'idempotency')).toEqual([])
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: false })
  })

  test('is forgotten after a day, and not before; of data keys after ten minutes', async () => {
    const under = await startTestService({ keys: ['a'] })
    const dataKeys = { path: '/v1/keys/a/data-keys', key: 'k', body: { context: {} } }
    for (const one of [rotation, dataKeys]) await send(under, one)
    const round = async () => {
      const { failures } = await under.service.life.upkeep.run()
      expect(failures).toEqual([])
      return (await everyRow(under.store, 'idempotency')).length
    }
    under.advance(9 * minute)
    expect(await round()).toBe(2)
    expect(await send(under, dataKeys)).toMatchObject({ status: 409, code: 'already_done' })
    under.advance(2 * minute)
    // Before it is swept as well.
    expect(await send(under, dataKeys)).toMatchObject({ status: 201 })
    under.advance(23 * hour)
    expect(await round()).toBe(1)
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: true })
    under.advance(hour)
    expect(await round()).toBe(0)
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: false })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 3 })
  })

  test('is never forgotten to make room: new keys are refused until some are over', async () => {
    const under = await startTestService({
      keys: ['a'],
      idempotency: { maxKeysOfOne: 3, maxKeys: 4, keysOfEach: 1 },
    })
    const tokens = await Promise.all(['', '', ''].map(() => under.token(['keys.rotate'])))
    const rotate = async (node: TestService, token: string | undefined, key: string) =>
      (await send(node, { ...rotation, key, ...(token === undefined ? {} : { token }) })).status
    const [one, two, three] = tokens
    for (const key of ['1', '2', '3']) expect(await rotate(under, one, key)).toBe(200)
    expect(await rotate(under, one, '4')).toBe(429)
    expect(await rotate(under, two, '1')).toBe(200)
    expect(await rotate(under, two, '2')).toBe(429)
    // Who has none yet is not locked out by the others.
    expect(await rotate(under, three, '1')).toBe(200)
    expect(await rotate(under, three, '2')).toBe(429)
    // Those that are known go on to be answered, and without a key everything goes on.
    expect(await rotate(under, one, '1')).toBe(200)
    const bare = await send(under, { path: rotation.path, ...(one === undefined ? {} : { token: one }) })
    expect(bare.status).toBe(200)
    // Another process counts what is there.
    expect(await rotate(await again(under), one, '4')).toBe(429)
    under.advance(25 * hour)
    await under.service.life.upkeep.run()
    expect(await rotate(under, one, '4')).toBe(200)
  })

  test('holds no word of what was asked, and of answers none that is shown once', async () => {
    const under = await startTestService({ keys: ['a'] })
    const slot = { kind: 'passphrase', label: 'x', passphrase: 'CANARY passphrase, long enough' }
    const made = await send(under, creation)
    await send(under, { path: '/v1/sys/slots', key: 'canary-key', body: slot })
    const rows = await everyRow(under.store, 'idempotency')
    expect(rows.length).toBeGreaterThan(0)
    const text = JSON.stringify(rows, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    )
    expect(text).not.toMatch(/CANARY|canary|lhk_/u)
    expect(made.text).toContain('lhk_')
  })

  test('is known too of a change that found nothing to change', async () => {
    const under = await startTestService()
    const { access } = under.client()
    await access.createPrincipal('app')
    const path = '/v1/principals/app'
    const enable = { path, method: 'PATCH', key: 'k', body: { disabled: false } }
    expect(await send(under, enable)).toMatchObject({ status: 200, isReplay: false })
    await access.setDisabled('app', true)
    // Sent again, it does not undo what happened since.
    expect(await send(under, enable)).toMatchObject({ status: 200, isReplay: true })
    expect(await access.principal('app')).toMatchObject({ disabled_at: expect.any(String) as string })
  })

  test('is nothing of a dry run, which leaves its key for the change', async () => {
    const under = await startTestService({ keys: ['a'] })
    const dry = { ...rotation, path: `${rotation.path}?dry_run=true` }
    expect(await send(under, dry)).toMatchObject({ status: 200, isReplay: false })
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: false })
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: true })
  })
})

await describePostgres('two nodes on one PostgreSQL', (makeDatabase) => {
  test.each([['/v1/keys/a/rotate'], ['/v1/keys']])(
    'sixteen equal requests to %s at once are one change',
    async (path) => {
      const { url } = await makeDatabase()
      const store = await PostgresStore.open({ url, maxConnections: 4 })
      onTestFinished(() => store.close())
      const under = await startTestService({ store, keys: ['a'] })
      const service = await under.second()
      const nodes = [under, { ...under, service, app: await appOf(service) }]
      const wanted = { path, key: 'k', ...(path === '/v1/keys' ? { body: { key: 'new' } } : {}) }
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, index) => send(nodes[index % 2] ?? under, wanted)),
      )
      const made = answers.filter(({ status, isReplay }) => status < 300 && !isReplay)
      expect(made, JSON.stringify(answers)).toHaveLength(1)
      const [first] = made
      const others = answers.filter((one) => one !== first)
      const codes = others.map(({ code, isReplay }) => (isReplay ? 'replay' : code))
      expect(codes.filter((code) => code !== 'replay' && code !== 'idempotency_in_progress')).toEqual([])
      for (const node of nodes) expect(await send(node, wanted)).toEqual({ ...first, isReplay: true })
      expect(await everyRow(store, 'versions')).toHaveLength(2)
      expect(await under.verifyAudit()).toMatchObject({ ok: true, faults: [] })
    },
  )
})

/** A store that commits otherwise. */
function committing(store: KeyStore, commit: (commit: Commit) => Promise<Outcome>): KeyStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'commit') return commit
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
