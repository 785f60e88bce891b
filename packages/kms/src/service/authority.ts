/**
 * What somebody may do: layers of rules, and each layer must allow it. A token is one layer, the grants of its
 * principal another. In a layer a deny wins over every allow, and what no rule allows is refused.
 */

import type { Permission } from '@longhold/core/kms'

import { applies, appliesInPlace, appliesToKey } from './rule.ts'
import type { KeyFacts, Rule, Wish } from './rule.ts'

/** A rule with the name by which it is explained: a grant's id, or the token's. */
export interface NamedRule extends Rule {
  readonly name: string
  /** It allows so many requests and no more. */
  readonly isLimited?: boolean
  /** This request is none of them. */
  readonly isUnpaid?: boolean
}

export type Layer = readonly NamedRule[]
export type Authority = readonly Layer[]

export interface Decision {
  readonly allowed: boolean
  /** The rules that decided: one for each layer when allowed, else the deny, or none. */
  readonly by: readonly string[]
}

export function decide(authority: Authority, wish: Wish): Decision {
  const by: string[] = []
  for (const layer of authority) {
    const matching = appliesToWish(layer, wish)
    const deciding = matching.find(({ effect }) => effect === 'deny') ?? matching[0]
    if (deciding === undefined) return { allowed: false, by: [] }
    if (deciding.effect === 'deny') return { allowed: false, by: [deciding.name] }
    by.push(deciding.name)
  }
  // No layer, no authority.
  return { allowed: authority.length > 0, by }
}

/** The rules of a layer that decide. */
export function appliesToWish(layer: Layer, wish: Wish): NamedRule[] {
  return layer.filter((rule) => rule.isUnpaid !== true && applies(rule, wish))
}

type Place = Pick<Wish, 'address' | 'at'>

/** Whether there may be a key, or a context, for which the permission is allowed: what a route asks first. */
export function mayEver(authority: Authority, permission: Permission, place: Place): boolean {
  return (
    authority.length > 0 &&
    authority.every((layer) => {
      const rules = layer.filter(
        (rule) => rule.permissions.includes(permission) && appliesInPlace(rule, place),
      )
      const isDenied = rules.some(({ effect, keys, labels, context }) => {
        return effect === 'deny' && keys === null && labels === null && context === null
      })
      return !isDenied && rules.some(({ effect }) => effect === 'allow')
    })
  )
}

/**
 * The rule that pays for a request of which nobody knows yet what it is about: the first with a number of uses, unless one
 * without allows it whatever it is about.
 */
export function payerOfAny(layer: Layer, permission: Permission, place: Place): Set<string> {
  const allowing = layer.filter(
    (rule) => rule.effect === 'allow' && rule.permissions.includes(permission) && appliesInPlace(rule, place),
  )
  const isFree = allowing.some(({ isLimited, keys, labels }) => {
    return isLimited !== true && keys === null && labels === null
  })
  const payer = isFree ? undefined : allowing.find(({ isLimited }) => isLimited === true)
  return new Set(payer === undefined ? [] : [payer.name])
}

/**
 * Whether a key exists for somebody: he may do something with it, in some context. Other keys are like those that
 * do not exist.
 */
export function maySeeKey(authority: Authority, key: KeyFacts, place: Place): boolean {
  const held = authority.map((layer) => permissionsFor(layer, key, place))
  const [first, ...others] = held
  return first !== undefined && [...first].some((permission) => others.every((each) => each.has(permission)))
}

/** What a layer allows with a key, in whatever context. */
function permissionsFor(layer: Layer, key: KeyFacts, place: Place): Set<Permission> {
  const rules = layer.filter((rule) => appliesInPlace(rule, place) && appliesToKey(rule, key))
  const allowed = new Set(
    rules.filter(({ effect }) => effect === 'allow').flatMap(({ permissions }) => permissions),
  )
  for (const { effect, context, permissions } of rules) {
    if (effect === 'deny' && context === null)
      for (const permission of permissions) allowed.delete(permission)
  }
  return allowed
}
