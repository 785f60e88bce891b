import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

const folder = join(import.meta.dirname, '../../../test/vectors')
const sources = readFileSync(join(folder, 'SOURCES.md'), 'utf8')
const listed = new Map(
  [...sources.matchAll(/^\| `([\w./-]+)` *\| `([0-9a-f]{64})` *\|$/gm)].map(([, path = '', sum]) => [
    path,
    sum,
  ]),
)

test('every file of other people’s vectors is the one that SOURCES.md names', () => {
  const files = globSync('*/**/*.json', { cwd: folder })
    .filter((path) => !/^(?:longhold|published)\//.test(path))
    .toSorted()
  const found = files.map((path) => [
    path,
    createHash('sha256')
      .update(readFileSync(join(folder, path)))
      .digest('hex'),
  ])
  expect(found).toEqual([...listed].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  expect(found.length).toBeGreaterThanOrEqual(13)
})
