import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'

import { generateIdentity } from '@longhold/core'
import { expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'
import type { CliResult } from '../support/cli.ts'
import { certify, opensslEncrypt } from '../support/cms.ts'
import { makeJwe, oldPem, otherKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import {
  contentOf,
  filesOf,
  isEnvelope,
  makeTree,
  neighbours,
  oldNames,
  put,
  readEnvelope,
} from '../support/tree.ts'

const identity = generateIdentity()
const who = ['--private-key', 'old.pem', '-r', identity.recipient.toString(), '-i', 'key.txt']

async function workspace(names: readonly string[]): Promise<Workspace> {
  const space = new Workspace()
  space.write('old.pem', oldPem)
  space.write('key.txt', `${identity.exportText()}\n`)
  await makeTree(space.file('tree'), names)
  return space
}

async function runTree(space: Workspace, ...flags: readonly string[]): Promise<CliResult> {
  return await space.cli([
    '--json',
    'reencrypt',
    'run',
    'tree',
    '--execute',
    '--workers',
    '1',
    ...who,
    ...flags,
  ])
}

const names = oldNames(10)

test('a tree is planned, run, verified, run again, and finalised', async () => {
  using space = await workspace(names)
  const before = filesOf(space.file('tree'))
  const plan = await space.ok(['--json', 'reencrypt', 'plan', 'tree', '--private-key', 'old.pem'])
  expect(JSON.parse(plan.stdout)).toMatchObject({
    to_reencrypt: 10,
    already: 0,
    left_alone: 4,
    groups: [{ format: 'jwe', count: 10, tried: 10, opened: 10 }],
  })
  expect(filesOf(space.file('tree'))).toEqual(before)
  expect(existsSync(space.file('tree/.longhold'))).toBe(false)

  const first = await runTree(space)
  expect(first.code).toBe(0)
  expect(JSON.parse(first.stdout)).toMatchObject({
    status: 'finished',
    found: 10,
    migrated: 10,
    already: 0,
    dead: 0,
    conflict: 0,
    left_alone: 4,
    replaced_this_time: 10,
    passes: 2,
  })
  const after = filesOf(space.file('tree'))
  for (const name of names) {
    const bytes = after.get(name) ?? Buffer.alloc(0)
    expect(await readEnvelope(bytes, { path: name }, identity)).toBe(contentOf(name))
  }
  for (const name of Object.keys(neighbours)) expect(after.get(name)).toEqual(before.get(name))
  expect([...after.keys()].toSorted()).toEqual([...before.keys()].toSorted())

  const verified = await space.ok(['--json', 'reencrypt', 'verify', 'tree', '-i', 'key.txt'])
  expect(JSON.parse(verified.stdout)).toMatchObject({
    opened: 10,
    not_reencrypted: 0,
    left_alone: 4,
    failed: 0,
  })
  const again = await runTree(space)
  expect(JSON.parse(again.stdout)).toMatchObject({ found: 10, already: 10, replaced_this_time: 0, passes: 1 })
  expect(filesOf(space.file('tree'))).toEqual(after)

  const status = await space.ok(['--json', 'reencrypt', 'status', 'tree'])
  expect(JSON.parse(status.stdout)).toMatchObject({ status: 'finished', found: 10, at_work: false })
  await space.ok(['reencrypt', 'finalize', 'tree', '--execute'])
  expect(
    existsSync(space.file('tree/.longhold/originals')) && readdirSync(space.file('tree/.longhold/originals')),
  ).toEqual([])
  const late = await space.cli(['reencrypt', 'rollback', 'tree', '--execute'])
  expect(late).toMatchObject({ code: 1 })
})

test('a rollback puts back what was there, but not over what somebody wrote since', async () => {
  using space = await workspace(names)
  const before = filesOf(space.file('tree'))
  await runTree(space)
  writeFileSync(space.file(`tree/${names[0]}`), 'written since')
  const result = await space.ok(['--json', 'reencrypt', 'rollback', 'tree', '--execute'])
  expect(JSON.parse(result.stdout)).toMatchObject({ restored: 9, changed: 1 })
  const after = filesOf(space.file('tree'))
  expect(after.get(names[0] ?? '')?.toString()).toBe('written since')
  for (const name of names.slice(1)) expect(after.get(name)).toEqual(before.get(name))
  expect(
    existsSync(space.file('tree/.longhold/originals')) &&
      filesOf(space.file('tree/.longhold/originals')).size,
  ).toBe(0)
  const again = await runTree(space)
  expect(JSON.parse(again.stdout)).toMatchObject({ found: 9, migrated: 9 })
})

test('mode, owner, times and extended attributes are kept', async () => {
  using space = await workspace(['a.jwe'])
  const path = space.file('tree/a.jwe')
  chmodSync(path, 0o4640)
  utimesSync(path, 1_600_000_000, 1_600_000_000.123456)
  spawnSync('setfattr', ['-n', 'user.origin', '-v', 'fax', path])
  const extended = () => spawnSync('getfattr', ['--dump', path], { cwd: space.path }).stdout?.toString()
  const extendedBefore = extended()
  const before = statSync(path, { bigint: true })
  expect((await runTree(space)).code).toBe(0)
  const after = statSync(path, { bigint: true })
  expect(isEnvelope(readFileSync(path))).toBe(true)
  expect(after.mode).toBe(before.mode)
  expect([after.uid, after.gid]).toEqual([before.uid, before.gid])
  expect(after.mtimeNs).toBe(before.mtimeNs)
  expect(extended()).toBe(extendedBefore)
  expect((await space.cli(['reencrypt', 'rollback', 'tree', '--execute'])).code).toBe(0)
  expect(statSync(path, { bigint: true }).mtimeNs).toBe(before.mtimeNs)
})

test('links, devices and names that are not UTF-8', async () => {
  using space = await workspace(['a.jwe', 'b.jwe'])
  const root = space.file('tree')
  linkSync(`${root}/b.jwe`, `${root}/second.jwe`)
  symlinkSync('a.jwe', `${root}/link.jwe`)
  symlinkSync('.', `${root}/loop`)
  spawnSync('mkfifo', [`${root}/pipe.jwe`])
  const strange = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe]), Buffer.from('.jwe')])
  writeFileSync(strange, await makeJwe('strange'))
  const result = await runTree(space)
  expect(result.code).toBe(1)
  expect(JSON.parse(result.stdout)).toMatchObject({ found: 4, migrated: 1, dead: 3, left_alone: 7 })
  const letters = space.read('tree.dead.ndjson').trim().split('\n')
  expect(letters.map((line) => JSON.parse(line) as unknown)).toEqual([
    { object: String.raw`\xff\xfe.jwe`, format: null, key_id: null, code: 'bad_name' },
    { object: 'b.jwe', format: 'jwe', key_id: 'old', code: 'hard_link' },
    { object: 'second.jwe', format: 'jwe', key_id: 'old', code: 'hard_link' },
  ])
  expect(lstatSync(`${root}/link.jwe`).isSymbolicLink()).toBe(true)
  expect(isEnvelope(readFileSync(`${root}/b.jwe`))).toBe(false)
})

test('what does not open stays as it is, and is done once its key is there', async () => {
  using space = await workspace(['a.jwe'])
  put(space.file('tree'), 'other.jwe', await makeJwe('other', { key: otherKey, kid: 'other' }))
  const before = space.bytes('tree/other.jwe')
  const first = await runTree(space)
  expect(first.code).toBe(1)
  expect(JSON.parse(first.stdout)).toMatchObject({ found: 2, migrated: 1, dead: 1 })
  expect(space.bytes('tree/other.jwe')).toEqual(before)
  space.write('other.pem', otherKey.export({ type: 'pkcs8', format: 'pem' }))
  const second = await runTree(space, '--private-key', 'other.pem')
  expect(JSON.parse(second.stdout)).toMatchObject({ found: 2, migrated: 1, already: 1, dead: 0 })
  const final = await space.cli(['reencrypt', 'finalize', 'tree', '--execute'])
  expect(final.code).toBe(0)
})

test('globs choose, and finalize refuses while old files remain among them', async () => {
  using space = await workspace(names)
  const some = await runTree(space, '--include', 'dir 1/**', '--exclude', '**/sub-1/*')
  const wanted = names.filter((name) => name.startsWith('dir 1/') && !name.includes('sub-1'))
  expect(JSON.parse(some.stdout)).toMatchObject({ found: wanted.length, migrated: wanted.length })
  const refused = await space.cli(['reencrypt', 'finalize', 'tree', '--execute'])
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain(`${names.length - wanted.length} objects of tree not in longhold's form`)
  await space.ok(['reencrypt', 'finalize', 'tree', '--execute', '--include', wanted[0] ?? ''])
})

test('a context of one own', async () => {
  using space = await workspace(['a/b.jwe'])
  await runTree(space, '--context', 'app=mail', '--context', 'file=/{path}')
  const context = { app: 'mail', file: '/a/b.jwe' }
  expect(await readEnvelope(space.bytes('tree/a/b.jwe'), context, identity)).toBe(contentOf('a/b.jwe'))
  await space.ok(['reencrypt', 'verify', 'tree', '-i', 'key.txt'])
  const other = await space.cli(['reencrypt', 'verify', 'tree', '-i', 'key.txt', '--context', 'path={path}'])
  expect(other.code).toBe(1)
  const unknown = await runTree(space, '--context', 'x={bucket}')
  expect(unknown).toMatchObject({ code: 2 })
  expect(unknown.stderr).toContain('there is no {bucket} here')
})

test('CMS of a cipher without a tag needs to be accepted; a large one is streamed', async () => {
  using directory = new Directory()
  using space = await workspace([])
  const key = certify(directory)
  space.write('cms.pem', key.keyPem + key.certificatePem)
  const large = Buffer.alloc(20 * 1024 * 1024, 'large ')
  put(space.file('tree'), 'large.p7m', opensslEncrypt(large, [key], { args: ['-stream'] }))
  const flags = [
    '--json',
    'reencrypt',
    'run',
    'tree',
    '--execute',
    '--private-key',
    'cms.pem',
    ...who.slice(2),
  ]
  const refused = await space.cli(flags)
  expect(JSON.parse(refused.stdout)).toMatchObject({ found: 1, dead: 1, migrated: 0 })
  expect(JSON.parse(space.read('tree.dead.ndjson'))).toMatchObject({
    object: 'large.p7m',
    code: 'unauthenticated',
  })
  const taken = await space.ok([...flags, '--accept-unauthenticated'])
  expect(JSON.parse(taken.stdout)).toMatchObject({ migrated: 1, unauthenticated_all_passes: 1 })
  expect(await readEnvelope(space.bytes('tree/large.p7m'), { path: 'large.p7m' }, identity)).toBe(
    large.toString(),
  )
})

test('a tree in a tree, and a part of one, are refused', async () => {
  using space = await workspace(['inner/a.jwe', 'b.jwe'])
  const inner = ['--json', 'reencrypt', 'run', 'tree/inner', '--execute', ...who]
  await space.ok(inner)
  const outer = await runTree(space)
  expect(outer).toMatchObject({ code: 2 })
  expect(outer.stderr).toContain('inner is a tree of its own')
  const without = await runTree(space, '--exclude', 'inner/**')
  expect(without.code).toBe(2)
})

test('flags of rows mean nothing, and files of old runs under way are removed', async () => {
  using space = await workspace(['a.jwe'])
  const wrong = await runTree(space, '--table', 'notes')
  expect(wrong).toMatchObject({ code: 2 })
  expect(wrong.stderr).toContain('tree holds objects, so --table means nothing')
  const left = space.file('tree/.longhold-tree-0123456789abcdef.tmp')
  writeFileSync(left, 'half an envelope')
  await space.ok(['reencrypt', 'plan', 'tree'])
  expect(existsSync(left)).toBe(true)
  await runTree(space)
  expect(existsSync(left)).toBe(false)
})

test('who writes into an old file that is held open is heard before it is removed', async () => {
  using space = await workspace(['a.jwe'])
  const held = openSync(space.file('tree/a.jwe'), 'r+')
  await runTree(space)
  writeSync(held, 'written too late')
  closeSync(held)
  const refused = await space.cli(['reencrypt', 'finalize', 'tree', '--execute'])
  expect(refused).toMatchObject({ code: 1 })
  expect(refused.stderr).toContain('somebody wrote into the old file of a.jwe')
})

test('a directory that cannot be written to keeps its files', async () => {
  using space = await workspace(['a.jwe', 'closed/b.jwe'])
  const before = space.bytes('tree/closed/b.jwe')
  const closed = space.file('tree/closed')
  // To root every directory is open that is not immutable, which not every file system knows.
  chmodSync(closed, 0o500)
  const isClosed = spawnSync('chattr', ['+i', closed]).status === 0 || process.getuid?.() !== 0
  const result = await runTree(space)
  spawnSync('chattr', ['-i', closed])
  chmodSync(closed, 0o700)
  const counts = isClosed ? { migrated: 1, dead: 1 } : { migrated: 2, dead: 0 }
  expect(JSON.parse(result.stdout)).toMatchObject(counts)
  expect(Buffer.from(space.bytes('tree/closed/b.jwe')).equals(before)).toBe(isClosed)
})
