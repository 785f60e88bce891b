/** How a command fails: one class, the exit codes, and the tables that lead to them. */

import type { ErrorCode, LongholdError } from '@longhold/core'

/**
 * What the process says when it ends. `refused`: done, but some data was refused or something was found.
 * `usage`: wrong call or configuration, nothing was done. `stopped`: interrupted, or something could not be
 * reached; running the same command again goes on.
 */
export const exit = { done: 0, refused: 1, usage: 2, internal: 3, stopped: 4 } as const

export type ExitCode = (typeof exit)[keyof typeof exit]
type Failure = 1 | 2 | 4

/** An error meant for the person at the terminal. The message names the thing, the hint the next step. */
export class CliError extends Error {
  readonly code: string
  readonly exitCode: Failure
  readonly hint: string | undefined

  constructor(code: string, exitCode: Failure, message: string, { hint, cause }: ErrorDetails = {}) {
    super(message, { cause })
    this.name = 'CliError'
    this.code = code
    this.exitCode = exitCode
    this.hint = hint
  }
}

export interface ErrorDetails {
  readonly hint?: string | undefined
  readonly cause?: unknown
}

/** Some data was refused, or something was found: exit 1. */
export function refused(message: string, details?: ErrorDetails): CliError {
  return new CliError('refused', exit.refused, message, details)
}

/** A wrong call or configuration, and nothing was done: exit 2. */
export function usage(message: string, details?: ErrorDetails): CliError {
  return new CliError('usage', exit.usage, message, details)
}

/** Stopped before the end; the same command again goes on: exit 4. */
export function stopped(message: string, details?: ErrorDetails): CliError {
  return new CliError('stopped', exit.stopped, message, details)
}

/** Whoever read our standard output went away. Not an error to report: there is nobody left to read it. */
export class OutputClosed extends Error {}

/** Exit codes of core's errors: data that was refused is 1, an argument that was wrong 2, nobody to ask 4. */
const exitOfCode: Record<ErrorCode, Failure> = {
  malformed: exit.refused,
  unsupported: exit.refused,
  not_a_recipient: exit.refused,
  cannot_open: exit.refused,
  limit_exceeded: exit.refused,
  bad_context: exit.usage,
  bad_key: exit.usage,
  bad_text: exit.usage,
  bad_value: exit.usage,
  bad_input: exit.usage,
  unavailable: exit.stopped,
  no_data_key: exit.refused,
  destroyed: exit.refused,
}

const nextStep: Partial<Record<ErrorCode, string>> = {
  malformed: 'longhold inspect FILE says what a file is, without a key',
  not_a_recipient: 'longhold can-open FILE says which of your identities opens it',
  cannot_open: 'check --context first: it must be exactly what was given when the data was encrypted',
  unavailable: 'run the same command again once it can be reached',
}

/** Core's error as one of ours. `about` names the file, so that the message says which. */
export function fromCore(error: LongholdError, about?: string): CliError {
  const message = about === undefined ? error.message : `${about}: ${error.message}`
  return new CliError(error.code, exitOfCode[error.code], message, {
    hint: error.hint ?? nextStep[error.code],
    cause: error,
  })
}

/** The same for one item of many, where whatever is refused is data: 1, or 4 when nobody could be asked. */
export function fromCoreItem(error: LongholdError, about: string): CliError {
  const { code, message, hint } = fromCore(error, about)
  return new CliError(code, error.code === 'unavailable' ? exit.stopped : exit.refused, message, {
    hint,
    cause: error,
  })
}

/** A message and a next step for each thing a file system says. */
const fileProblems: Record<
  string,
  { readonly exitCode: Failure; readonly text: string; readonly hint?: string }
> = {
  ENOENT: { exitCode: exit.usage, text: 'no such file or directory' },
  ENOTDIR: { exitCode: exit.usage, text: 'a part of the path is not a directory' },
  EISDIR: { exitCode: exit.usage, text: 'it is a directory', hint: 'give a file' },
  EACCES: { exitCode: exit.usage, text: 'permission denied', hint: 'check its owner and mode: ls -l' },
  EPERM: { exitCode: exit.usage, text: 'operation not permitted', hint: 'check its owner and mode: ls -l' },
  EROFS: { exitCode: exit.usage, text: 'the file system is read-only' },
  EEXIST: { exitCode: exit.usage, text: 'it exists already' },
  ELOOP: { exitCode: exit.usage, text: 'too many symbolic links' },
  ENAMETOOLONG: { exitCode: exit.usage, text: 'the name is too long' },
  EMFILE: { exitCode: exit.stopped, text: 'too many open files', hint: 'raise the limit: ulimit -n' },
  ENOSPC: {
    exitCode: exit.stopped,
    text: 'the disk is full',
    hint: 'free some space and run the command again',
  },
  EDQUOT: {
    exitCode: exit.stopped,
    text: 'the disk quota is used up',
    hint: 'free some space and run again',
  },
  EFBIG: {
    exitCode: exit.stopped,
    text: 'the file system or a limit allows no larger file',
    hint: 'ulimit -f',
  },
  EIO: { exitCode: exit.stopped, text: 'input/output error', hint: 'the disk may be failing' },
}

/** An error of the file system as one of ours; anything else comes back as it is. */
export function fileError(error: unknown, path: string, doing: 'read' | 'write'): unknown {
  const errno = codeOf(error)
  if (error instanceof CliError || errno === undefined || !/^E[A-Z0-9]+$/u.test(errno)) return error
  const { exitCode, text, hint } = fileProblems[errno] ?? {
    exitCode: exit.stopped,
    text: errno,
    hint: undefined,
  }
  return new CliError('file', exitCode, `cannot ${doing} ${path}: ${text}`, { hint, cause: error })
}

/** The code of an error, say `ENOENT` or `unavailable`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
