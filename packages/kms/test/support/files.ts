/** Temporary directories that are gone after the test. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, onTestFinished } from 'vitest'

/** A new directory; removed when the test ends. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'longhold-kms-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** The environment of child processes of a test file: what one has compiled, the next need not. */
export function childEnvironment(): NodeJS.ProcessEnv {
  const cache = mkdtempSync(join(tmpdir(), 'longhold-kms-compiled-'))
  afterAll(() => rmSync(cache, { recursive: true, force: true }))
  return { ...process.env, NODE_COMPILE_CACHE: cache }
}
