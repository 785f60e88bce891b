/** The one place where errors become answers: problem details (RFC 9457). */

import type { ItemProblem, Problem, ProblemCode } from '@longhold/core/kms'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

import { ServiceError } from '../service/errors.ts'
import { RateLimited } from '../service/rate-limited.ts'
import type { Env, Log } from './env.ts'

export const problemTable: Readonly<
  Record<ProblemCode, { readonly status: ContentfulStatusCode; readonly title: string }>
> = {
  malformed_request: { status: 400, title: 'The request is malformed' },
  unknown_field: { status: 400, title: 'The request has a field that is not known' },
  unauthenticated: { status: 401, title: 'A valid token is needed' },
  permission_denied: { status: 403, title: 'The token does not allow this' },
  not_found: { status: 404, title: 'There is no such thing' },
  invalid_state: { status: 409, title: 'Its state does not allow this' },
  no_backup_recipients: { status: 409, title: 'Nobody is configured who could open a backup' },
  idempotency_in_progress: { status: 409, title: 'The same request is under way' },
  already_done: { status: 409, title: 'It was done before' },
  precondition_failed: { status: 412, title: 'It was changed meanwhile' },
  body_too_large: { status: 413, title: 'The body is too large' },
  too_many_items: { status: 413, title: 'The request has too many items' },
  unwrap_failed: { status: 422, title: 'It cannot be opened' },
  recipient_unknown: { status: 422, title: 'A recipient is not known' },
  wrong_secret: { status: 422, title: 'It does not open the root key' },
  idempotency_key_reused: { status: 422, title: 'The idempotency key is that of another request' },
  precondition_required: { status: 428, title: 'The request must say which state it expects' },
  rate_limited: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'The service failed' },
  sealed: { status: 503, title: 'The service is sealed' },
  slot_unavailable: { status: 503, title: 'Another key service could not be asked' },
  audit_unavailable: { status: 503, title: 'The audit log cannot be written' },
  storage_unavailable: { status: 503, title: 'The database cannot be used' },
  draining: { status: 503, title: 'The service is stopping' },
  rollback_detected: { status: 503, title: 'The database is older than this service knows it' },
  integrity_violation: { status: 503, title: 'The database was altered or damaged' },
}

/** Answers with what went wrong. What nobody foresaw is `internal`, and says nothing but the request id. */
export function answerError(error: unknown, c: Context<Env>, log: Log): Response {
  const { code, detail } = toProblem(error)
  if (code === 'internal' || code === 'integrity_violation') {
    log({
      level: 'error',
      message: code === 'internal' ? 'an unforeseen error' : detail,
      requestId: c.get('requestId'),
      code: error instanceof Error ? error.name : typeof error,
      where: error instanceof Error ? framesOf(error) : undefined,
    })
  }
  if (error instanceof RateLimited) c.header('Retry-After', String(error.retryAfterSeconds))
  return answerProblem(c, code, shown(code, detail))
}

export function answerProblem(c: Context<Env>, code: ProblemCode, detail: string): Response {
  const { status, title } = problemTable[code]
  c.set('problem', code)
  const problem: Problem = {
    type: 'about:blank',
    title,
    status,
    detail,
    code,
    request_id: c.get('requestId'),
  }
  if (status === 401) c.header('WWW-Authenticate', 'Bearer realm="longhold-kms"')
  c.header('Content-Type', 'application/problem+json')
  return c.body(JSON.stringify(problem), status)
}

/** One item of a batch. */
export function itemProblem(error: ServiceError): ItemProblem {
  const { code, detail } = toProblem(error)
  return { status: problemTable[code].status, code, detail: shown(code, detail) }
}

/** Which row it is has the name of a key, say, and is for the log: whoever asks may not even have a token. */
function shown(code: ProblemCode, detail: string): string {
  return code === 'integrity_violation'
    ? 'something in the database is not what this service wrote: an operator has to look, its log says where'
    : detail
}

function toProblem(error: unknown): { code: ProblemCode; detail: string } {
  if (error instanceof ServiceError && error.code in problemTable) {
    const detail = error.hint === undefined ? error.message : `${error.message}: ${error.hint}`
    // Checked just above.
    return { code: error.code as ProblemCode, detail }
  }
  if (error instanceof HTTPException && error.status < 500) {
    return { code: 'malformed_request', detail: 'the body is not JSON, or not said to be (application/json)' }
  }
  return { code: 'internal', detail: 'something unforeseen happened; the log has more under the request id' }
}

/** The stack without the first lines, which are the message and may hold anything. */
function framesOf({ stack }: Error): string {
  return (stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /u.test(line))
    .slice(0, 10)
    .join('\n')
}
