/**
 * The primitives everything else is composed of, in the two implementations there are: the platform's
 * (node:crypto, where it has ML-KEM) and the portable one (noble). Which of them runs is found out by a round
 * trip, never by a name or a version.
 */

import type { Backend } from './backend-interface.ts'
import { nativeBackend, workingNativeBackend } from './backend-native.ts'
import { nobleBackend } from './backend-noble.ts'

let chosen: Backend | undefined

/** The backend in use; chosen at the first call. */
export function backend(): Backend {
  chosen ??= workingNativeBackend() ?? nobleBackend
  return chosen
}

/** Forces a backend, so that tests can run everything on both. Not exported by the package. */
export function testingUseBackend(name: 'native' | 'noble' | 'chosen'): void {
  if (name === 'chosen') chosen = undefined
  else if (name === 'noble') chosen = nobleBackend
  else {
    chosen = nativeBackend()
    if (chosen === undefined) throw new Error('this runtime has no node:crypto')
  }
}
