/** Rows that say who may do what. */

import type { Permission } from '@longhold/core/kms'

import type { Rule } from './rule.ts'

export interface TokenRow {
  /** 24 hexadecimal digits. */
  readonly token: string
  readonly name: string
  /** Whose it is; null: it stands for itself. */
  readonly principal: string | null
  /** HMAC of the secret under the pepper of `pepperVersion`. */
  readonly secretMac: Uint8Array
  readonly pepperVersion: number
  readonly permissions: readonly Permission[]
  readonly keys: readonly string[] | null
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly revokedAt: number | null
  /** The token that made it; null for the first. */
  readonly createdBy: string | null
}

/** Somebody who has grants. */
export interface PrincipalRow {
  readonly principal: string
  readonly description: string
  /** While it is set, no token of the principal is accepted. */
  readonly disabledAt: number | null
  readonly createdAt: number
  /** A token. */
  readonly createdBy: string
}

/** One rule of a principal. */
export interface GrantRow extends Rule {
  readonly principal: string
  /** 24 hexadecimal digits. */
  readonly grant: string
  /** null: any number. */
  readonly usesLeft: number | null
  readonly createdAt: number
  /** A token. */
  readonly createdBy: string
}

/** A change that was made under an idempotency key (`idempotency.ts`), and what was answered. */
export interface IdempotencyRow {
  /** In whose name keys are counted. */
  readonly owner: string
  /** 64 hexadecimal digits: MAC of token, route and key. */
  readonly use: string
  /** MAC of the request. */
  readonly request: Uint8Array
  /** Whether the answer is to be kept; one that held a secret is not. */
  readonly isKept: boolean
  /** Null: not known here. */
  readonly answer: {
    readonly status: number
    readonly headers: readonly (readonly [name: string, value: string])[]
    readonly body: string
  } | null
  readonly doneAt: number
  readonly expiresAt: number
}
