/** What stops a source or a run, in words for the person who started it. Commands turn it into their own errors. */

/**
 * - `wrong`: the call or the target is not as it must be; nothing was done
 * - `refused`: done, but something is not well
 * - `stopped`: before the end; the same command again goes on
 */
export type ProblemKind = 'wrong' | 'refused' | 'stopped'

export class Problem extends Error {
  readonly kind: ProblemKind
  readonly hint: string | undefined

  constructor(kind: ProblemKind, message: string, { hint, cause }: { hint?: string; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'Problem'
    this.kind = kind
    this.hint = hint
  }
}

/** An error of the file system; other errors come back as they are. */
export function fileProblem(error: unknown, shown: string, doing: 'read' | 'write'): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const known = fileErrors[code]
  if (known === undefined) return error
  const { kind, text, hint } = known
  return new Problem(kind, `cannot ${doing} ${shown}: ${text}`, {
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  })
}

const fileErrors: Readonly<Record<string, { kind: ProblemKind; text: string; hint?: string }>> = {
  ENOENT: { kind: 'wrong', text: 'no such file or directory' },
  ENOTDIR: { kind: 'wrong', text: 'a part of the path is not a directory' },
  EISDIR: { kind: 'wrong', text: 'it is a directory', hint: 'give a file' },
  EACCES: { kind: 'wrong', text: 'permission denied', hint: 'check its owner and mode: ls -l' },
  EPERM: { kind: 'wrong', text: 'operation not permitted', hint: 'check its owner and mode: ls -l' },
  EROFS: { kind: 'wrong', text: 'the file system is read-only' },
  EEXIST: { kind: 'wrong', text: 'it exists already', hint: 'move it away first' },
  ENOSPC: {
    kind: 'stopped',
    text: 'the disk is full',
    hint: 'free some space and run the same command again',
  },
  EDQUOT: { kind: 'stopped', text: 'the disk quota is used up', hint: 'free some space and run again' },
  EFBIG: { kind: 'stopped', text: 'a limit allows no larger file', hint: 'see ulimit -f' },
  EIO: { kind: 'stopped', text: 'input/output error', hint: 'the disk may be failing' },
}
