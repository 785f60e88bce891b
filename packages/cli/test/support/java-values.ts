/** Values by a Java program. Optional everywhere: a JDK is much to ask for a few values that others make as well. */

import { spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'

import { oldKey } from './legacy-values.ts'
import { Directory } from './migration.ts'
import { runTool } from './tools.ts'

/** Without one the values of our own generators are all there is. */
export const hasJava = spawnSync('java', ['--version'], { stdio: 'ignore' }).error === undefined

/** By name, as `LegacyValues.java` calls them. */
export function javaValues(plaintext: string): ReadonlyMap<string, unknown> {
  using directory = new Directory()
  const der = createPublicKey(oldKey).export({ type: 'spki', format: 'der' })
  const file = directory.file('public.der')
  writeFileSync(file, der)
  const program = new URL('LegacyValues.java', import.meta.url).pathname
  const lines = runTool('java', ['-Xshare:auto', program, file, plaintext]).toString().trim().split('\n')
  return new Map(
    lines.map((line) => {
      const [name = '', json = ''] = line.split('\t')
      return [name, JSON.parse(json) as unknown]
    }),
  )
}
