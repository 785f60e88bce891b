/** What the service answers when it cannot or will not, as the library's one error class. */

import { LongholdError, cannotOpen } from '../errors.ts'
import type { ItemProblem, Problem, ProblemCode } from './wire.ts'

/** For a whole request. `what` names what was asked for, in the message of a 404. */
export function requestError(url: string, status: number, problem: unknown, what: string): LongholdError {
  const { code, detail } = readProblem(problem)
  if (status === 401) {
    return unavailable(`the key service at ${url} does not accept the token`, {
      hint: 'it is mistyped, expired or revoked, or of another service: give a valid one',
    })
  }
  if (status === 403)
    return unavailable(`the key service at ${url} refuses: ${detail}`, { hint: permissionHint })
  if (status === 404) return new LongholdError('bad_input', `the key service at ${url} has no ${what}`)
  if (status === 429)
    return unavailable(`the key service at ${url} is asked too often: ${detail}`, {
      hint: 'wait, then try again',
    })
  if (status === 503) {
    return unavailable(`the key service at ${url} cannot answer now (${code ?? status})`, {
      hint: hintsByCode[code ?? 'internal'] ?? 'look at its log, then try again',
    })
  }
  if (status >= 400 && status < 500 && code !== undefined) {
    return new LongholdError('bad_input', `the key service at ${url} refuses: ${detail}`)
  }
  return unavailable(`the key service at ${url} failed (status ${status})`, {
    hint: 'look at its log; or is this another service?',
  })
}

/** For one item of a batch. */
export function itemError(url: string, problem: ItemProblem): LongholdError {
  const { code, detail } = readProblem(problem)
  switch (code) {
    case 'unwrap_failed':
      return cannotOpen()
    case 'not_found':
      return new LongholdError('not_a_recipient', `the key service at ${url} has no key it was wrapped for`, {
        hint: 'or the token may not see it',
      })
    case 'malformed_request':
      return new LongholdError('malformed', `the key service at ${url} refuses: ${detail}`)
    case 'permission_denied':
      return unavailable(`the key service at ${url} refuses: ${detail}`, { hint: permissionHint })
    case 'recipient_unknown':
      return new LongholdError('bad_input', detail, { hint: 'name the public key of that recipient too' })
    default:
      return unavailable(`the key service at ${url} refuses: ${detail}`)
  }
}

export function unavailable(message: string, options?: { hint?: string; cause?: unknown }): LongholdError {
  return new LongholdError('unavailable', message, options)
}

/** An answer that no key service of this version gives. */
export function strangeAnswer(url: string): LongholdError {
  return unavailable(`what answers at ${url} is not a key service of this version`, {
    hint: 'check the address and the releases on both sides',
  })
}

const permissionHint = 'use a token that has this permission, or have one made'

const hintsByCode: Partial<Record<ProblemCode, string>> = {
  sealed: 'somebody has to unseal it: longhold kms unseal, on its machine',
  draining: 'it is stopping: try again in a moment',
  audit_unavailable: 'its audit log cannot be written: see to its disk and database',
  storage_unavailable: 'its database is locked, full or gone: see to its disk',
  rollback_detected:
    'its database is older than the service knows it: an operator has to look, and may accept it',
  integrity_violation: 'its database was altered or damaged: see its log before anything else',
}

/** Whatever came: a proxy in between may have answered. */
function readProblem(problem: unknown): { code: ProblemCode | undefined; detail: string } {
  const { code, detail } = (
    typeof problem === 'object' && problem !== null ? problem : {}
  ) as Partial<Problem>
  return {
    code: typeof code === 'string' ? code : undefined,
    detail: typeof detail === 'string' ? detail : 'it does not say why',
  }
}
