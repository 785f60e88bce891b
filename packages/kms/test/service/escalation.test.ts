import { generateIdentity } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import type { KeyChanges } from '../../src/service/key-settings.ts'
import { everyRow } from '../../src/service/key-store.ts'
import type { Caller } from '../../src/service/policy.ts'
import { allBut, startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const denied = { code: 'permission_denied' }
const hour = 3_600_000
const day = 24 * hour
const bare = { keys: null, labels: null, context: null, notBefore: null, notAfter: null, networks: null }

async function callerOf(
  under: TestService,
  permissions: readonly Permission[],
  { principal = null, keys = null }: { principal?: string | null; keys?: readonly string[] | null } = {},
): Promise<Caller> {
  const wanted = { name: 'test', principal, permissions, keys, expiresAt: null }
  const { text } = await under.service.tokens.create(under.admin, wanted)
  return { principal: await under.service.tokens.authenticate(text), requestId: 'r', permission: null }
}

describe('what loosens the protection of a key takes keys.policy', () => {
  test.each<[string, KeyChanges, KeyChanges]>([
    ['a target of a rewrap more', { rewrapTo: ['b'] }, { rewrapTo: ['b', 'mine'] }],
    ['exportable', {}, { exportable: true }],
    ['data keys from elsewhere', { issuedOnly: true }, { issuedOnly: false }],
    ['older versions that unwrap', { minUnwrapVersion: 2 }, { minUnwrapVersion: 1 }],
    ['a shorter wait before destruction', {}, { destroyAfterMs: 8 * day }],
    ['an end of its being disabled', { enabled: false }, { enabled: true }],
  ])('%s', async (_, before, loosened) => {
    const under = await startTestService({ keys: ['a', 'b', 'mine'] })
    const { keys, life } = under.service
    await life.versions.rotate(under.admin, 'a')
    const { generation } = await keys.update(under.admin, 'a', 2, { rotateEveryMs: null, ...before })
    const without = await callerOf(under, allBut('keys.policy'))
    await expect(keys.update(without, 'a', generation, loosened)).rejects.toMatchObject(denied)
    // Hidden among what he may.
    const mixed = { rotateEveryMs: 30 * day, ...loosened }
    await expect(keys.update(without, 'a', generation, mixed)).rejects.toMatchObject(denied)
    expect(await keys.get(under.admin, 'a')).toMatchObject({ generation, ...before })
    const holder = await callerOf(under, ['keys.update', 'keys.policy', 'keys.read'])
    expect(await keys.update(holder, 'a', generation, loosened)).toMatchObject(loosened)
    // And back again without it.
    await keys.update(without, 'a', generation + 1, { rotateEveryMs: 90 * day, ...before })
  })

  test.each<[string, KeyChanges]>([
    ['a target fewer', { rewrapTo: [] }],
    ['the same targets', { rewrapTo: ['b'] }],
    ['not exportable', { exportable: false }],
    ['only data keys made here', { issuedOnly: true }],
    ['fewer versions that unwrap', { minUnwrapVersion: 2 }],
    ['a longer wait', { destroyAfterMs: 40 * day }],
    ['neither', { enabled: false, rotateEveryMs: 30 * day }],
  ])('%s does not', async (_, tightened) => {
    const under = await startTestService({ keys: ['b'] })
    const { keys, life } = under.service
    await keys.create(under.admin, { key: 'a', rewrapTo: ['b'], exportable: true })
    await life.versions.rotate(under.admin, 'a')
    const without = await callerOf(under, ['keys.update'])
    await expect(keys.update(without, 'a', 2, tightened)).resolves.toMatchObject({ generation: 3 })
  })

  test('also where a key is made', async () => {
    const under = await startTestService({ keys: ['mine'] })
    const without = await callerOf(under, allBut('keys.policy'))
    for (const loose of [{ rewrapTo: ['mine'] }, { exportable: true }, { destroyAfterMs: 8 * day }]) {
      await expect(under.service.keys.create(without, { key: 'a', ...loose })).rejects.toMatchObject(denied)
    }
    const strict = { key: 'a', issuedOnly: true, destroyAfterMs: 40 * day }
    await expect(under.service.keys.create(without, strict)).resolves.toMatchObject({ issuedOnly: true })
  })

  test('so that who may edit keys, export and rewrap gets nothing out', async () => {
    const under = await startTestService({ keys: ['a', 'mine'] })
    const mallory = under.client(
      await under.token(
        ['keys.update', 'keys.export', 'keys.read', 'rewrap', 'wrap', 'unwrap'],
        ['a', 'mine'],
      ),
    )
    const forbidden = { code: 'unavailable' }
    await expect(mallory.keys.update('a', 1, { exportable: true })).rejects.toMatchObject(forbidden)
    await expect(mallory.keys.update('a', 1, { rewrap_to: ['mine'] })).rejects.toMatchObject(forbidden)
    const recipient = generateIdentity().recipient.toString()
    await expect(mallory.keys.exportKey('a', recipient)).rejects.toThrow('not exportable')
  })

  test('and If-Match, like every edit', async () => {
    const under = await startTestService({ keys: ['a'] })
    const edit = async (headers: Record<string, string>) => {
      const response = await under.app.request('/v1/keys/a', {
        method: 'PATCH',
        headers: {
          authorization: `Bearer ${under.adminToken}`,
          'content-type': 'application/json',
          ...headers,
        },
        body: '{"exportable":true}',
      })
      return response.status
    }
    expect(await edit({})).toBe(428)
    expect(await edit({ 'if-match': '*' })).toBe(428)
    expect(await edit({ 'if-match': '"7"' })).toBe(412)
    expect(await edit({ 'if-match': '"1"' })).toBe(200)
  })
})

describe('who labels a key gives what grants say of such keys', () => {
  const labelling: readonly Permission[] = ['keys.update', 'keys.label', 'grants.create']

  /** A principal `app` that may unwrap with keys of the label, and may not export them. */
  async function withLabelGrants() {
    const under = await startTestService({ keys: ['prod'] })
    const { grants } = under.service
    await grants.createPrincipal(under.admin, 'app', '')
    const rule = { principal: 'app', ...bare, labels: { env: 'test' }, uses: null }
    const allow = await grants.create(under.admin, { ...rule, effect: 'allow', permissions: ['unwrap'] })
    return { under, rule, allow }
  }

  test('and must hold it himself, for the key as it was', async () => {
    const { under } = await withLabelGrants()
    const { keys } = under.service
    const label = async (caller: Caller) => await keys.update(caller, 'prod', 1, { labels: { env: 'test' } })
    await expect(label(await callerOf(under, labelling))).rejects.toThrow('unwrap')
    await expect(label(await callerOf(under, ['keys.update', 'keys.label', 'unwrap']))).rejects.toThrow(
      'grants.create',
    )
    const holder = await callerOf(under, [...labelling, 'unwrap'])
    await expect(label(holder)).resolves.toMatchObject({ labels: { env: 'test' } })
  })

  test('so that nobody brings keys to himself', async () => {
    const { under, rule } = await withLabelGrants()
    // He may unwrap with test keys, and label all keys.
    await under.service.grants.create(under.admin, {
      ...rule,
      labels: null,
      effect: 'allow',
      permissions: labelling,
    })
    const caller = await callerOf(under, [...labelling, 'unwrap'], { principal: 'app' })
    const labelled = under.service.keys.update(caller, 'prod', 1, { labels: { env: 'test' } })
    await expect(labelled).rejects.toMatchObject(denied)
    const made = under.service.keys.create(await callerOf(under, [...labelling, 'keys.create']), {
      key: 'new',
      labels: { env: 'test' },
    })
    await expect(made).rejects.toMatchObject(denied)
  })

  test('or takes a denial off himself', async () => {
    const { under, rule } = await withLabelGrants()
    const { keys, grants } = under.service
    await keys.update(under.admin, 'prod', 1, { labels: { env: 'prod' } })
    await grants.create(under.admin, {
      ...rule,
      labels: null,
      effect: 'allow',
      permissions: [...labelling, 'unwrap'],
    })
    await grants.create(under.admin, {
      ...rule,
      labels: { env: 'prod' },
      effect: 'deny',
      permissions: ['unwrap'],
    })
    const caller = await callerOf(under, [...labelling, 'unwrap'], { principal: 'app' })
    await expect(keys.update(caller, 'prod', 2, { labels: {} })).rejects.toMatchObject(denied)
    // Nor does somebody else for him, who does not hold it.
    await expect(
      keys.update(await callerOf(under, labelling), 'prod', 2, { labels: {} }),
    ).rejects.toMatchObject(denied)
  })

  test('but what ends by it, or is over, he need not hold', async () => {
    const { under, allow } = await withLabelGrants()
    const { keys, grants } = under.service
    const caller = await callerOf(under, labelling)
    await keys.update(under.admin, 'prod', 1, { labels: { env: 'test' } })
    await keys.update(caller, 'prod', 2, { labels: { team: 'x' } })
    await grants.remove(under.admin, 'app', allow.grant)
    const labels = { env: 'test' }
    expect(await keys.update(caller, 'prod', 3, { labels })).toMatchObject({ labels })
  })
})

describe('names', () => {
  /** Two callers who may not see `hidden`: by its name, and by a denial of its label. */
  async function blindTo() {
    const under = await startTestService({ keys: ['mine'] })
    const { service, admin } = under
    await service.keys.create(admin, { key: 'hidden', labels: { secret: 'yes' } })
    await service.life.aliases.put(admin, 'hidden.alias', 'hidden')
    await service.grants.createPrincipal(admin, 'app', '')
    const permissions = allBut('keys.label')
    const grant = { principal: 'app', ...bare, uses: null, permissions }
    await service.grants.create(admin, { ...grant, effect: 'allow' })
    await service.grants.create(admin, { ...grant, effect: 'deny', labels: { secret: 'yes' } })
    const byName = await callerOf(under, allBut(), { keys: ['mine', 'new'] })
    const byLabel = await callerOf(under, allBut(), { principal: 'app' })
    return { under, callers: [byName, byLabel] }
  }

  /** What he is told, with the name he said taken out. */
  async function told(work: Promise<unknown>, name: string): Promise<unknown> {
    return await work.then(
      () => 'done',
      ({ code, message }: { code: string; message: string }) => [code, message.replaceAll(name, 'NAME')],
    )
  }

  test('of hidden keys and aliases are refused in the words for those that are free', async () => {
    const { under, callers } = await blindTo()
    const { keys, life, grants } = under.service
    await grants.createPrincipal(under.admin, 'friend', '')
    const attempts: ((caller: Caller, name: string) => Promise<unknown>)[] = [
      (caller, name) => life.aliases.put(caller, name, 'mine'),
      (caller, name) => life.aliases.put(caller, 'new', name),
      (caller, name) => life.aliases.get(caller, name),
      (caller, name) => life.aliases.remove(caller, name),
      (caller, name) => keys.create(caller, { key: name }),
      (caller, name) => life.importKey(caller, { key: name }, { sealed: new Uint8Array(), packagedAs: 'x' }),
      (caller, name) => keys.update(caller, 'mine', 1, { rewrapTo: [name] }),
      (caller, name) =>
        grants.create(caller, {
          principal: 'friend',
          effect: 'allow',
          permissions: ['unwrap'],
          ...bare,
          keys: [name],
          uses: null,
        }),
      (caller, name) => keys.publicKey(caller, name),
      (caller, name) => life.census.put(caller, name, 'c', { counts: null }),
    ]
    for (const caller of callers) {
      for (const attempt of attempts) {
        const free = await told(attempt(caller, 'free'), 'free')
        expect(free).not.toBe('done')
        for (const name of ['hidden', 'hidden.alias']) {
          expect(await told(attempt(caller, name), name), attempt.toString()).toEqual(free)
        }
      }
    }
  })

  test('of one’s own can be taken, and keys and aliases are told from each other', async () => {
    const { under, callers } = await blindTo()
    const { keys, life } = under.service
    const [byName] = callers
    if (byName === undefined) throw new Error('no caller')
    await life.aliases.put(byName, 'new', 'mine')
    await expect(keys.create(byName, { key: 'new' })).rejects.toThrow('is an alias')
    await expect(life.aliases.put(byName, 'mine', 'mine')).rejects.toThrow('is the name of a key')
  })
})

describe.each(['one process', 'two'])('a name taken twice at once, by %s', (processes) => {
  test('is a key or an alias, not both', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { service, admin, store } = under
    const other = processes === 'two' ? await under.second() : service
    for (let index = 0; index < 10; index++) {
      const name = `n${index}`
      const taken = await Promise.allSettled([
        index % 2 === 0
          ? service.keys.create(admin, { key: name })
          : service.life.aliases.put(admin, name, 'a'),
        index % 2 === 0 ? other.life.aliases.put(admin, name, 'a') : other.keys.create(admin, { key: name }),
      ])
      expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    }
    const names = [...(await everyRow(store, 'keys')), ...(await everyRow(store, 'aliases'))]
    expect(names).toHaveLength(11)
    expect(await under.verifyAudit()).toMatchObject({ ok: true })
  })
})

describe('a consumer is spoken for by whoever registered it', () => {
  const writing: readonly Permission[] = ['census.write', 'census.read']

  async function begin() {
    const under = await startTestService({ keys: ['a'] })
    const { grants, life } = under.service
    await grants.createPrincipal(under.admin, 'app', '')
    await grants.create(under.admin, {
      principal: 'app',
      effect: 'allow',
      permissions: writing,
      ...bare,
      uses: null,
    })
    const counting = (count: number) => ({ counts: count === 0 ? [] : ([[1, count]] as const) })
    const say = (caller: Caller, count: number) => life.census.put(caller, 'a', 'users', counting(count))
    return { under, census: life.census, say }
  }

  test('and nobody says for another that nothing is wrapped any more', async () => {
    const { under, census, say } = await begin()
    const owner = await callerOf(under, writing)
    await say(owner, 7)
    await say(owner, 8)
    const app = await callerOf(under, writing, { principal: 'app' })
    for (const caller of [
      await callerOf(under, writing),
      app,
      await callerOf(under, allBut('census.assign')),
    ]) {
      await expect(say(caller, 0)).rejects.toMatchObject(denied)
      const taken = census.put(caller, 'a', 'users', {
        assignTo: { token: caller.principal.token },
      })
      await expect(taken).rejects.toMatchObject(denied)
    }
    expect(await census.get(under.admin, 'a', 'users')).toMatchObject({ counts: [[1, 8]] })
  })

  test('by any of his tokens, where he is a principal', async () => {
    const { under, census, say } = await begin()
    await say(await callerOf(under, writing, { principal: 'app' }), 7)
    await say(await callerOf(under, writing, { principal: 'app' }), 6)
    await expect(say(await callerOf(under, writing), 0)).rejects.toMatchObject(denied)
    expect(await census.get(under.admin, 'a', 'users')).toMatchObject({ counts: [[1, 6]], principal: 'app' })
  })

  test('until whoever may assigns it, with or without a count', async () => {
    const { under, census, say } = await begin()
    const owner = await callerOf(under, writing)
    await say(owner, 7)
    // Corrects it, and it stays whose it was.
    await say(under.admin, 5)
    await say(owner, 4)
    await census.put(under.admin, 'a', 'users', { assignTo: { principal: 'app' } })
    expect(await census.get(under.admin, 'a', 'users')).toMatchObject({ counts: [[1, 4]], principal: 'app' })
    await expect(say(owner, 0)).rejects.toMatchObject(denied)
    const app = await callerOf(under, writing, { principal: 'app' })
    await say(app, 3)
    // Nor does he pass it on.
    const passed = census.put(app, 'a', 'users', { assignTo: { token: owner.principal.token } })
    await expect(passed).rejects.toMatchObject(denied)
    for (const nobody of [{ principal: 'nobody' }, { token: '0'.repeat(24) }]) {
      const lost = census.put(under.admin, 'a', 'users', { assignTo: nobody })
      await expect(lost).rejects.toMatchObject({ code: 'not_found' })
    }
  })

  test('of which a key has a thousand at most', async () => {
    const { under, census } = await begin()
    const owner = await callerOf(under, writing)
    await Promise.all(
      Array.from({ length: 1000 }, (_, index) => census.put(owner, 'a', `c${index}`, { counts: null })),
    )
    await expect(census.put(owner, 'a', 'more', { counts: null })).rejects.toMatchObject({
      code: 'invalid_state',
    })
    await expect(census.put(owner, 'a', 'c7', { counts: [] })).resolves.toMatchObject({ counts: [] })
  })

  test('over HTTP', async () => {
    const { under } = await begin()
    const mine = under.client(await under.token(writing, ['a']))
    const info = await mine.keys.putCensus('a', 'users', [{ version: 1, wrapped_keys: 2 }])
    expect(info.registered_by).toMatchObject({ principal: null })
    const assigned = await under.client().keys.assignCensus('a', 'users', { principal: 'app' })
    expect(assigned).toMatchObject({
      counts: [{ version: 1, wrapped_keys: 2 }],
      registered_by: { principal: 'app' },
    })
    await expect(mine.keys.putCensus('a', 'users', [])).rejects.toMatchObject({ code: 'unavailable' })
    await expect(
      under.client().keys.assignCensus('a', 'users', {} as { principal: string }), // neither
    ).rejects.toMatchObject({ code: 'bad_input' })
  })
})
