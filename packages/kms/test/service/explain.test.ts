import { parseStanza } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { ServiceError } from '../../src/service/errors.ts'
import type { Question } from '../../src/service/explain.ts'
import type { NewGrant } from '../../src/service/grants.ts'
import type { Caller } from '../../src/service/policy.ts'
import { encodeStanza, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const keys = ['a', 'b'] as const
const labels = { a: { env: 'x' }, b: { env: 'y' } }
const contexts: readonly EncryptionContext[] = [[], [['tenant', '1']]]
const used: readonly Permission[] = [
  'unwrap',
  'unwrap.compromised',
  'rewrap',
  'wrap',
  'keys.read',
  'keys.create',
  'keys.update',
  'keys.label',
  'keys.policy',
  'aliases.write',
  'tokens.list',
  'audit.verify',
]

type Wrapped = Awaited<ReturnType<typeof wrapFor>>

/** Something to do, and what it takes. */
interface Deed {
  readonly name: string
  readonly takes: readonly Pick<Question, 'permission' | 'key' | 'context'>[]
  /** Whether it was allowed; any other refusal counts as allowed. */
  readonly attempt: (under: TestService, caller: Caller) => Promise<unknown>
}

function refusal(answer: unknown): void {
  if (answer instanceof ServiceError) throw answer
}

/** With a key that has a compromised version 1. */
function deeds(wrapped: ReadonlyMap<string, Wrapped>, old: ReadonlyMap<string, Wrapped>): Deed[] {
  const item = (from: ReadonlyMap<string, Wrapped>, name: string, context: EncryptionContext) => {
    const one = from.get(name)
    if (one === undefined) throw new Error(name)
    const stanza = encodeStanza(parseStanza(encodeStanza(one.stanza)))
    return { id: '1', keyId: one.dataKey.keyId, stanza, context, wrappedKey: one.wrappedKey, to: [] }
  }
  const name = (key: string, context: EncryptionContext) => `${key} ${context.length}`
  const dry = (caller: Caller): Caller => ({ ...caller, isDryRun: true })
  return keys.flatMap((key): Deed[] => [
    ...contexts.flatMap((context): Deed[] => [
      {
        name: 'unwrap',
        takes: [{ permission: 'unwrap', key, context }],
        attempt: async ({ service }, caller) => {
          const [result] = await service.unwrap(caller, [item(wrapped, name(key, context), context)])
          refusal(result?.answer)
        },
      },
      {
        name: 'unwrap with a compromised version',
        takes: [
          { permission: 'unwrap', key, context },
          { permission: 'unwrap.compromised', key, context },
        ],
        attempt: async ({ service }, caller) => {
          const [result] = await service.unwrap(caller, [item(old, name(key, context), context)])
          refusal(result?.answer)
        },
      },
      {
        name: 'rewrap',
        takes: [
          { permission: 'rewrap', key, context },
          { permission: 'wrap', key },
        ],
        attempt: async ({ service }, caller) => {
          const [result] = await service.rewrap(caller, [item(wrapped, name(key, context), context)])
          refusal(result?.answer)
        },
      },
    ]),
    {
      name: 'read a key',
      takes: [{ permission: 'keys.read', key }],
      attempt: ({ service }, caller) => service.keys.get(caller, key),
    },
    {
      name: 'edit the policy of a key',
      takes: [
        { permission: 'keys.update', key },
        { permission: 'keys.policy', key },
      ],
      attempt: async ({ service }, caller) => {
        const { generation } = await service.keys.get({ ...caller, permission: null }, key)
        await service.keys.update(dry(caller), key, generation, { exportable: true })
      },
    },
    {
      name: 'label a key',
      takes: [
        { permission: 'keys.update', key },
        { permission: 'keys.label', key },
      ],
      attempt: async ({ service }, caller) => {
        const { generation } = await service.keys.get({ ...caller, permission: null }, key)
        await service.keys.update(dry(caller), key, generation, { labels: labels[key] })
      },
    },
    {
      name: 'make a key',
      takes: [{ permission: 'keys.create', key: `${key}.new` }],
      attempt: ({ service }, caller) => service.keys.create(dry(caller), { key: `${key}.new` }),
    },
    {
      name: 'point an alias at a key',
      takes: [
        { permission: 'aliases.write', key },
        { permission: 'aliases.write', key: `${key}.alias` },
      ],
      attempt: ({ service }, caller) => service.life.aliases.put(dry(caller), `${key}.alias`, key),
    },
    {
      name: 'list tokens',
      takes: [{ permission: 'tokens.list', key }],
      attempt: ({ service }, caller) => service.tokens.list(caller, { limit: 1 }),
    },
    {
      name: 'verify the log',
      takes: [{ permission: 'audit.verify', key }],
      attempt: async () => undefined,
    },
  ])
}

const mostlyNull = <T>(of: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: of })

const rule = fc.record({
  effect: fc.oneof(
    { weight: 7, arbitrary: fc.constant('allow' as const) },
    { weight: 1, arbitrary: fc.constant('deny' as const) },
  ),
  permissions: fc.uniqueArray(fc.constantFrom(...used), { minLength: 2, maxLength: 9 }),
  keys: mostlyNull(
    fc.uniqueArray(fc.constantFrom('a', 'b', 'a.new', 'a.alias', 'b.alias'), { minLength: 1 }),
  ),
  labels: mostlyNull(fc.constantFrom({ env: 'x' }, { env: 'y' })),
  tenant: mostlyNull(fc.constantFrom('equals' as const, 'includes' as const)),
  networks: mostlyNull(fc.constantFrom(['10.0.0.0/8'], ['11.0.0.0/8'])),
  uses: fc.constantFrom(null, 1, 2),
})

function grantOf({ tenant, ...one }: typeof rule extends fc.Arbitrary<infer R> ? R : never) {
  const inContext = one.permissions.filter((each) => each === 'unwrap' || each === 'rewrap')
  const hasContext = tenant !== null && inContext.length > 0
  return {
    ...one,
    permissions: hasContext ? inContext : one.permissions,
    context: hasContext ? { match: tenant, pairs: [['tenant', '1']] as const } : null,
    uses: one.effect === 'deny' ? null : one.uses,
    notBefore: null,
    notAfter: null,
  } satisfies Omit<NewGrant, 'principal'>
}

async function prepare() {
  const under = await startTestService({ keys })
  const { service, admin } = under
  const [wrapped, old] = [new Map<string, Wrapped>(), new Map<string, Wrapped>()]
  for (const key of keys) {
    for (const context of contexts) {
      const made = await wrapFor(under.client(), [key], { context: Object.fromEntries(context) })
      old.set(`${key} ${context.length}`, made)
    }
    await service.life.versions.rotate(admin, key)
    await service.life.versions.setState(admin, key, 1, 'compromised')
    for (const context of contexts) {
      const made = await wrapFor(under.client(), [key], { context: Object.fromEntries(context) })
      wrapped.set(`${key} ${context.length}`, made)
    }
    const { generation } = await service.keys.get(admin, key)
    await service.keys.update(admin, key, generation, { labels: labels[key] })
  }
  return { under, all: deeds(wrapped, old) }
}

test('what is explained is what happens, for any grants, whatever a request takes', async () => {
  const { under, all } = await prepare()
  const { service, admin } = under
  let runs = 0
  const counts = { allowed: 0, refused: 0, paid: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.array(rule, { minLength: 1, maxLength: 5 }),
      fc.oneof(fc.constant(used), fc.uniqueArray(fc.constantFrom(...used), { minLength: 6 })),
      fc.array(fc.constantFrom(...all), { minLength: 1, maxLength: 6 }),
      fc.constantFrom('10.0.0.1', '11.0.0.1', undefined),
      async (rules, permissions, chosen, address) => {
        const principal = `p${runs++}`
        await service.grants.createPrincipal(admin, principal, '')
        for (const one of rules) await service.grants.create(admin, { principal, ...grantOf(one) })
        const wanted = { name: '', principal, permissions, keys: null, expiresAt: null }
        const { text, row } = await service.tokens.create(admin, wanted)
        for (const deed of chosen) {
          const at = Date.now()
          const said = await Promise.all(
            deed.takes.map((one) => service.explain({ token: row.token, address, at, ...one })),
          )
          const uses = async () =>
            (await service.grants.of(principal)).reduce((sum, { usesLeft }) => sum + (usesLeft ?? 0), 0)
          const before = await uses()
          const [{ permission } = { permission: 'wrap' as const }] = deed.takes
          const caller = {
            principal: await service.tokens.authenticate(text, address),
            requestId: 'r',
            permission: deed.name === 'edit the policy of a key' ? ('keys.update' as const) : permission,
          }
          const isAllowed = await (async () => {
            await service.authorise(caller, permission)
            await deed.attempt(under, caller)
            await service.settle(caller)
          })().then(
            () => true,
            (error: unknown) => {
              expect(error).toMatchObject({
                code: expect.stringMatching(/^(?:permission_denied|not_found)$/u),
              })
              return false
            },
          )
          const expected = said.every(({ allowed }) => allowed)
          expect(isAllowed, `${deed.name}: ${JSON.stringify(deed.takes)}`).toBe(expected)
          counts[isAllowed ? 'allowed' : 'refused'] += 1
          // Each grant with a number that it names is paid with once; who is refused pays nothing, unless a batch was answered.
          const isBatch = permission === 'unwrap' || permission === 'rewrap'
          const numbered = (await service.grants.of(principal)).filter(({ usesLeft }) => usesLeft !== null)
          const named = numbered.filter(({ grant }) => said.some(({ by }) => by.includes(grant))).length
          const paid = before - (await uses())
          expect(paid).toBeLessThanOrEqual(isAllowed || isBatch ? named : 0)
          if (paid > 0) counts.paid += 1
        }
      },
    ),
    { numRuns: 100 },
  )
  expect(Math.min(...Object.values(counts)), JSON.stringify(counts)).toBeGreaterThan(5)
})

test('a key that is not there is as if it were hidden, and an alias stands for its key where writers name it', async () => {
  const { service, admin } = await startTestService({ keys: ['a'] })
  await service.grants.createPrincipal(admin, 'app', '')
  await service.grants.create(admin, {
    principal: 'app',
    effect: 'allow',
    permissions: ['keys.read', 'keys.create', 'wrap', 'audit.read'],
    keys: ['a', 'new'],
    labels: null,
    context: null,
    notBefore: null,
    notAfter: null,
    networks: null,
    uses: null,
  })
  await service.life.aliases.put(admin, 'now', 'a')
  const ask = async (permission: Permission, key?: string) => {
    const { allowed, visible } = await service.explain({ principal: 'app', permission, key, at: Date.now() })
    return { allowed, visible }
  }
  expect(await ask('keys.read', 'a')).toEqual({ allowed: true, visible: true })
  expect(await ask('keys.read', 'new')).toEqual({ allowed: false, visible: false })
  expect(await ask('keys.create', 'new')).toEqual({ allowed: true, visible: false })
  expect(await ask('keys.create', 'other')).toEqual({ allowed: false, visible: false })
  expect(await ask('wrap', 'now')).toEqual({ allowed: true, visible: true })
  expect(await ask('keys.read', 'now')).toEqual({ allowed: false, visible: false })
  // About the whole service: a rule for some keys does not allow it, whichever is asked about.
  expect(await ask('audit.read', 'a')).toMatchObject({ allowed: false })
  // Some key there may be.
  expect(await ask('keys.read')).toMatchObject({ allowed: true })
})
