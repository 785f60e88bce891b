import { describe, expect, test } from 'vitest'

import { applies, checkRule, isWithin, networkWithin, parseNetwork } from '../../src/service/rule.ts'
import type { Rule, Wish } from '../../src/service/rule.ts'

const rule: Rule = {
  effect: 'allow',
  permissions: ['unwrap'],
  keys: null,
  labels: null,
  context: null,
  notBefore: null,
  notAfter: null,
  networks: null,
}
const wish: Wish = {
  permission: 'unwrap',
  key: { key: 'patients', labels: { env: 'prod', team: 'a' } },
  context: [
    ['table', 'patients'],
    ['tenant', '7'],
  ],
  address: '10.1.2.3',
  at: 1000,
}

describe('a rule applies when all its conditions hold', () => {
  test.each<[string, Partial<Rule>, Partial<Wish>, boolean]>([
    ['no condition', {}, {}, true],
    ['another permission', {}, { permission: 'rewrap' }, false],
    ['its key', { keys: ['other', 'patients'] }, {}, true],
    ['another key', { keys: ['patient'] }, {}, false],
    ['a key where none is asked for', { keys: ['patients'] }, { key: undefined }, false],
    ['one of its labels', { labels: { env: 'prod' } }, {}, true],
    ['all of its labels', { labels: { env: 'prod', team: 'a' } }, {}, true],
    ['a label with another value', { labels: { env: 'test' } }, {}, false],
    ['a label it does not have', { labels: { env: 'prod', zone: 'x' } }, {}, false],
    ['a label named like what every object has', { labels: { constructor: 'x' } }, {}, false],
    ['labels where no key is asked for', { labels: { env: 'prod' } }, { key: undefined }, false],
    [
      'the context whole',
      { context: { match: 'equals', pairs: [...(wish.context ?? [])].toReversed() } },
      {},
      true,
    ],
    [
      'a part of the context as the whole',
      { context: { match: 'equals', pairs: [['tenant', '7']] } },
      {},
      false,
    ],
    ['a part of the context', { context: { match: 'includes', pairs: [['tenant', '7']] } }, {}, true],
    ['another value in the context', { context: { match: 'includes', pairs: [['tenant', '8']] } }, {}, false],
    ['an empty context', { context: { match: 'equals', pairs: [] } }, { context: [] }, true],
    ['an empty context where there is another', { context: { match: 'equals', pairs: [] } }, {}, false],
    [
      'a context where there is none',
      { context: { match: 'equals', pairs: [] } },
      { context: undefined },
      false,
    ],
    ['its first moment', { notBefore: 1000 }, {}, true],
    ['before it begins', { notBefore: 1001 }, {}, false],
    ['its last moment', { notAfter: 1001 }, {}, true],
    ['its end', { notAfter: 1000 }, {}, false],
    ['its network', { networks: ['192.168.0.0/16', '10.0.0.0/8'] }, {}, true],
    ['another network', { networks: ['10.2.0.0/16'] }, {}, false],
    ['no address where a network is asked for', { networks: ['0.0.0.0/0'] }, { address: undefined }, false],
  ])('%s', (_, change, wanted, expected) => {
    expect(applies({ ...rule, ...change }, { ...wish, ...wanted })).toBe(expected)
  })
})

test('a denial by network holds where no address is known', () => {
  const denied = { ...rule, effect: 'deny' as const, networks: ['10.0.0.0/8'] }
  expect(applies(denied, { ...wish, address: undefined })).toBe(true)
  expect(applies(denied, { ...wish, address: '11.0.0.1' })).toBe(false)
})

test('networks: IPv4, IPv6, and IPv4 as a dual-stack listener reports it', () => {
  expect(isWithin(['10.0.0.0/8'], '::ffff:10.9.9.9')).toBe(true)
  expect(isWithin(['10.0.0.0/8'], '::FFFF:11.9.9.9')).toBe(false)
  expect(isWithin(['fd00::/8'], 'fd12:3456::1')).toBe(true)
  expect(isWithin(['fd00::/8'], 'fe80::1')).toBe(false)
  expect(isWithin(['::/0'], '10.0.0.1')).toBe(false)
  expect(isWithin(['127.0.0.1/32'], '127.0.0.1')).toBe(true)
  expect(isWithin(['127.0.0.1/32'], 'localhost')).toBe(false)
})

test.each([
  ['10.1.0.0/16', ['10.0.0.0/8'], true],
  ['10.0.0.0/8', ['10.0.0.0/8'], true],
  ['10.0.0.0/7', ['10.0.0.0/8'], false],
  ['11.0.0.0/8', ['10.0.0.0/8', '11.0.0.0/8'], true],
  ['fd00::/16', ['10.0.0.0/8'], false],
  ['0.0.0.0/0', ['::/0'], false],
])('%s lies within %j: %s', (inner, outer, expected) => {
  expect(networkWithin(inner, outer)).toBe(expected)
})

test.each([
  '',
  '10.0.0.0',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0.256/8',
  'fd00::/129',
  'localhost/8',
  '10.0.0.0/-1',
  '10.0.0.0/8 ',
])('%j is no network', (text) => {
  expect(() => parseNetwork(text)).toThrow(expect.objectContaining({ code: 'malformed_request' }))
})

describe('a rule that says nothing, or can never hold, is refused:', () => {
  test.each<[string, Partial<Rule>]>([
    ['no permissions', { permissions: [] }],
    ['no keys', { keys: [] }],
    ['no labels', { labels: {} }],
    ['no networks', { networks: [] }],
    ['a network that is none', { networks: ['10.0.0.0'] }],
    ['a network of IPv4 in IPv6', { networks: ['::ffff:10.0.0.0/104'] }],
    ['too many networks', { networks: Array.from({ length: 33 }, (_, i) => `10.${i}.0.0/16`) }],
    ['an end before its beginning', { notBefore: 10, notAfter: 10 }],
    [
      'a context for what has none',
      { permissions: ['unwrap', 'keys.rotate'], context: { match: 'equals', pairs: [] } },
    ],
    ['a context that includes nothing', { context: { match: 'includes', pairs: [] } }],
    [
      'too many pairs',
      { context: { match: 'equals', pairs: Array.from({ length: 65 }, (_, i) => [`k${i}`, 'v'] as const) } },
    ],
  ])('%s', (_, change) => {
    expect(() => checkRule({ ...rule, ...change })).toThrow(
      expect.objectContaining({ code: 'malformed_request' }),
    )
  })

  test('a key of the context twice', () => {
    const pairs = [
      ['a', '1'],
      ['a', '2'],
    ] as const
    expect(() => checkRule({ ...rule, context: { match: 'equals', pairs } })).toThrow('stands twice')
  })

  test.each<[string, Partial<Rule>]>([
    ['no condition', {}],
    [
      'every condition',
      { context: { match: 'equals', pairs: [] }, networks: ['::1/128'], notBefore: 1, notAfter: 2 },
    ],
  ])('but not one with %s', (_, change) => {
    expect(() => checkRule({ ...rule, ...change })).not.toThrow()
  })
})
