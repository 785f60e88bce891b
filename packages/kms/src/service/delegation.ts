/**
 * Nobody hands on what he does not hold. A rule may be given by whoever holds, in each layer, one rule that is at
 * least as wide, and no deny that could meet it. That refuses some rules which several of the holder's together would
 * cover; it never lets one through that they do not.
 */

import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import type { Authority, Layer } from './authority.ts'
import { networkWithin } from './rule.ts'
import type { ContextRule, Labels, Rule } from './rule.ts'

/** Whether whoever holds `authority` may do all that `rule` allows, for as long as it does. */
export function covers(authority: Authority, rule: Rule): boolean {
  return (
    authority.length > 0 &&
    authority.every((layer) => rule.permissions.every((permission) => layerCovers(layer, rule, permission)))
  )
}

function layerCovers(layer: Layer, rule: Rule, permission: Permission): boolean {
  const rules = layer.filter(({ permissions }) => permissions.includes(permission))
  return (
    rules.some((held) => held.effect === 'allow' && isWider(held, rule)) &&
    !rules.some((held) => held.effect === 'deny' && mayMeet(held, rule))
  )
}

/** Whether everything `rule` applies to, `held` does too; the permission aside. */
function isWider(held: Rule, rule: Rule): boolean {
  return (
    keysWithin(rule.keys, held.keys) &&
    labelsWithin(rule.labels, held.labels) &&
    contextWithin(rule.context, held.context) &&
    (held.notBefore === null || (rule.notBefore !== null && rule.notBefore >= held.notBefore)) &&
    (held.notAfter === null || (rule.notAfter !== null && rule.notAfter <= held.notAfter)) &&
    networksWithin(rule.networks, held.networks)
  )
}

/** Whether a deny could apply to something that `rule` allows. Only names of keys and time tell them apart. */
function mayMeet(deny: Rule, rule: Rule): boolean {
  const [denied, allowed] = [deny.keys, rule.keys]
  if (denied !== null && allowed !== null && !denied.some((key) => allowed.includes(key))) return false
  if (deny.notAfter !== null && rule.notBefore !== null && deny.notAfter <= rule.notBefore) return false
  return !(deny.notBefore !== null && rule.notAfter !== null && rule.notAfter <= deny.notBefore)
}

function keysWithin(inner: Rule['keys'], outer: Rule['keys']): boolean {
  return outer === null || (inner !== null && inner.every((key) => outer.includes(key)))
}

/** More labels asked for are fewer keys. */
function labelsWithin(inner: Labels | null, outer: Labels | null): boolean {
  if (outer === null) return true
  return (
    inner !== null &&
    Object.entries(outer).every(([name, value]) => Object.hasOwn(inner, name) && inner[name] === value)
  )
}

function contextWithin(inner: ContextRule | null, outer: ContextRule | null): boolean {
  if (outer === null) return true
  if (inner === null) return false
  if (outer.match === 'equals') return inner.match === 'equals' && samePairs(inner.pairs, outer.pairs)
  return includesAll(inner.pairs, outer.pairs)
}

function samePairs(a: EncryptionContext, b: EncryptionContext): boolean {
  return a.length === b.length && includesAll(a, b)
}

function includesAll(pairs: EncryptionContext, wanted: EncryptionContext): boolean {
  const given = new Map(pairs)
  return wanted.every(([name, value]) => given.get(name) === value)
}

function networksWithin(inner: Rule['networks'], outer: Rule['networks']): boolean {
  return outer === null || (inner !== null && inner.every((network) => networkWithin(network, outer)))
}
