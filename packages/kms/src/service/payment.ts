/**
 * Grants for a number of requests. A request takes one use of each such grant that it needs, before what that allows is
 * done; from then on the others allow it nothing.
 */

import type { Permission } from '@longhold/core/kms'

import { appliesToWish, payerOfAny } from './authority.ts'
import type { Layer } from './authority.ts'
import type { Grants } from './grants.ts'
import type { RowReads } from './key-store.ts'
import { isKeyless } from './policy.ts'
import type { Caller } from './policy.ts'
import type { KeyFacts, Wish } from './rule.ts'

/** What a request is about: a key and a context, as far as it has them. */
type About = Pick<Wish, 'key' | 'context'>

/**
 * Takes what a request costs.
 *
 * @param about Asked only where there is something to pay: everything it is about; undefined: not known yet.
 * @returns The caller, for whom only the grants that he paid with count besides those without a number.
 * @throws ServiceError `permission_denied` when the last use was taken meanwhile.
 */
export async function pay(
  grants: Grants,
  caller: Caller,
  permission: Permission,
  about: () => Promise<readonly About[] | undefined>,
): Promise<Caller> {
  const { principal } = caller
  const [own, granted] = principal.authority
  if (principal.name === null || own === undefined || granted === undefined) return caller
  if (!granted.some(({ isLimited }) => isLimited === true)) return caller
  const { address, at } = principal
  const wishes = (await about())?.map((one): Wish => ({ permission, address, at, ...one }))
  const payers = wishes === undefined ? payerOfAny(granted, permission, principal) : payersOf(granted, wishes)
  for (const grant of payers) await grants.spend(caller, principal.name, grant)
  const paid = granted.map((rule) =>
    rule.isLimited === true && !payers.has(rule.name) ? { ...rule, isUnpaid: true } : rule,
  )
  return { ...caller, principal: { ...principal, authority: [own, paid] } }
}

/** The grants without which something of what is wished were not allowed, as few as they come. */
function payersOf(layer: Layer, wishes: readonly Wish[]): Set<string> {
  const payers = new Set<string>()
  for (const wish of wishes) {
    const matching = appliesToWish(layer, wish)
    // Refused, or free.
    if (matching.some(({ effect, isLimited }) => effect === 'deny' || isLimited !== true)) continue
    const [first] = matching
    if (first !== undefined && !matching.some(({ name }) => payers.has(name))) payers.add(first.name)
  }
  return payers
}

/** What a route with this permission is about, as its address says. */
export async function aboutRoute(
  reads: RowReads,
  permission: Permission,
  name: string | undefined,
): Promise<About[] | undefined> {
  if (isKeyless(permission)) return [{}]
  if (name === undefined) return undefined
  const key = await factsOf(reads, name)
  return key === undefined ? [] : [{ key }]
}

async function factsOf(reads: RowReads, name: string): Promise<KeyFacts | undefined> {
  const row = await reads.row('keys', { key: name })
  if (row !== undefined) return row
  const alias = await reads.row('aliases', { alias: name })
  return alias && (await reads.row('keys', { key: alias.key }))
}
