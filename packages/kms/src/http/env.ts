/** What travels with a request from one handler to the next. */

import type { OpenAPIHono } from '@hono/zod-openapi'
import type { ProblemCode } from '@longhold/core/kms'

import type { Caller } from '../service/policy.ts'
import type { Shared } from './shared.ts'

export interface Env {
  Variables: {
    requestId: string
    shared: Shared
    /** Set once the token was accepted. */
    caller: Caller
    /** Set when the answer is a problem. */
    problem: ProblemCode
    /** Of a batch, once it is answered. */
    outcomes: Outcomes
    /** Of the body, as it came. */
    text: string
    /** The answer was made with its common headers: see `answers.ts`. */
    isFramed: true
  }
}

/** How many items ended how. */
export type Outcomes = ReadonlyMap<'done' | ProblemCode, number>

export type App = OpenAPIHono<Env>

/** One line of the log. No field can hold a token, a key or a body. */
export interface LogEntry {
  readonly level: 'info' | 'error'
  readonly message: string
  readonly requestId?: string | undefined
  readonly method?: string | undefined
  /** The pattern, `/v1/keys/:key`: never the path itself. */
  readonly route?: string | undefined
  readonly status?: number | undefined
  readonly durationMs?: number | undefined
  /** The id of the token. */
  readonly principal?: string | undefined
  readonly code?: string | undefined
  /** Of an unforeseen error: where in the program it came from, not its text. */
  readonly where?: string | undefined
  readonly url?: string | undefined
}

/** Where the log goes, line by line. */
export type Log = (entry: LogEntry) => void
