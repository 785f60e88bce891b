/** Why something is allowed, or not: the same decision, without the request. */

import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import { decide, maySeeKey } from './authority.ts'
import type { Authority, Decision } from './authority.ts'
import { notFound, ServiceError } from './errors.ts'
import type { Grants } from './grants.ts'
import type { Ledger } from './ledger.ts'
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

export interface Explanation extends Decision {
  /** Whether the key is there for them at all. */
  readonly visible: boolean
}

/**
 * Changes and counts nothing. A switched-off principal, and a token that is revoked or over, may do nothing.
 *
 * @throws ServiceError `malformed_request` unless one of the two is named, `not_found`.
 */
export async function explain(options: ExplainOptions, question: Question): Promise<Explanation> {
  const { permission, key, context, address, at } = question
  const authority = await authorityOf(options, question, at)
  const row = key === undefined ? undefined : await options.ledger.row('keys', { key })
  const facts = key === undefined ? undefined : { key, labels: row?.labels ?? null }
  return {
    ...decide(authority, { permission, key: facts, context, address, at }),
    visible: facts === undefined || maySeeKey(authority, facts, { address, at }),
  }
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
