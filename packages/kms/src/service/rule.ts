/**
 * Rules: what one grant allows or denies. A rule without a condition does not ask for it; all conditions that it has
 * must hold.
 */

import { isIP, BlockList } from 'node:net'

import { canonicalContext } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import { ServiceError } from './errors.ts'

/** Pairs that the context must be (`equals`), or must have among others (`includes`). */
export interface ContextRule {
  readonly match: 'equals' | 'includes'
  readonly pairs: EncryptionContext
}

export type Labels = Readonly<Record<string, string>>

export interface Rule {
  readonly effect: 'allow' | 'deny'
  readonly permissions: readonly Permission[]
  /** Names of keys; null: all. */
  readonly keys: readonly string[] | null
  /** Labels a key must have, all of them; null: any. */
  readonly labels: Labels | null
  readonly context: ContextRule | null
  /** Milliseconds since 1970; the rule holds from here (inclusive) … */
  readonly notBefore: number | null
  /** … to here (exclusive). */
  readonly notAfter: number | null
  /** CIDR blocks the request must come from; null: anywhere. */
  readonly networks: readonly string[] | null
}

/** What rules may ask about a key. */
export interface KeyFacts {
  readonly key: string
  /** null: not known. Then a rule that asks for labels does not allow, and does deny. */
  readonly labels: Labels | null
}

/** What somebody wants to do. */
export interface Wish {
  readonly permission: Permission
  /** Absent: not about a key. */
  readonly key?: KeyFacts | undefined
  /** Absent: the operation has no context. */
  readonly context?: EncryptionContext | undefined
  readonly address: string | undefined
  readonly at: number
}

/** The permissions whose operations carry a context. */
export const contextPermissions: readonly Permission[] = ['unwrap', 'rewrap']

interface Network {
  readonly address: string
  readonly bits: number
  readonly family: 'ipv4' | 'ipv6'
}

const maxPairs = 64
const maxNetworks = 32
const addressBits = { ipv4: 32, ipv6: 128 } as const

/** Everything that `rule` says about this wish, but the effect. */
export function applies(rule: Rule, wish: Wish): boolean {
  return (
    rule.permissions.includes(wish.permission) &&
    appliesInPlace(rule, wish) &&
    appliesToKey(rule, wish.key) &&
    appliesToContext(rule, wish.context)
  )
}

/** Time and network. */
export function appliesInPlace(rule: Rule, { address, at }: Pick<Wish, 'address' | 'at'>): boolean {
  if (rule.notBefore !== null && at < rule.notBefore) return false
  if (rule.notAfter !== null && at >= rule.notAfter) return false
  if (rule.networks === null) return true
  // Not over the network: it cannot be seen that a denial does not mean it.
  return address === undefined ? rule.effect === 'deny' : isWithin(rule.networks, address)
}

export function appliesToKey(
  { effect, keys, labels }: Pick<Rule, 'effect' | 'keys' | 'labels'>,
  key: KeyFacts | undefined,
): boolean {
  if (keys !== null && (key === undefined || !keys.includes(key.key))) return false
  if (labels === null) return true
  if (key === undefined) return false
  const known = key.labels
  if (known === null) return effect === 'deny'
  return Object.entries(labels).every(([name, value]) => labelOf(known, name) === value)
}

function labelOf(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined
}

function appliesToContext({ context: rule }: Rule, context: EncryptionContext | undefined): boolean {
  if (rule === null) return true
  if (context === undefined) return false
  if (rule.match === 'equals' && rule.pairs.length !== context.length) return false
  const given = new Map(context)
  return rule.pairs.every(([name, value]) => given.get(name) === value)
}

/** Whether an address lies in one of the blocks. Without an address it lies in none. */
export function isWithin(networks: readonly string[], address: string | undefined): boolean {
  const bare = address === undefined ? undefined : unmapped(address)
  const family = familyOf(bare)
  if (bare === undefined || family === undefined) return false
  return networks.map(parseNetwork).some((block) => contains(block, bare, family))
}

/** The block of one address. */
export function networkOf(address: string): string {
  const bare = unmapped(address)
  return `${bare}/${familyOf(bare) === 'ipv4' ? 32 : 128}`
}

/** A dual-stack listener reports IPv4 peers as ::ffff:a.b.c.d; a link-local address may name its interface. */
function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/iu, '').replace(/%.*$/u, '')
}

/** Whether every address of `inner` lies in a block of `outer`. */
export function networkWithin(inner: string, outer: readonly string[]): boolean {
  const { address, bits, family } = parseNetwork(inner)
  return outer.map(parseNetwork).some((block) => block.bits <= bits && contains(block, address, family))
}

/** Of the same family alone: to a BlockList, ::/0 contains the addresses of IPv4. */
function contains(block: Network, address: string, family: Network['family']): boolean {
  if (block.family !== family) return false
  const list = new BlockList()
  list.addSubnet(block.address, block.bits, family)
  return list.check(address, family)
}

/** @throws ServiceError `malformed_request`, naming the block. */
export function parseNetwork(text: string): Network {
  const [, address = '', width = ''] = /^([0-9a-f.:]+)\/(0|[1-9]\d{0,2})$/iu.exec(text) ?? []
  const family = familyOf(address)
  const bits = Number(width)
  if (width === '' || family === undefined || bits > addressBits[family]) {
    throw new ServiceError('malformed_request', `${JSON.stringify(text.slice(0, 64))} is no network`, {
      hint: 'write an address and the length of its prefix, as in 10.0.0.0/8 or fd00::/8',
    })
  }
  return { address, bits, family }
}

function familyOf(address: string | undefined): Network['family'] | undefined {
  switch (isIP(address ?? '')) {
    case 4:
      return 'ipv4'
    case 6:
      return 'ipv6'
    default:
      return undefined
  }
}

/**
 * A rule that says something, and nothing that can never hold.
 *
 * @throws ServiceError `malformed_request`.
 */
export function checkRule(rule: Rule): void {
  if (rule.permissions.length === 0) throw malformed('a rule without permissions says nothing')
  if (rule.keys?.length === 0) throw malformed('a rule for no key says nothing', 'leave keys out to mean all')
  if (rule.labels !== null && Object.keys(rule.labels).length === 0) {
    throw malformed('a rule for no label says nothing', 'leave labels out to mean any')
  }
  if (rule.notBefore !== null && rule.notAfter !== null && rule.notAfter <= rule.notBefore) {
    throw malformed('the rule ends before it begins')
  }
  if (rule.networks !== null) {
    if (rule.networks.length === 0) throw malformed('a rule for no network says nothing')
    if (rule.networks.length > maxNetworks) throw malformed(`at most ${maxNetworks} networks in a rule`)
    for (const { address } of rule.networks.map(parseNetwork)) {
      // Addresses of IPv4 are compared as such: a block of them in IPv6 would hold none, and a denial nobody.
      if (/^::ffff:/iu.test(address)) throw malformed(`${address} is an address of IPv4: write it as one`)
    }
  }
  if (rule.context !== null) checkContextRule(rule, rule.context)
}

function checkContextRule({ permissions }: Rule, { match, pairs }: ContextRule): void {
  const without = permissions.find((permission) => !contextPermissions.includes(permission))
  if (without !== undefined) {
    throw malformed(
      `${without} has no context that a rule could ask for`,
      `only ${contextPermissions.join(', ')} have`,
    )
  }
  if (pairs.length > maxPairs) throw malformed(`at most ${maxPairs} pairs of context in a rule`)
  if (match === 'includes' && pairs.length === 0)
    throw malformed('a context rule that includes nothing says nothing')
  canonicalContext(pairs)
}

function malformed(what: string, hint?: string): ServiceError {
  return new ServiceError('malformed_request', what, hint === undefined ? {} : { hint })
}
