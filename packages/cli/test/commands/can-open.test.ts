import { detach } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

/** mine.txt and theirs.txt; a.lh for both, b.lh for them, c.lh for me with a context. */
async function withFiles() {
  const space = new Workspace()
  const mine = (await space.ok(['keygen', '-o', 'mine.txt'])).stdout.trim()
  const theirs = (await space.ok(['keygen', '-o', 'theirs.txt'])).stdout.trim()
  await space.ok(['encrypt', '-r', theirs, '-r', mine, '-o', 'a.lh'], { stdin: 'a' })
  await space.ok(['encrypt', '-r', theirs, '-o', 'b.lh'], { stdin: 'b' })
  await space.ok(['encrypt', '-r', mine, '-c', 'tenant=acme', '-o', 'c.lh'], { stdin: 'c' })
  return space
}

describe('longhold can-open', () => {
  test('says for each file and each identity whether it opens, and why not', async () => {
    using space = await withFiles()
    const result = await space.cli(['can-open', '-i', 'mine.txt', '-i', 'theirs.txt', 'a.lh', 'b.lh'])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    const lines = result.stdout
      .replaceAll(/ \([0-9a-f]{8}\)/gu, '')
      .trimEnd()
      .split('\n')
    expect(lines.map((line) => line.split(/ {2,}/u))).toEqual([
      ['FILE', 'IDENTITY', 'OPENS', 'WHY NOT'],
      ['a.lh', 'mine.txt', 'yes'],
      ['a.lh', 'theirs.txt', 'yes'],
      ['b.lh', 'mine.txt', 'no', 'not a recipient'],
      ['b.lh', 'theirs.txt', 'yes'],
    ])
  })

  test('a file that nobody opens is exit 1', async () => {
    using space = await withFiles()
    const result = await space.cli(['can-open', '-i', 'mine.txt', 'a.lh', 'b.lh', 'c.lh'])
    expect(result.code).toBe(1)
    expect(result.stdout).toMatch(/c\.lh +mine\.txt \([0-9a-f]{8}\) +no +cannot open: another context/u)
    expect(result.stderr).toContain('error: 2 of 3 files cannot be opened')
    expect((await space.cli(['can-open', '-i', 'mine.txt', '-c', 'tenant=acme', 'c.lh'])).code).toBe(0)
  })

  test('a cut body is found out, and a wrapped key counts by itself', async () => {
    using space = await withFiles()
    space.write('key', detach(space.bytes('a.lh')).wrappedKey)
    space.write('record', detach(space.bytes('a.lh')).record)
    space.write('cut.lh', space.bytes('a.lh').subarray(0, -1))
    const result = await space.cli([
      'can-open',
      '--json',
      '-i',
      'mine.txt',
      'key',
      'record',
      'cut.lh',
      'gone',
    ])
    expect(result.code).toBe(1)
    const { files } = JSON.parse(result.stdout)
    expect(files.map(({ file, opens }: { file: string; opens: boolean }) => [file, opens])).toEqual([
      ['key', true],
      ['record', false],
      ['cut.lh', false],
      ['gone', false],
    ])
    expect(files[0].identities[0]).toMatchObject({ identity: 'mine.txt', opens: true, code: null, why: null })
    expect(files[1].identities[0].why).toContain('its data key is kept elsewhere')
    expect(files[3].identities[0].why).toContain('no such file')
  })

  test('writes nothing', async () => {
    using space = await withFiles()
    const before = space.list().map((name) => [name, space.read(name)])
    await space.cli(['can-open', '-i', 'mine.txt', 'a.lh', 'b.lh', 'c.lh'])
    expect(space.list().map((name) => [name, space.read(name)])).toEqual(before)
  })
})
