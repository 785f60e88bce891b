/** Why something is allowed, or not: the same decision, without the request. */

import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import { maySeeKey } from './authority.ts'
import type { Authority, Decision } from './authority.ts'
import { notFound, ServiceError } from './errors.ts'
import type { Grants } from './grants.ts'
import type { Ledger } from './ledger.ts'
import { decisionOf, isAboutKeys } from './policy.ts'
import type { KeyRow } from './rows.ts'
import type { KeyFacts } from './rule.ts'
import type { Tokens } from './tokens.ts'

export interface ExplainOptions {
  readonly ledger: Ledger
  readonly grants: Grants
  readonly tokens: Tokens
}

/** One of `principal` and `token` says whose rights are asked about. */
export interface Question {
  readonly principal?: string | undefined
  readonly token?: string | undefined
  readonly permission: Permission
  readonly key?: string | undefined
  readonly context?: EncryptionContext | undefined
  readonly address?: string | undefined
  readonly at: number
}

export interface Explanation {
  readonly allowed: boolean
  /** Names of the rules that decided: one for each layer when allowed, else the deny, or none. */
  readonly by: readonly string[]
  /** Whether the key is there for them at all. */
  readonly visible: boolean
}

/** What is done with names of keys that are to come. */
const naming: readonly Permission[] = ['keys.create', 'keys.import']
/** What takes an alias for a key. */
const writing: readonly Permission[] = ['wrap', 'data-keys.create']

/**
 * What a request would be told that takes this permission, by the decision it would get. Without a key: whether there
 * may be one for which it is allowed, as the route asks first. Changes and counts nothing. A switched-off principal, and a
 * token that is revoked or over, may do nothing.
 *
 * @throws ServiceError `malformed_request` unless one of the two is named, `not_found`.
 */
export async function explain(options: ExplainOptions, question: Question): Promise<Explanation> {
  const { permission, key, context, address, at } = question
  const asker = { authority: await authorityOf(options, question, at), address, at }
  const row = await rowOf(options.ledger, question)
  const { allowed, by } =
    key === undefined || row !== undefined || isForNames(question) || !isAboutKeys(permission)
      ? decisionOf(asker, { permission, key: factsOf(question, row), context })
      : nothing
  return {
    allowed,
    by: by.map(({ name }) => name),
    visible: key === undefined || (row !== undefined && maySeeKey(asker.authority, row, asker)),
  }
}

const nothing: Decision = { allowed: false, by: [] }

/** The key that a request with this name would be about. */
async function rowOf(ledger: Ledger, { permission, key }: Question): Promise<KeyRow | undefined> {
  if (key === undefined) return undefined
  const row = await ledger.row('keys', { key })
  if (row !== undefined || !writing.includes(permission)) return row
  const alias = await ledger.row('aliases', { alias: key })
  return alias && (await ledger.row('keys', { key: alias.key }))
}

function factsOf(question: Question, row: KeyRow | undefined): KeyFacts | undefined {
  const { key } = question
  if (key === undefined) return undefined
  // Whatever labels it has or will have: see `requireName`.
  return row === undefined || naming.includes(question.permission) ? { key, labels: null } : row
}

/** Where what is named need not be there. */
function isForNames({ permission }: Question): boolean {
  return naming.includes(permission) || permission === 'aliases.write'
}

async function authorityOf(
  { ledger, grants, tokens }: ExplainOptions,
  { principal, token }: Question,
  at: number,
): Promise<Authority> {
  if ((principal === undefined) === (token === undefined)) {
    throw new ServiceError('malformed_request', 'a question names either a principal or a token')
  }
  if (principal !== undefined) {
    await grants.principal(principal)
    return [(await grants.layer(principal)) ?? []]
  }
  const row = token === undefined ? undefined : await ledger.row('tokens', { token })
  if (row === undefined) throw notFound('the token')
  if (row.revokedAt !== null && row.revokedAt <= at) return []
  try {
    return await tokens.authorityOf(row)
  } catch (error) {
    // Its principal is switched off: an answer, and no word about the token of who asks.
    if (error instanceof ServiceError && error.code === 'unauthenticated') return []
    throw error
  }
}
