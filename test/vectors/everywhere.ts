/** The vectors where there are no files: bundled with them, for every runtime that is not the Node of the tests. */

import { backend } from '../../packages/core/src/primitives/backend.ts'
import { backendsHere, runVectorFile } from './runner.ts'
import type { VectorReport } from './runner.ts'
import type { VectorFile } from './schema.ts'

export interface EverywhereReport extends VectorReport {
  /** The backend that the library chose here. */
  readonly chosen: string
  /** Those that the vectors ran on. */
  readonly backends: readonly string[]
}

/** @param files By `folder/name`; ranges name the records of their own folder. */
export async function runEverywhere(files: Readonly<Record<string, VectorFile>>): Promise<EverywhereReport> {
  const backends = backendsHere()
  const report = { chosen: backend().name, backends, passed: 0, unsupported: 0, failures: [] }
  for (const [path, file] of Object.entries(files)) {
    const records = files[path.replace(/[^/]*$/, 'records.json')] ?? file
    await runVectorFile(path, file, report, records, backends)
  }
  return report
}
