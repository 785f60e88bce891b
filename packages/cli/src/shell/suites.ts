/** Which suites a command has to know. The second one is loaded where a key or a header asks for it. */

import { defaultSuite, LongholdError } from '@longhold/core'
import type { Suite } from '@longhold/core'

/** Names of suites on the command line, as the entries of core are called. */
export const suiteNames = ['mlkem768-x25519', 'mlkem1024-p384'] as const
export type SuiteName = (typeof suiteNames)[number]

const ordinary: readonly Suite[] = [defaultSuite]

export async function suiteNamed(name: SuiteName): Promise<Suite> {
  return name === 'mlkem768-x25519' ? defaultSuite : await secondSuite()
}

/** All there are. */
export async function everySuite(): Promise<readonly Suite[]> {
  return [defaultSuite, await secondSuite()]
}

/** Those of some keys, and the default one. */
export async function suitesOf(keys: Iterable<{ readonly kemId: number }>): Promise<readonly Suite[]> {
  for (const { kemId } of keys) if (kemId !== defaultSuite.kemId) return await everySuite()
  return ordinary
}

/** Runs a step with the default suite, and again with all of them when that met one it does not know. */
export async function withSuites<T>(step: (suites: readonly Suite[]) => T): Promise<T> {
  try {
    return step(ordinary)
  } catch (error) {
    if (!(error instanceof LongholdError) || error.code !== 'unsupported') throw error
    return step(await everySuite())
  }
}

// Its curve is not small: who does not use it does not wait for it to load.
async function secondSuite(): Promise<Suite> {
  return (await import('@longhold/core/mlkem1024-p384')).mlKem1024P384Suite
}
