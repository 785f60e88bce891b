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
    await expect(under.service.authorise(whole, 'unwrap')).resolves.toBeDefined()
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
      const request = under.service.authorise({ principal, requestId: 'r', permission: 'unwrap' }, 'unwrap')
      return await request.then(() => true).catch(() => false)
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
    await expect(under.service.authorise(inside, 'unwrap')).resolves.toBeDefined()
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
    const authorised = await under.service.authorise(caller, 'unwrap')
    const results = await under.service.unwrap(authorised, items)
    return results.map(({ answer }) => {
      if (answer instanceof ServiceError) return answer.code
      answer.dataKey.wipe()
      return answer.key
    })
  }
  return { unwrap }
}

describe('a grant with a number of uses', () => {
  test('allows so many requests and no more, also when they come at once', async () => {
    const under = await withPrincipal({ permissions: ['keys.read'], uses: 3 })
    const callers = await Promise.all(Array.from({ length: 8 }, () => callerOf(under, 'app', all)))
    const results = await Promise.allSettled(
      callers.map((caller) => under.service.authorise(caller, 'keys.read', 'a')),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    const late = under.service.authorise(await callerOf(under, 'app', all), 'keys.read', 'a')
    await expect(late).rejects.toMatchObject({ code: 'permission_denied' })
  })

  test('is not used while another allows the same without a number', async () => {
    const under = await withPrincipal({ permissions: ['keys.read'], uses: 1 }, { permissions: ['keys.read'] })
    const caller = await callerOf(under, 'app', all)
    for (let i = 0; i < 3; i++) await under.service.authorise(caller, 'keys.read', 'a')
    expect(new Set((await under.service.grants.of('app')).map(({ usesLeft }) => usesLeft))).toEqual(
      new Set([1, null]),
    )
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
    const left = (await under.service.grants.of('app')).map(({ usesLeft }) => usesLeft)
    expect(new Set(left)).toEqual(new Set([0, 8]))
  })

  test('allows nothing beside, in a request that it did not pay for', async () => {
    const under = await withPrincipal(
      { permissions: ['keys.read', 'keys.update'] },
      { permissions: ['keys.label'], uses: 1 },
    )
    const caller = await callerOf(under, 'app', [...all, 'keys.update', 'keys.label'])
    const updating = await under.service.authorise(
      { ...caller, permission: 'keys.update' },
      'keys.update',
      'a',
    )
    const labelled = under.service.keys.update(updating, 'a', 1, { labels: { env: 'prod' } })
    await expect(labelled).rejects.toMatchObject({ code: 'permission_denied' })
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
