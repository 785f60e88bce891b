/** The one error class of the service and its closed lists of codes. */

import type { ProblemCode } from '@longhold/core/kms'

/** Why a service cannot be set up or started. */
export type StartCode =
  | 'not_initialised'
  | 'already_initialised'
  | 'wrong_key_file'
  | 'database_in_use'
  | 'newer_database'
  | 'not_loopback'
  | 'address_in_use'
  | 'bad_config'
  | 'bad_backup'
  | 'wrong_identity'
  | 'wrong_service'

/** Every error the service throws on purpose. No message holds a secret or a driver's text. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly code: ProblemCode | StartCode
  /** What to do next, for people. */
  readonly hint: string | undefined

  constructor(code: ProblemCode | StartCode, message: string, { hint }: { hint?: string } = {}) {
    super(message)
    this.code = code
    this.hint = hint
  }
}

/**
 * The one answer to everything that depends on a secret (SPEC §5.4): its text never differs, so that it tells
 * an attacker nothing.
 */
export function unwrapFailed(): ServiceError {
  return new ServiceError(
    'unwrap_failed',
    'cannot open: it was wrapped for another key, under another context or key id, or bytes were altered',
  )
}

export function notFound(what: string): ServiceError {
  return new ServiceError('not_found', `${what} does not exist, or this token may not see it`)
}

/** The same for every cause. */
export function unauthenticated(): ServiceError {
  return new ServiceError('unauthenticated', 'a valid token is needed: Authorization: Bearer lhk_…')
}

export function alreadyInitialised(): ServiceError {
  return new ServiceError('already_initialised', 'there is a key service in this database already', {
    hint: 'start it; nothing was changed',
  })
}

/** The database holds something that only tampering or damage explains. */
export function integrityViolation(what: string): ServiceError {
  return new ServiceError('integrity_violation', `${what} is not what this service wrote`, {
    hint: 'stop the service, keep the database for examination and restore a backup',
  })
}

/** Nothing is answered that is not in the log. */
export function auditUnavailable(): ServiceError {
  return new ServiceError('audit_unavailable', 'the audit log cannot be written, so there is no answer', {
    hint: 'see to the disk and the database of the key service, then try again',
  })
}
