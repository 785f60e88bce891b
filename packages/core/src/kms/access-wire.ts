/** What travels about principals, their grants and why something is allowed; see `wire.ts`. */

import type { Permission } from './wire.ts'

/** Somebody who has grants. */
export interface PrincipalInfo {
  /** 1 to 64 of a-z 0-9 . _ -, a letter or digit first. */
  principal: string
  description: string
  /** While it is set, no token of the principal is accepted. */
  disabled_at: string | null
  created_at: string
}

/** Body of a request that makes a principal. */
export interface CreatePrincipalRequest {
  principal: string
  /** For people; up to 256 characters. */
  description?: string | undefined
}

/** Body of a request that switches a principal off, or back on. */
export interface UpdatePrincipalRequest {
  disabled: boolean
}

/** Pairs that a context must be (`equals`), or must have among others (`includes`). */
export interface ContextCondition {
  match: 'equals' | 'includes'
  pairs: Record<string, string>
}

/** One rule of a principal. A denial wins over everything that is allowed. */
export interface GrantInfo {
  /** 24 hexadecimal digits. */
  id: string
  principal: string
  effect: 'allow' | 'deny'
  permissions: Permission[]
  /** Names of keys; null: all. */
  keys: string[] | null
  /** Labels a key must have; null: any. */
  labels: Record<string, string> | null
  context: ContextCondition | null
  not_before: string | null
  not_after: string | null
  /** CIDR blocks; null: anywhere. */
  networks: string[] | null
  /** How many requests it still allows; null: any number. */
  uses_left: number | null
  created_at: string
}

/** What is left out is not asked for. */
export interface CreateGrantRequest {
  principal: string
  /** `allow` unless said. */
  effect?: 'allow' | 'deny' | undefined
  permissions: Permission[]
  keys?: string[] | undefined
  labels?: Record<string, string> | undefined
  /** For `unwrap` and `rewrap` alone. */
  context?: ContextCondition | undefined
  not_before?: string | undefined
  not_after?: string | undefined
  networks?: string[] | undefined
  uses?: number | undefined
}

/** One of `principal` and `token` says whose rights are asked about. */
export interface ExplainRequest {
  principal?: string | undefined
  token?: string | undefined
  permission: Permission
  key?: string | undefined
  context?: Record<string, string> | undefined
  /** Where the request would come from. */
  address?: string | undefined
  /** When; now unless said. */
  at?: string | undefined
}

/** Whether something would be allowed, and by what. */
export interface Explanation {
  allowed: boolean
  /** Ids of the grants (and `token …`) that decide: one for each of the two when allowed, else the denial, or none. */
  by: string[]
  /** Whether the key is there for them at all; true when none was asked about. */
  visible: boolean
}
