import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { decide, decideForAny, maySeeKey } from '../../src/service/authority.ts'
import type { Authority, Layer, NamedRule } from '../../src/service/authority.ts'
import { covers } from '../../src/service/delegation.ts'
import type { Wish } from '../../src/service/rule.ts'

const allow: NamedRule = {
  name: 'allow',
  effect: 'allow',
  permissions: ['unwrap', 'keys.read'],
  keys: null,
  labels: null,
  context: null,
  notBefore: null,
  notAfter: null,
  networks: null,
}
const deny: NamedRule = { ...allow, name: 'deny', effect: 'deny', permissions: ['unwrap'] }
const wish: Wish = {
  permission: 'unwrap',
  key: { key: 'a', labels: {} },
  context: [],
  address: '10.0.0.1',
  at: 1000,
}
const place = { address: '10.0.0.1', at: 1000 }

describe('a decision', () => {
  test('nothing is allowed that no rule allows', () => {
    expect(decide([], wish)).toEqual({ allowed: false, by: [] })
    expect(decide([[]], wish)).toEqual({ allowed: false, by: [] })
    expect(decide([[{ ...allow, permissions: ['keys.read'] }]], wish)).toEqual({ allowed: false, by: [] })
  })

  test('a deny wins, wherever it stands', () => {
    expect(decide([[allow, deny]], wish)).toEqual({ allowed: false, by: [deny] })
    expect(decide([[deny, allow]], wish)).toEqual({ allowed: false, by: [deny] })
    expect(decide([[allow, { ...deny, keys: ['b'] }]], wish)).toEqual({ allowed: true, by: [allow] })
  })

  test('a rule without a number of uses decides before one with, and one that is owed before another', () => {
    const first = { ...allow, name: 'first', isLimited: true }
    const second = { ...allow, name: 'second', isLimited: true }
    expect(decide([[first, second, allow]], wish)).toEqual({ allowed: true, by: [allow] })
    expect(decide([[first, second]], wish)).toEqual({ allowed: true, by: [first] })
    expect(decide([[first, second]], wish, (name) => name === 'second').by).toEqual([second])
    expect(decideForAny([[first, second]], 'unwrap', place, (name) => name === 'second').by).toEqual([second])
  })

  test('each layer must allow it', () => {
    const other = { ...allow, name: 'other' }
    expect(decide([[allow], [other]], wish)).toEqual({ allowed: true, by: [allow, other] })
    expect(decide([[allow], []], wish)).toEqual({ allowed: false, by: [] })
    expect(decide([[allow], [other, deny]], wish)).toEqual({ allowed: false, by: [deny] })
  })
})

describe('whether a route may be used at all', () => {
  const may = (...authority: Layer[]) => decideForAny(authority, 'unwrap', place).allowed

  test('an allow for some key or context is enough', () => {
    expect(may([allow])).toBe(true)
    expect(may([{ ...allow, keys: ['z'], context: { match: 'equals', pairs: [] } }])).toBe(true)
    expect(may([{ ...allow, permissions: ['keys.read'] }])).toBe(false)
    expect(may([{ ...allow, notAfter: 1000 }])).toBe(false)
    expect(may()).toBe(false)
  })

  test('a deny of everything ends it, a narrower one does not', () => {
    expect(may([allow, deny])).toBe(false)
    expect(may([allow, { ...deny, keys: ['a'] }])).toBe(true)
    expect(may([allow, { ...deny, networks: ['10.0.0.0/8'] }])).toBe(false)
    expect(may([allow, { ...deny, networks: ['11.0.0.0/8'] }])).toBe(true)
    expect(may([allow], [deny])).toBe(false)
  })
})

describe('whether a key is there for somebody', () => {
  const sees = (...authority: Layer[]) => maySeeKey(authority, { key: 'a', labels: { env: 'prod' } }, place)

  test('it is when one permission is left in every layer', () => {
    expect(sees([allow])).toBe(true)
    expect(sees([allow, deny])).toBe(true) // keys.read is left
    expect(sees([{ ...allow, permissions: ['unwrap'] }, deny])).toBe(false)
    expect(sees([allow], [{ ...allow, permissions: ['rewrap'] }])).toBe(false)
    expect(sees([{ ...allow, keys: ['b'] }])).toBe(false)
    expect(sees([{ ...allow, labels: { env: 'prod' } }])).toBe(true)
    expect(sees([{ ...allow, labels: { env: 'test' } }])).toBe(false)
    expect(sees()).toBe(false)
  })
})

describe('delegation', () => {
  test.each<[string, Partial<NamedRule>, Partial<NamedRule>, boolean]>([
    ['the same', {}, {}, true],
    ['a key of all', {}, { keys: ['a'] }, true],
    ['all keys of one', { keys: ['a'] }, {}, false],
    ['another key', { keys: ['a'] }, { keys: ['b'] }, false],
    ['a permission more', { permissions: ['unwrap'] }, { permissions: ['unwrap', 'rewrap'] }, false],
    ['a label more', { labels: { env: 'prod' } }, { labels: { env: 'prod', team: 'a' } }, true],
    ['a label fewer', { labels: { env: 'prod' } }, {}, false],
    ['keys by name where labels are held', { labels: { env: 'prod' } }, { keys: ['a'] }, false],
    ['a later end', { notAfter: 10 }, { notAfter: 11 }, false],
    ['no end', { notAfter: 10 }, {}, false],
    ['an earlier end', { notAfter: 10 }, { notAfter: 9 }, true],
    ['an earlier beginning', { notBefore: 10 }, { notBefore: 9 }, false],
    ['a network within', { networks: ['10.0.0.0/8'] }, { networks: ['10.1.0.0/16'] }, true],
    ['everywhere', { networks: ['10.0.0.0/8'] }, {}, false],
    [
      'a context of many',
      { permissions: ['unwrap'] },
      { permissions: ['unwrap'], context: { match: 'equals', pairs: [] } },
      true,
    ],
    [
      'fewer pairs',
      { context: { match: 'includes', pairs: [['a', '1']] } },
      { context: { match: 'includes', pairs: [] } },
      false,
    ],
    [
      'the whole context where a part is held',
      { context: { match: 'includes', pairs: [['a', '1']] } },
      {
        context: {
          match: 'equals',
          pairs: [
            ['a', '1'],
            ['b', '2'],
          ],
        },
      },
      true,
    ],
    [
      'a part of the context where the whole is held',
      { context: { match: 'equals', pairs: [['a', '1']] } },
      { context: { match: 'includes', pairs: [['a', '1']] } },
      false,
    ],
  ])('%s', (_, held, wanted, expected) => {
    expect(covers([[{ ...allow, ...held }]], { ...allow, ...wanted })).toBe(expected)
  })

  test('a deny that could meet the rule forbids handing it on, and one that cannot does not', () => {
    const rule = { ...allow, keys: ['a'] }
    expect(covers([[allow, deny]], rule)).toBe(false)
    expect(covers([[allow, { ...deny, labels: { env: 'prod' } }]], rule)).toBe(false)
    expect(covers([[allow, { ...deny, keys: ['b'] }]], rule)).toBe(true)
    expect(covers([[allow, { ...deny, permissions: ['rewrap'] }]], rule)).toBe(true)
    expect(covers([[allow], [allow, deny]], rule)).toBe(false)
    expect(covers([], rule)).toBe(false)
  })

  test('what is covered is allowed, whatever is wished', () => {
    const pair = fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2'))
    const pairs = fc.uniqueArray(pair, { maxLength: 2, selector: ([name]) => name })
    const labels = fc.dictionary(fc.constantFrom('env', 'team'), fc.constantFrom('x', 'y'), { maxKeys: 2 })
    const orNull = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null, freq: 2 })
    const rule: fc.Arbitrary<NamedRule> = fc.record({
      name: fc.constantFrom('r', 's'),
      effect: fc.oneof(
        { weight: 4, arbitrary: fc.constant('allow' as const) },
        { weight: 1, arbitrary: fc.constant('deny' as const) },
      ),
      permissions: fc.uniqueArray(fc.constantFrom('unwrap' as const, 'rewrap' as const), { minLength: 1 }),
      keys: orNull(fc.uniqueArray(fc.constantFrom('k', 'l'), { minLength: 1 })),
      labels: orNull(labels),
      context: orNull(fc.record({ match: fc.constantFrom('equals' as const, 'includes' as const), pairs })),
      notBefore: orNull(fc.constantFrom(1, 3)),
      notAfter: orNull(fc.constantFrom(5, 7)),
      networks: orNull(
        fc.uniqueArray(fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', 'fd00::/8'), { minLength: 1 }),
      ),
    })
    const anyWish: fc.Arbitrary<Wish> = fc.record({
      permission: fc.constantFrom('unwrap' as const, 'rewrap' as const),
      key: fc.option(fc.record({ key: fc.constantFrom('k', 'l', 'm'), labels }), { nil: undefined }),
      context: fc.option(pairs, { nil: undefined }),
      address: fc.constantFrom('10.1.0.1', '10.2.0.1', 'fd00::1', undefined),
      at: fc.constantFrom(0, 2, 4, 6, 8),
    })
    const authority: fc.Arbitrary<Authority> = fc.array(fc.array(rule, { minLength: 1, maxLength: 3 }), {
      minLength: 1,
      maxLength: 2,
    })
    let met = 0
    fc.assert(
      fc.property(
        authority,
        rule,
        fc.array(anyWish, { minLength: 20, maxLength: 20 }),
        (held, wanted, wishes) => {
          const given = { ...wanted, effect: 'allow' as const }
          if (!covers(held, given)) return
          for (const one of wishes) {
            if (!decide([[given]], one).allowed) continue
            met++
            expect(decide(held, one).allowed).toBe(true)
          }
        },
      ),
      { numRuns: 20_000 },
    )
    expect(met).toBeGreaterThan(1000)
  })
})
