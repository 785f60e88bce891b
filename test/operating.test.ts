/** The operator's guide names everything there is. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { settingNames } from '../packages/kms/src/config/settings.ts'
import { Metrics } from '../packages/kms/src/http/metrics.ts'
import { refusals } from '../packages/kms/src/http/tls.ts'
import { checks } from '../packages/kms/src/server/doctor/finding.ts'

const root = join(import.meta.dirname, '..')
const guide = readFileSync(join(root, 'docs/operating.md'), 'utf8')
/** What stands in code font in the first cells of a table. */
function listedIn(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/gu)].map(([, name = '']) => name))
}
const listed = new Set(listedIn(guide))

describe('the operator’s guide', () => {
  test('lists every setting, and none that is not there', () => {
    const [, table = ''] = guide.split('| setting ')
    const [rows = ''] = table.split('\n\n')
    const names = listedIn(rows)
    expect(names.toSorted()).toEqual(settingNames.toSorted())
  })

  test('lists every metric of ours', async () => {
    const metrics = new Metrics()
    const no = () => false
    metrics.gauges({ connections: () => 0, isSealed: no, isDraining: no, isFrozen: no })
    const names = [...(await metrics.text()).matchAll(/^# TYPE (longhold_\S+)/gmu)].map(
      ([, name = '']) => name,
    )
    expect(names.length).toBeGreaterThan(5)
    expect(names.filter((name) => !listed.has(name))).toEqual([])
  })

  test('lists every reason for which a connection is refused, and everything the doctor looks at', () => {
    expect([...Object.keys(refusals), ...checks].filter((name) => !listed.has(name))).toEqual([])
  })

  test('names commands that there are', () => {
    const source = globSync('packages/cli/src/commands/*.ts', { cwd: root })
      .map((path) => readFileSync(join(root, path), 'utf8'))
      .join('\n')
    const named = new Set([...guide.matchAll(/`longhold kms ([a-z-]+)/gu)].map(([, name = '']) => name))
    expect(named.size).toBeGreaterThan(5)
    for (const name of named) expect(source, name).toContain(`new Command('${name}')`)
  })
})
