import { KeyCommandError } from '../legacy-keys/key-command.ts'
import { refused, stopped, usage } from '../shell/errors.ts'
import { Problem } from '../sources/problem.ts'

/** Runs a step; what stops a source or a run becomes an error of the command line. */
export async function withProblems<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (error instanceof KeyCommandError) throw stopped(error.message, { cause: error })
    if (!(error instanceof Problem)) throw error
    const make = { wrong: usage, refused, stopped }[error.kind]
    throw make(error.message, { hint: error.hint, cause: error })
  }
}
