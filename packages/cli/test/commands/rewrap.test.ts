import { chmodSync, statSync } from 'node:fs'

import { detach } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

/** old.txt and new.txt with their recipients in old.pub and new.pub; a.lh for the old one. */
async function withFiles() {
  const space = new Workspace()
  for (const name of ['old', 'new']) {
    space.write(`${name}.pub`, (await space.ok(['keygen', '-o', `${name}.txt`])).stdout)
  }
  await space.ok(['encrypt', '-R', 'old.pub', '-c', 'tenant=acme', '-o', 'a.lh'], { stdin: 'secret' })
  return space
}

const rewrap = ['rewrap', '-i', 'old.txt', '-R', 'new.pub', '-c', 'tenant=acme']
const open = (identity: string) => ['decrypt', 'a.lh', '-i', identity, '-c', 'tenant=acme']

describe('longhold rewrap', () => {
  test('gives an envelope other recipients and leaves its body as it is', async () => {
    using space = await withFiles()
    const { record } = detach(space.bytes('a.lh'))
    chmodSync(space.file('a.lh'), 0o640)
    const result = await space.ok([...rewrap, 'a.lh'])
    expect(result.stdout).toBe('a.lh: rewrapped, 1 recipient added, 1 dropped\n')
    expect(detach(space.bytes('a.lh')).record).toEqual(record)
    expect(statSync(space.file('a.lh')).mode & 0o777).toBe(0o640)
    expect((await space.ok(open('new.txt'))).stdout).toBe('secret')
    expect((await space.cli(open('old.txt'))).stderr).toContain('none of our identities is a recipient')
    expect(space.list()).toEqual(['a.lh', 'new.pub', 'new.txt', 'old.pub', 'old.txt'])
  })

  test('a wrapped key by itself, and one in text form', async () => {
    using space = await withFiles()
    const { wrappedKey } = detach(space.bytes('a.lh'))
    space.write('key', wrappedKey)
    space.write('text', `${Buffer.from(wrappedKey).toString('base64url')}\n`)
    await space.ok([...rewrap, 'key', 'text'])
    expect(space.read('text')).toMatch(/^TEhL[\w-]+\n$/u)
    const can = await space.ok(['can-open', '--json', '-i', 'new.txt', '-c', 'tenant=acme', 'key', 'text'])
    expect(JSON.parse(can.stdout).files).toMatchObject([{ opens: true }, { opens: true }])
  })

  test('again: nothing is left to do, and nothing is written', async () => {
    using space = await withFiles()
    await space.ok([...rewrap, 'a.lh'])
    const before = space.bytes('a.lh')
    expect((await space.ok([...rewrap, 'a.lh'])).stdout).toContain('a.lh: unchanged')
    expect(space.bytes('a.lh')).toEqual(before)
  })

  test('a file that cannot be rewrapped stays as it is, and the others are done', async () => {
    using space = await withFiles()
    await space.ok(['encrypt', '-R', 'old.pub', '-c', 'tenant=other', '-o', 'b.lh'], { stdin: 'b' })
    space.write('record', detach(space.bytes('a.lh')).record)
    const before = space.bytes('b.lh')
    const result = await space.cli([...rewrap, '--json', 'b.lh', 'record', 'missing', 'a.lh'])
    expect(result.code).toBe(1)
    expect(JSON.parse(result.stdout).files).toMatchObject([
      { file: 'b.lh', status: 'failed', error: { code: 'cannot_open' } },
      { file: 'record', status: 'failed', error: { code: 'refused' } },
      { file: 'missing', status: 'failed', error: { code: 'file' } },
      { file: 'a.lh', status: 'rewrapped', added: [expect.any(String)], dropped: [expect.any(String)] },
    ])
    expect(space.bytes('b.lh')).toEqual(before)
    expect((await space.ok(open('new.txt'))).stdout).toBe('secret')
  })

  test('one file alone is one plain error', async () => {
    using space = await withFiles()
    const result = await space.cli(['rewrap', '-i', 'new.txt', '-R', 'new.pub', 'a.lh'])
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toMatch(/^longhold: error: a\.lh: none of our identities is a recipient\n/u)
  })

  test('wrong calls', async () => {
    using space = await withFiles()
    const call = async (...argv: string[]) => {
      const { code, stderr } = await space.cli(['rewrap', '-i', 'old.txt', ...argv])
      return `${code} ${stderr}`
    }
    expect(await call('-R', 'new.pub')).toContain('2 longhold: error: nothing to rewrap')
    expect(await call('a.lh')).toContain('2 longhold: error: no recipients')
    expect(await call('-R', 'new.pub', '--sqlite', 'x.db', 'a.lh')).toContain(
      'give files or --sqlite, not both',
    )
    expect(await call('-R', 'new.pub', '--sqlite', 'x.db', '-c', 'a=b')).toContain(
      '--context does not go with',
    )
  })
})
