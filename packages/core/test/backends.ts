/** Runs a suite on both backends: what holds on one must hold on the other. */

import { afterAll, beforeAll, describe } from 'vitest'

import { testingUseBackend } from '../src/primitives/backend.ts'

export type BackendName = 'native' | 'noble'
const backendNames: readonly BackendName[] = ['native', 'noble']

/** Declares `suite` once for each backend, which is in use while its tests run. */
export function describeBackends(suite: (name: BackendName) => void): void {
  for (const name of backendNames) describeBackend(name, () => suite(name))
}

/** Declares a suite about what one backend alone can do or refuses. */
export function describeBackend(name: BackendName, suite: () => void): void {
  describe(name, () => {
    beforeAll(() => testingUseBackend(name))
    afterAll(() => testingUseBackend('chosen'))
    suite()
  })
}

/** Runs `run` on one backend. Not for two at once: the choice is one for the whole process. */
export async function onBackend<T>(name: BackendName, run: () => T | Promise<T>): Promise<T> {
  testingUseBackend(name)
  try {
    return await run()
  } finally {
    testingUseBackend('chosen')
  }
}
