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
}

export type Layer = readonly NamedRule[]
export type Authority = readonly Layer[]

export interface Decision {
  readonly allowed: boolean
  /** The rules that decided: one for each layer when allowed, else the deny, or none. */
  readonly by: readonly NamedRule[]
}

/** Whether leaning on a limited rule costs no more than is owed already. */
type IsOwed = (name: string) => boolean

const refused: Decision = { allowed: false, by: [] }
const none: IsOwed = () => false

/** A rule without a number decides before one with. */
export function decide(authority: Authority, wish: Wish, isOwed: IsOwed = none): Decision {
  const by: NamedRule[] = []
  for (const layer of authority) {
    const matching = layer.filter((rule) => applies(rule, wish))
    const denial = matching.find(({ effect }) => effect === 'deny')
    if (denial !== undefined) return { allowed: false, by: [denial] }
    const deciding = cheapest(matching, isOwed)
    if (deciding === undefined) return refused
    by.push(deciding)
  }
  // No layer, no authority.
  return { allowed: authority.length > 0, by }
}

function cheapest(allowing: Layer, isOwed: IsOwed): NamedRule | undefined {
  return (
    allowing.find(({ isLimited }) => isLimited !== true) ??
    allowing.find(({ name }) => isOwed(name)) ??
    allowing[0]
  )
}

type Place = Pick<Wish, 'address' | 'at'>

/** Whether there may be a key, or a context, for which the permission is allowed: what a route asks first. */
export function decideForAny(
  authority: Authority,
  permission: Permission,
  place: Place,
  isOwed: IsOwed = none,
): Decision {
  const by: NamedRule[] = []
  for (const layer of authority) {
    const rules = layer.filter((rule) => rule.permissions.includes(permission) && appliesInPlace(rule, place))
    const denial = rules.find(({ effect, keys, labels, context }) => {
      return effect === 'deny' && keys === null && labels === null && context === null
    })
    if (denial !== undefined) return { allowed: false, by: [denial] }
    const deciding = cheapest(
      rules.filter(({ effect }) => effect === 'allow'),
      isOwed,
    )
    if (deciding === undefined) return refused
    by.push(deciding)
  }
  return { allowed: authority.length > 0, by }
}

/**
 * Whether a key exists for somebody: he may do something with it, in some context. Other keys are like those that
 * do not exist.
 */
export function maySeeKey(authority: Authority, key: KeyFacts, place: Place): boolean {
  const layers = authority.map((layer) =>
    layer.filter((rule) => appliesInPlace(rule, place) && appliesToKey(rule, key)),
  )
  const [first, ...others] = layers
  if (first === undefined) return false
  // Mostly the first one will do.
  return first.some(
    ({ effect, permissions }) =>
      effect === 'allow' &&
      permissions.some((one) => allows(first, one) && others.every((layer) => allows(layer, one))),
  )
}

/** Whether there is a context in which the rules, which apply otherwise, allow it. */
function allows(layer: Layer, permission: Permission): boolean {
  const rules = layer.filter(({ permissions }) => permissions.includes(permission))
  return (
    rules.some(({ effect }) => effect === 'allow') &&
    !rules.some(({ effect, context }) => effect === 'deny' && context === null)
  )
}
