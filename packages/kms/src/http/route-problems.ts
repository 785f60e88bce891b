/** Which problems a route can end in, for the description of the API. */

import type { ProblemCode } from '@longhold/core/kms'

import { changes } from './route-table.ts'
import type { RouteRule } from './route-table.ts'

const always: readonly ProblemCode[] = [
  'malformed_request',
  'unknown_field',
  'internal',
  'draining',
  'sealed',
]
const withToken: readonly ProblemCode[] = [
  'unauthenticated',
  'permission_denied',
  'not_found',
  'rate_limited',
  'audit_unavailable',
  'storage_unavailable',
  'rollback_detected',
  'integrity_violation',
]
const withBody: readonly ProblemCode[] = ['body_too_large', 'too_many_items']
const ofChanges: readonly ProblemCode[] = [
  'invalid_state',
  'idempotency_in_progress',
  'already_done',
  'idempotency_key_reused',
]
/** What only some have. */
const more: Readonly<Record<string, readonly ProblemCode[]>> = {
  'POST /v1/sys/backups': ['no_backup_recipients'],
  'GET /readyz': ['storage_unavailable', 'rollback_detected', 'integrity_violation'],
  'POST /v1/sys/accept-rollback': [
    'wrong_secret',
    'rate_limited',
    'slot_unavailable',
    'body_too_large',
    'invalid_state',
    'storage_unavailable',
    'integrity_violation',
  ],
  'POST /v1/sys/init': ['invalid_state', 'rate_limited', 'body_too_large', 'storage_unavailable'],
  'POST /v1/sys/unseal': ['wrong_secret', 'rate_limited', 'slot_unavailable', 'body_too_large'],
}

/** @param rule Absent: the route takes no token. */
export function codesOf(name: string, rule: RouteRule | undefined, hasBody: boolean): readonly ProblemCode[] {
  const codes = [...always, ...(more[name] ?? [])]
  if (rule === undefined) return codes
  return [
    ...codes,
    ...withToken,
    ...(hasBody ? withBody : []),
    ...(changes(name, rule) ? ofChanges : []),
    ...(rule.ifMatch === undefined ? [] : (['precondition_failed'] as const)),
    ...(rule.ifMatch === 'required' ? (['precondition_required'] as const) : []),
    // Item by item in a batch; of the whole where there is one thing to open.
    ...(rule.isRead === true ? (['unwrap_failed', 'recipient_unknown'] as const) : []),
  ]
}
