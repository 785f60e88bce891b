import type { Permission } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { ServiceError } from '../../src/service/errors.ts'
import type { NewGrant } from '../../src/service/grants.ts'
import type { Caller } from '../../src/service/policy.ts'
import { encodeStanza, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const bare: Omit<NewGrant, 'principal' | 'permissions'> = {
  effect: 'allow',
  keys: null,
  labels: null,
  context: null,
  notBefore: null,
  notAfter: null,
  networks: null,
  uses: null,
}

async function callerOf(
  under: TestService,
  principal: string | null,
  permissions: readonly Permission[],
  { keys = null, address }: { keys?: readonly string[] | null; address?: string } = {},
): Promise<Caller> {
  const wanted = { name: 'test', principal, permissions, keys, expiresAt: null }
  const { text } = await under.service.tokens.create(under.admin, wanted)
  const who = await under.service.tokens.authenticate(text, address)
  return { principal: who, requestId: 'r', permission: null }
}

async function withPrincipal(...grants: readonly Partial<NewGrant>[]) {
  const under = await startTestService({ keys: ['a', 'b'] })
  await under.service.grants.createPrincipal(under.admin, 'app', 'the application')
  for (const grant of grants) {
    await under.service.grants.create(under.admin, {
      principal: 'app',
      permissions: ['unwrap'],
      ...bare,
      ...grant,
    })
  }
  return under
}

const all: readonly Permission[] = [
  'unwrap',
  'rewrap',
  'wrap',
  'keys.read',
  'grants.create',
  'grants.delete',
  'tokens.create',
]

describe('a token of a principal', () => {
  test('may do what both it and the grants allow', async () => {
    const under = await withPrincipal({ permissions: ['keys.read', 'unwrap'], keys: ['a'] })
    const whole = await callerOf(under, 'app', all)
    await expect(under.service.authorise(whole, 'unwrap')).resolves.toBeUndefined()
    await expect(under.service.authorise(whole, 'rewrap')).rejects.toMatchObject({
      code: 'permission_denied',
    })
    const narrow = await callerOf(under, 'app', ['keys.read'])
    await expect(under.service.authorise(narrow, 'unwrap')).rejects.toMatchObject({
      code: 'permission_denied',
    })
    expect((await under.service.keys.get(whole, 'a')).key).toBe('a')
    await expect(under.service.keys.get(whole, 'b')).rejects.toMatchObject({ code: 'not_found' })
    const other = await callerOf(under, 'app', all, { keys: ['b'] })
    await expect(under.service.keys.get(other, 'a')).rejects.toMatchObject({ code: 'not_found' })
  })

  test('may do nothing without grants', async () => {
    const under = await withPrincipal()
    const caller = await callerOf(under, 'app', all)
    for (const permission of all) {
      await expect(under.service.authorise(caller, permission)).rejects.toMatchObject({
        code: 'permission_denied',
      })
    }
  })

  test('learns of a new grant, and of a deleted one, at its next request', async () => {
    const under = await withPrincipal()
    const { text } = await under.service.tokens.create(under.admin, {
      name: 'test',
      principal: 'app',
      permissions: all,
      keys: null,
      expiresAt: null,
    })
    const may = async () => {
      const principal = await under.service.tokens.authenticate(text)
      const asking = { principal, requestId: 'r', permission: 'unwrap' as const }
      return await under.service
        .authorise(asking, 'unwrap')
        .then(() => true)
        .catch(() => false)
    }
    expect(await may()).toBe(false)
    const grant = { principal: 'app', permissions: ['unwrap' as const], ...bare }
    const { grant: id } = await under.service.grants.create(under.admin, grant)
    expect(await may()).toBe(true)
    const denial = await under.service.grants.create(under.admin, { ...grant, effect: 'deny' })
    expect(await may()).toBe(false)
    await under.service.grants.remove(under.admin, 'app', denial.grant)
    expect(await may()).toBe(true)
    await under.service.grants.remove(under.admin, 'app', id)
    expect(await may()).toBe(false)
  })

  test('is not accepted while the principal is switched off', async () => {
    const under = await withPrincipal({})
    const { text } = await under.service.tokens.create(under.admin, {
      name: 'test',
      principal: 'app',
      permissions: all,
      keys: null,
      expiresAt: null,
    })
    await under.service.grants.setDisabled(under.admin, 'app', true)
    await expect(under.service.tokens.authenticate(text)).rejects.toMatchObject({ code: 'unauthenticated' })
    await under.service.grants.setDisabled(under.admin, 'app', false)
    expect((await under.service.tokens.authenticate(text)).name).toBe('app')
  })

  test('goes by where it comes from', async () => {
    const under = await withPrincipal({ networks: ['10.0.0.0/8'] })
    const inside = await callerOf(under, 'app', all, { address: '::ffff:10.1.2.3' })
    const outside = await callerOf(under, 'app', all, { address: '192.168.0.1' })
    await expect(under.service.authorise(inside, 'unwrap')).resolves.toBeUndefined()
    await expect(under.service.authorise(outside, 'unwrap')).rejects.toMatchObject({
      code: 'permission_denied',
    })
  })

  test('is made only for a principal that is there', async () => {
    const under = await withPrincipal()
    await expect(callerOf(under, 'nobody', all)).rejects.toMatchObject({ code: 'not_found' })
  })
})

/** Requests of the principal to unwrap something wrapped for each of these keys; which key did, or why not. */
async function unwrapping(under: TestService) {
  const wrapped = new Map<string, Awaited<ReturnType<typeof wrapFor>>>()
  for (const key of ['a', 'b']) wrapped.set(key, await wrapFor(under.client(), [key]))
  const unwrap = async (...keys: string[]) => {
    const caller = { ...(await callerOf(under, 'app', all)), permission: 'unwrap' as const }
    const items = keys.flatMap((key, index) => {
      const one = wrapped.get(key)
      if (one === undefined) return []
      const { keyId } = one.dataKey
      return [{ id: String(index), keyId, stanza: encodeStanza(one.stanza), context: [] }]
    })
    await under.service.authorise(caller, 'unwrap')
    const results = await under.service.unwrap(caller, items)
    return results.map(({ answer }) => {
      if (answer instanceof ServiceError) return answer.code
      answer.dataKey.wipe()
      return answer.key
    })
  }
  return { unwrap }
}

/** One request: authorised, done, settled. */
async function request(
  { service }: TestService,
  caller: Caller,
  permission: Permission,
  work: (caller: Caller) => Promise<unknown>,
): Promise<void> {
  const asking = { ...caller, permission }
  await service.authorise(asking, permission)
  await work(asking)
  await service.settle(asking)
}

async function usesLeft(under: TestService): Promise<Set<number | null>> {
  return new Set((await under.service.grants.of('app')).map(({ usesLeft: left }) => left))
}

describe('a grant with a number of uses', () => {
  test('allows so many requests and no more, also when they come at once', async () => {
    const under = await withPrincipal({ permissions: ['keys.read'], uses: 3 })
    const read = async (caller: Caller) =>
      await request(under, caller, 'keys.read', (asking) => under.service.keys.get(asking, 'a'))
    const callers = await Promise.all(Array.from({ length: 8 }, () => callerOf(under, 'app', all)))
    const results = await Promise.allSettled(callers.map(read))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    const reasons = results.flatMap((one) => (one.status === 'rejected' ? [one.reason as ServiceError] : []))
    expect(new Set(reasons.map(({ code }) => code))).toEqual(new Set(['permission_denied']))
    await expect(read(await callerOf(under, 'app', all))).rejects.toMatchObject({ code: 'permission_denied' })
  })

  test('is paid in the transaction of a change, or the change is not made', async () => {
    const permissions: Permission[] = ['keys.rotate', 'keys.read']
    const under = await withPrincipal({ permissions, uses: 2 })
    const callers = await Promise.all(Array.from({ length: 6 }, () => callerOf(under, 'app', permissions)))
    const rotate = async (caller: Caller) =>
      await request(under, caller, 'keys.rotate', (asking) => under.service.life.versions.rotate(asking, 'a'))
    const results = await Promise.allSettled(callers.map(rotate))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
    expect(await under.service.keys.get(under.admin, 'a')).toMatchObject({ primaryVersion: 3 })
    expect(await usesLeft(under)).toEqual(new Set([0]))
  })

  test('costs nothing where a request is refused, or only asks what would happen', async () => {
    const under = await withPrincipal({ permissions: ['keys.rotate', 'keys.update'], uses: 1 })
    const { text } = await under.service.tokens.create(under.admin, {
      name: 'test',
      principal: 'app',
      permissions: ['keys.rotate', 'keys.update'],
      keys: null,
      expiresAt: null,
    })
    const rotate = async (key: string, query = '') => {
      const headers = { authorization: `Bearer ${text}` }
      const path = `/v1/keys/${key}/rotate${query}`
      return (await under.app.request(path, { method: 'POST', headers })).status
    }
    expect(await rotate('missing')).toBe(404)
    for (let i = 0; i < 3; i++) expect(await rotate('a', '?dry_run=true')).toBe(200)
    expect(await usesLeft(under)).toEqual(new Set([1]))
    expect(await rotate('a')).toBe(200)
    expect(await usesLeft(under)).toEqual(new Set([0]))
    for (const query of ['', '?dry_run=true']) expect(await rotate('a', query)).toBe(403)
  })

  test('is not used while another allows the same without a number', async () => {
    const under = await withPrincipal({ permissions: ['keys.read'], uses: 1 }, { permissions: ['keys.read'] })
    const caller = await callerOf(under, 'app', all)
    for (let i = 0; i < 3; i++) {
      await request(under, caller, 'keys.read', (asking) => under.service.keys.get(asking, 'a'))
    }
    expect(await usesLeft(under)).toEqual(new Set([1, null]))
  })

  test('is used by what it alone allows, whatever other keys another allows', async () => {
    const under = await withPrincipal({ keys: ['a'], uses: 2 }, { keys: ['b'] })
    const { unwrap } = await unwrapping(under)
    expect(await unwrap('b')).toEqual(['b'])
    expect(await unwrap('b', 'b')).toEqual(['b', 'b'])
    expect(await unwrap('b', 'a', 'a')).toEqual(['b', 'a', 'a'])
    expect(await unwrap('a')).toEqual(['a'])
    expect(await unwrap('a')).toEqual(['not_found'])
    expect(await unwrap('b', 'a')).toEqual(['b', 'not_found'])
  })

  test('does not pay for what another one was given for', async () => {
    const under = await withPrincipal({ keys: ['a'], uses: 1 }, { keys: ['b'], uses: 9 })
    const { unwrap } = await unwrapping(under)
    expect(await unwrap('a')).toEqual(['a'])
    expect(await unwrap('a')).toEqual(['not_found'])
    expect(await unwrap('b')).toEqual(['b'])
    expect(await usesLeft(under)).toEqual(new Set([0, 8]))
  })

  test('is paid with too for what a request takes beside the permission of its route', async () => {
    const under = await withPrincipal(
      { permissions: ['keys.read', 'keys.update'] },
      { permissions: ['keys.label'], uses: 1 },
    )
    const permissions: Permission[] = ['keys.read', 'keys.update', 'keys.label']
    const label = async (generation: number, env: string) => {
      const caller = await callerOf(under, 'app', permissions)
      await request(under, caller, 'keys.update', (asking) =>
        under.service.keys.update(asking, 'a', generation, { labels: { env } }),
      )
    }
    await label(1, 'prod')
    await expect(label(2, 'test')).rejects.toMatchObject({ code: 'permission_denied' })
    expect(await under.service.keys.get(under.admin, 'a')).toMatchObject({ labels: { env: 'prod' } })
    expect(await usesLeft(under)).toEqual(new Set([0, null]))
  })

  test('cannot be handed on', async () => {
    const under = await withPrincipal(
      { permissions: ['unwrap'], uses: 5 },
      { permissions: ['grants.create'] },
    )
    await under.service.grants.createPrincipal(under.admin, 'friend', '')
    const caller = await callerOf(under, 'app', all)
    const wanted = { principal: 'friend', permissions: ['unwrap' as const], ...bare }
    await expect(under.service.grants.create(caller, wanted)).rejects.toMatchObject({
      code: 'permission_denied',
    })
  })
})

describe('nobody', () => {
  const holdsSome = () =>
    withPrincipal(
      { permissions: ['unwrap'], keys: ['a'] },
      { permissions: ['grants.create', 'grants.delete', 'principals.update', 'tokens.create'] },
    )

  test('grants what he does not hold', async () => {
    const under = await holdsSome()
    await under.service.grants.createPrincipal(under.admin, 'friend', '')
    const caller = await callerOf(under, 'app', [...all, 'principals.update'])
    const give = (change: Partial<NewGrant>) =>
      under.service.grants.create(caller, {
        principal: 'friend',
        permissions: ['unwrap'],
        ...bare,
        ...change,
      })
    await expect(give({ keys: ['a'] })).resolves.toMatchObject({ principal: 'friend' })
    for (const change of [{}, { keys: ['b'] }, { keys: ['a'], permissions: ['unwrap', 'rewrap'] as const }]) {
      await expect(give(change)).rejects.toMatchObject({ code: 'permission_denied' })
    }
    // Nor to himself.
    const mine = { principal: 'app', permissions: ['rewrap' as const], ...bare }
    await expect(under.service.grants.create(caller, mine)).rejects.toMatchObject({
      code: 'permission_denied',
    })
  })

  test('takes a denial away that denies more than he holds', async () => {
    const under = await holdsSome()
    const denial = await under.service.grants.create(under.admin, {
      principal: 'app',
      permissions: ['rewrap'],
      ...bare,
      effect: 'deny',
    })
    const caller = await callerOf(under, 'app', all)
    const removal = under.service.grants.remove(caller, 'app', denial.grant)
    await expect(removal).rejects.toMatchObject({ code: 'permission_denied' })
  })

  test('switches a principal on that may do more than he', async () => {
    const under = await holdsSome()
    await under.service.grants.createPrincipal(under.admin, 'root', '')
    await under.service.grants.create(under.admin, { principal: 'root', permissions: ['rewrap'], ...bare })
    await under.service.grants.setDisabled(under.admin, 'root', true)
    const caller = await callerOf(under, 'app', [...all, 'principals.update'])
    const attempt = under.service.grants.setDisabled(caller, 'root', false)
    await expect(attempt).rejects.toMatchObject({ code: 'permission_denied' })
  })

  test('makes a token that may do more than he', async () => {
    const under = await holdsSome()
    const caller = await callerOf(under, 'app', all)
    const wanted = { name: 'x', expiresAt: null }
    const make = (change: {
      principal: string | null
      permissions: readonly Permission[]
      keys: string[] | null
    }) => under.service.tokens.create(caller, { ...wanted, ...change })
    // Of its own principal the grants go on to hold, whatever the token says.
    await expect(
      make({ principal: 'app', permissions: ['unwrap', 'rewrap'], keys: null }),
    ).resolves.toBeDefined()
    // One without a principal would go on when the principal is switched off.
    await expect(make({ principal: null, permissions: ['unwrap'], keys: ['a'] })).rejects.toMatchObject({
      code: 'permission_denied',
    })
    await expect(make({ principal: null, permissions: ['unwrap'], keys: null })).rejects.toMatchObject({
      code: 'permission_denied',
    })
    await under.service.grants.createPrincipal(under.admin, 'root', '')
    await under.service.grants.create(under.admin, { principal: 'root', permissions: ['rewrap'], ...bare })
    await expect(make({ principal: 'root', permissions: ['rewrap'], keys: null })).rejects.toMatchObject({
      code: 'permission_denied',
    })
  })
})

describe('bad input', () => {
  test.each<[string, Partial<NewGrant>]>([
    ['no permissions', { permissions: [] }],
    ['an end in the past', { notAfter: 1 }],
    ['a denial with a number of uses', { effect: 'deny', uses: 1 }],
    ['a network that is none', { networks: ['10.0.0.0'] }],
  ])('%s is refused', async (_, change) => {
    const under = await withPrincipal()
    const wanted = { principal: 'app', permissions: ['unwrap' as const], ...bare, ...change }
    await expect(under.service.grants.create(under.admin, wanted)).rejects.toMatchObject({
      code: 'malformed_request',
    })
  })

  test('a principal twice, and grants of one that is not there', async () => {
    const under = await withPrincipal()
    await expect(under.service.grants.createPrincipal(under.admin, 'app', '')).rejects.toMatchObject({
      code: 'invalid_state',
    })
    const wanted = { principal: 'nobody', permissions: ['unwrap' as const], ...bare }
    await expect(under.service.grants.create(under.admin, wanted)).rejects.toMatchObject({
      code: 'not_found',
    })
    await expect(under.service.grants.remove(under.admin, 'app', '0'.repeat(24))).rejects.toMatchObject({
      code: 'not_found',
    })
  })
})

test('what is explained is what is decided', async () => {
  const under = await withPrincipal(
    { permissions: ['unwrap', 'keys.read'], keys: ['a'] },
    {
      permissions: ['unwrap'],
      effect: 'deny',
      context: { match: 'includes', pairs: [['tenant', 'blocked']] },
    },
  )
  const [grant, denial] = await under.service.grants.of('app')
  const at = Date.now()
  const ask = (key: string, tenant: string) =>
    under.service.explain({ principal: 'app', permission: 'unwrap', key, context: [['tenant', tenant]], at })
  const ids = new Set([grant?.grant, denial?.grant])
  expect(await ask('a', 'x')).toMatchObject({ allowed: true, visible: true })
  expect(await ask('a', 'blocked')).toMatchObject({ allowed: false, visible: true })
  expect(await ask('b', 'x')).toEqual({ allowed: false, by: [], visible: false })
  for (const { by } of [await ask('a', 'x'), await ask('a', 'blocked')]) {
    expect(by).toHaveLength(1)
    expect(ids).toContain(by[0])
  }
  const both = { principal: 'app', token: '0'.repeat(24), permission: 'unwrap' as const, at }
  await expect(under.service.explain(both)).rejects.toMatchObject({ code: 'malformed_request' })
  const { principal } = await callerOf(under, 'app', ['keys.read'])
  const ofToken = await under.service.explain({
    token: principal.token,
    permission: 'unwrap',
    key: 'a',
    context: [],
    at,
  })
  expect(ofToken.allowed).toBe(false)
  await under.service.grants.setDisabled(under.admin, 'app', true)
  const off = await under.service.explain({ token: principal.token, permission: 'keys.read', key: 'a', at })
  expect(off).toEqual({ allowed: false, by: [], visible: false })
})
