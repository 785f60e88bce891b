import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

import { generateIdentity } from '@longhold/core'
import { expect, test } from 'vitest'

import { versionAt } from '../../src/sources/tree-files.ts'
import { makeJwe } from '../support/legacy-values.ts'
import { Directory, identity } from '../support/migration.ts'
import { migrateTree } from '../support/object-run.ts'
import { contentOf, filesOf, isEnvelope, makeTree, oldNames, put, readEnvelope } from '../support/tree.ts'

const names = oldNames(12)

test('an envelope that does not open again takes no place', async () => {
  using directory = new Directory()
  const root = directory.file('tree')
  await makeTree(root, names)
  const before = filesOf(root)
  const broken = {
    testingAlter: async (path: string) => {
      const bytes = readFileSync(path)
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
      writeFileSync(path, bytes)
    },
  }
  const end = await migrateTree(root, { work: broken })
  expect(end.counts).toMatchObject({ found: 12, dead: 12, migrated: 0 })
  expect(filesOf(root)).toEqual(before)
})

test('an identity that is no recipient stops the run before anything changes', async () => {
  using directory = new Directory()
  const root = directory.file('tree')
  await makeTree(root, names)
  const before = filesOf(root)
  const run = migrateTree(root, { run: { identities: [generateIdentity()] } })
  await expect(run).rejects.toThrow(/not a recipient|none of our identities/u)
  expect(filesOf(root)).toEqual(before)
})

/** Writers between the reading and the replacing of a page, in each way that programs write files. */
const writers: Readonly<Record<string, (path: string, content: string) => void>> = {
  'into the file': (path, content) => writeFileSync(path, content),
  'behind the file': (path, content) => appendFileSync(path, content),
  'a new file in its place': (path, content) => {
    writeFileSync(`${path}.new`, content)
    renameSync(`${path}.new`, path)
  },
}

test.each(Object.entries(writers))('no update is lost of somebody who writes %s', async (_, write) => {
  using directory = new Directory()
  const root = directory.file('tree')
  await makeTree(root, names)
  const updates = new Map<string, string>()
  let round = 0
  const end = await migrateTree(root, {
    run: {
      testingBeforeCommit: async ({ objects }) => {
        // The first passes are disturbed at every third file, the later ones go through.
        if (round++ >= 3) return
        for (const [index, { name }] of objects.entries()) {
          if (index % 3 !== 0 || !names.includes(name)) continue
          const content = await makeJwe(`${contentOf(name)}, update ${round}`)
          const before = readFileSync(`${root}/${name}`)
          write(`${root}/${name}`, content)
          const appended = readFileSync(`${root}/${name}`).length > content.length
          updates.set(
            name,
            appended ? Buffer.concat([before, Buffer.from(content)]).toString('latin1') : content,
          )
        }
      },
    },
  })
  expect(updates.size).toBeGreaterThan(3)
  expect(end.conflicts).toBeGreaterThan(3)
  const files = filesOf(root)
  for (const [name, update] of updates) {
    const now = files.get(name) ?? Buffer.alloc(0)
    const isKept = now.toString('latin1') === update
    const read = isEnvelope(now) ? await readEnvelope(now, { path: name }, identity) : ''
    expect(isKept || read.startsWith(`${contentOf(name)}, update `)).toBe(true)
  }
})

test('the same writers lose updates to a run that does not look again', async () => {
  using directory = new Directory()
  const root = directory.file('tree')
  await makeTree(root, names)
  const updates = new Map<string, string>()
  let round = 0
  await migrateTree(root, {
    run: {
      testingBeforeCommit: async ({ objects }) => {
        if (round++ > 0) return
        for (const object of objects) {
          if (!names.includes(object.name)) continue
          const content = await makeJwe(`${contentOf(object.name)}, update`)
          writeFileSync(`${root}/${object.name}`, content)
          updates.set(object.name, content)
          // As if what was read were what is there now.
          Object.assign(object, { version: versionAt(`${root}/${object.name}`) })
        }
      },
    },
  })
  const files = filesOf(root)
  let lost = 0
  for (const name of updates.keys()) {
    const read = await readEnvelope(files.get(name) ?? Buffer.alloc(0), { path: name }, identity)
    if (!read.endsWith(', update')) lost++
  }
  expect(lost).toBe(names.length)
})

test('a file that goes away, and one that comes, while a run is at work', async () => {
  using directory = new Directory()
  const root = directory.file('tree')
  await makeTree(root, names)
  const [gone = ''] = names
  let isFirst = true
  const end = await migrateTree(root, {
    run: {
      testingBeforeCommit: async () => {
        if (!isFirst) return
        isFirst = false
        rmSync(`${root}/${gone}`)
        put(root, 'aaa/late.jwe', await makeJwe(contentOf('aaa/late.jwe')))
      },
    },
  })
  expect(end.status).toBe('finished')
  const files = filesOf(root)
  expect(files.has(gone)).toBe(false)
  const late = files.get('aaa/late.jwe') ?? Buffer.alloc(0)
  expect(await readEnvelope(late, { path: 'aaa/late.jwe' }, identity)).toBe(contentOf('aaa/late.jwe'))
})

test('a run that is interrupted goes on, and its counts add up', async () => {
  using directory = new Directory()
  const root = directory.file('tree')
  const many = oldNames(150)
  await makeTree(root, many)
  const stop = new AbortController()
  const first = await migrateTree(root, {
    run: { signal: stop.signal, testingBeforeCommit: () => stop.abort() },
  })
  expect(first.status).toBe('stopped')
  expect(first.migrated).toBeGreaterThan(0)
  expect(first.migrated).toBeLessThanOrEqual(150)
  const second = await migrateTree(root)
  expect(second).toMatchObject({ runId: first.runId, status: 'finished', migrated: 150 })
  expect(second.counts).toMatchObject({ found: 150, earlier: 150, migrated: 0, dead: 0 })
})
