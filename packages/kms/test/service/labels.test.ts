import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { decide } from '../../src/service/authority.ts'
import type { Authority, NamedRule } from '../../src/service/authority.ts'
import type { RowReads } from '../../src/service/key-store.ts'
import { requireLabels } from '../../src/service/labels.ts'
import type { Caller } from '../../src/service/policy.ts'
import type { GrantRow } from '../../src/service/rows.ts'
import type { Wish } from '../../src/service/rule.ts'
import { Tab } from '../../src/service/tab.ts'

const permissions: readonly Permission[] = ['unwrap', 'rewrap']
const labels = fc.dictionary(fc.constantFrom('env', 'team'), fc.constantFrom('x', 'y'), { maxKeys: 2 })
const pairs = fc.constantFrom<EncryptionContext>(
  [],
  [['a', '1']],
  [
    ['a', '1'],
    ['b', '2'],
  ],
)
const mostlyNull = <T>(of: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: of })
const rule: fc.Arbitrary<NamedRule> = fc.record({
  name: fc.constant('rule'),
  effect: fc.oneof(
    { weight: 4, arbitrary: fc.constant('allow' as const) },
    { weight: 1, arbitrary: fc.constant('deny' as const) },
  ),
  permissions: fc.uniqueArray(fc.constantFrom(...permissions), { minLength: 1 }),
  keys: mostlyNull(fc.constantFrom(['k'], ['l'], ['k', 'l'])),
  labels: fc.option(labels, { nil: null }),
  context: mostlyNull(fc.record({ match: fc.constantFrom('equals' as const, 'includes' as const), pairs })),
  notBefore: mostlyNull(fc.constantFrom(1, 3)),
  notAfter: mostlyNull(fc.constantFrom(5, 7)),
  networks: mostlyNull(fc.constantFrom(['10.0.0.0/8'], ['10.1.0.0/16'])),
  isLimited: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
})
const wish = fc.record({
  permission: fc.constantFrom(...permissions),
  context: pairs,
  address: fc.constantFrom('10.1.0.1', '10.2.0.1', '192.168.0.1'),
  at: fc.constantFrom(0, 2, 4, 6, 8),
})
const labelling: NamedRule = {
  name: 'labelling',
  effect: 'allow',
  permissions: ['keys.label', 'grants.create'],
  keys: null,
  labels: null,
  context: null,
  notBefore: null,
  notAfter: null,
  networks: null,
}

function readsOf(grants: readonly NamedRule[]): RowReads {
  const rows = grants.map((grant, index) => ({
    ...grant,
    principal: 'app',
    grant: String(index),
    usesLeft: null,
    createdAt: 0,
    createdBy: '',
    generation: 1,
    mac: new Uint8Array(32),
  })) satisfies GrantRow[]
  // Of grants alone is it asked.
  return { row: async () => undefined, rows: async () => rows } as unknown as RowReads
}

function editor(authority: Authority): Caller {
  const whole = authority.map((layer) => [...layer, labelling])
  const principal = { token: 't', name: null, authority: whole, address: '10.1.0.1', at: 0, expiresAt: null }
  return {
    principal: { ...principal, tab: new Tab(readsOf([]), null) },
    requestId: 'r',
    permission: 'keys.update',
  }
}

test('whoever labels a key gives nobody what he does not hold, whatever the grants say', async () => {
  const met = { accepted: 0, refused: 0, gained: 0 }
  const layer = fc.array(rule, { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(layer, { minLength: 1, maxLength: 2 }),
      fc.array(rule, { minLength: 1, maxLength: 4 }),
      labels,
      labels,
      fc.array(wish, { minLength: 20, maxLength: 20 }),
      async (held, grants, before, after, wishes) => {
        const caller = editor(held)
        const isAccepted = await requireLabels(
          readsOf(grants),
          caller,
          { key: 'k', labels: before },
          after,
        ).then(
          () => true,
          () => false,
        )
        met[isAccepted ? 'accepted' : 'refused'] += 1
        if (!isAccepted) return
        for (const one of wishes) {
          const withLabels = (known: Readonly<Record<string, string>>): Wish => ({
            ...one,
            key: { key: 'k', labels: known },
          })
          const gains =
            !decide([grants], withLabels(before)).allowed && decide([grants], withLabels(after)).allowed
          if (!gains) continue
          met.gained += 1
          const lasting = held.map((rules) =>
            rules.filter(({ effect, isLimited }) => effect === 'deny' || isLimited !== true),
          )
          expect(decide(lasting, withLabels(before)).allowed).toBe(true)
        }
      },
    ),
    { numRuns: 10_000 },
  )
  expect(Math.min(...Object.values(met)), JSON.stringify(met)).toBeGreaterThan(200)
})
