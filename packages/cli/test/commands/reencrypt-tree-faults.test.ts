import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { expect, test } from 'vitest'

import { openTree } from '../../src/sources/tree.ts'
import { makeJwe } from '../support/legacy-values.ts'
import { Directory, identity } from '../support/migration.ts'
import { killTree, runTree, treeTarget, writeTreeSettings } from '../support/tree-kill.ts'
import { contentOf, makeTree, oldNames, put } from '../support/tree.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

test('a tree survives kill -9 at any instant', async () => {
  const report = await killTree(60, 20)
  expect(report.kills).toBeGreaterThanOrEqual(20)
  expect(report.inTheMiddle).toBeGreaterThanOrEqual(2)
}, 600_000)

test('a disk that is full stops the run where it is, and it goes on once there is room', async () => {
  using directory = new Directory()
  writeTreeSettings(directory)
  const names = oldNames(20)
  await makeTree(directory.file('pristine'), names)
  // Larger than the limit, in the middle of the others.
  put(directory.file('pristine'), 'dir 1/big.jwe', await makeJwe(contentOf('dir 1/big.jwe').padEnd(400_000)))
  const target = treeTarget(directory.file('pristine'), directory.file('tree'), names, identity)
  target.reset()
  const script = `trap '' XFSZ; ulimit -f 200; exec "$0" "$@"`
  const full = spawnSync('bash', ['-c', script, process.execPath, main, ...runTree], {
    cwd: directory.path,
    encoding: 'utf8',
  })
  expect(full.stderr).toMatch(/cannot write the new envelope: a limit allows no larger file/)
  expect(full.status).toBe(4)
  expect(await target.check().catch(String)).not.toContain('differs')
  const freed = spawnSync(process.execPath, [main, '--json', ...runTree], {
    cwd: directory.path,
    encoding: 'utf8',
  })
  expect(freed.status).toBe(0)
  expect(JSON.parse(freed.stdout)).toMatchObject({ found: 21, migrated: 21, dead: 0 })
})

test('two runs on one tree cannot meet', async () => {
  using directory = new Directory()
  writeTreeSettings(directory)
  await makeTree(directory.file('tree'), oldNames(2))
  const source = openTree({ path: directory.file('tree'), shown: 'tree', include: [], exclude: [] })
  const second = spawnSync(process.execPath, [main, ...runTree], { cwd: directory.path, encoding: 'utf8' })
  await source.close()
  expect(second.status).toBe(4)
  expect(second.stderr).toContain('another run is at work on tree')
})
