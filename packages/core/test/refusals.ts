/** How tests look at refusals: by their code. Anything that is no LongholdError fails the test. */

import { LongholdError } from '../src/errors.ts'
import type { ErrorCode } from '../src/errors.ts'

/** The error `run` is refused with. */
export async function refusalOf(run: () => unknown): Promise<LongholdError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof LongholdError) return error
    throw error
  }
  throw new Error('accepted, where a refusal is expected')
}

export async function codeOf(run: () => unknown): Promise<ErrorCode> {
  return (await refusalOf(run)).code
}

/** As `codeOf`, for what is synchronous and called very often. */
export function syncCodeOf(run: () => unknown): ErrorCode {
  try {
    run()
  } catch (error) {
    if (error instanceof LongholdError) return error.code
    throw error
  }
  throw new Error('accepted, where a refusal is expected')
}
