/** What a configuration is, for people. */

import type { ReadValues } from './read-values.ts'
import { settingNames } from './settings.ts'

/** One line for each value, with who says so. Never throws. */
export function configText({ values, origins }: ReadValues, file: string | undefined): string {
  const lines = settingNames.flatMap((name) => {
    const value = values[name]
    if (value === undefined) return []
    const shown = typeof value === 'object' ? `${value.host}:${value.port}` : String(value)
    return [`${name.padEnd(20)} ${shown}  (${origins.get(name)})`]
  })
  return [`configuration file: ${file ?? 'none'}`, ...lines, 'all others as by default'].join('\n')
}
