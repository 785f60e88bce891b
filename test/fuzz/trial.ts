/** What one execution is: an input, how the library is asked, and where a second opinion says that it ends. */

import { LongholdError } from '@longhold/core'
import type { ErrorCode } from '@longhold/core'

import type { Lab, World } from './lab.ts'
import type { Random } from './random.ts'

/** Everything a decoder is given, in a form that fits into a corpus. */
export interface Input {
  readonly bytes: Uint8Array
  /** Which reader, which context, how cut into pieces. */
  readonly args: Readonly<Record<string, number>>
}

export interface Outcome {
  readonly code: 'opened' | ErrorCode
  /** What came out, where something did. */
  readonly output?: Uint8Array
}

export interface End extends Outcome {
  /** The step of SPEC §5.3 or §6.3, or another word for how far it came. */
  readonly step: string
  /** Whether it passed steps 1 to 6 of SPEC §5.3, or what corresponds to them in a text or a value. */
  readonly framed: boolean
}

export interface Trial {
  readonly input: Input
  /** From a model that shares no code with the decoders. */
  readonly expected: End
}

export interface Target {
  readonly name: string
  /** How often, beside the others. */
  readonly weight: number
  /** A valid input, mutated or not. */
  make(random: Random, lab: Lab): Trial
  /** What the library makes of it. Anything thrown but a LongholdError is a find. */
  run(input: Input, world: World): Outcome | Promise<Outcome>
}

/** The outcome of `open`: what it returns, or the code it is refused with. */
export function outcomeOf(open: () => Uint8Array): Outcome {
  try {
    return { code: 'opened', output: open() }
  } catch (error) {
    return { code: codeOf(error) }
  }
}

export async function asyncOutcomeOf(open: () => Promise<Uint8Array>): Promise<Outcome> {
  try {
    return { code: 'opened', output: await open() }
  } catch (error) {
    return { code: codeOf(error) }
  }
}

export function codeOf(error: unknown): ErrorCode {
  if (error instanceof LongholdError) return error.code
  throw error
}

export function opened(output: Uint8Array): End {
  return { step: 'opened', framed: true, code: 'opened', output }
}

/** Refused; `framed` when it was well formed. */
export function refused(step: string, code: ErrorCode, framed = false): End {
  return { step, framed, code }
}
