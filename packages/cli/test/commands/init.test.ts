import { mkdirSync, statSync } from 'node:fs'
import { Writable } from 'node:stream'

import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

function mode(space: Workspace, name: string): number {
  return statSync(space.file(name)).mode & 0o777
}

describe('longhold init --local', () => {
  test('makes a directory in which encrypt and decrypt need no flags', async () => {
    using space = new Workspace()
    const { stdout, stderr } = await space.ok(['init', '--local'])
    expect(stderr).toMatch(/^longhold: hint: for the day these files are lost: .*\n$/u)
    expect(stdout).toMatch(
      /^Made:\n {2}\.longhold\/identity\.txt {2}the identity.*\n {2}longhold\.yaml .*\n\nNext:\n/u,
    )
    expect(mode(space, '.longhold')).toBe(0o700)
    expect(mode(space, '.longhold/identity.txt')).toBe(0o600)
    expect(space.read('.longhold/.gitignore')).toBe('*\n')
    const { stdoutBytes } = await space.ok(['encrypt'], { stdin: 'hello' })
    expect((await space.ok(['decrypt'], { stdin: stdoutBytes })).stdout).toBe('hello')
  })

  test('--break-glass adds a recipient whose identity opens everything by itself', async () => {
    using space = new Workspace()
    const { stdout } = await space.ok(['init', '--local', '--break-glass', 'last.txt', '--json'])
    const told = JSON.parse(stdout)
    expect(told).toMatchObject({ config: 'longhold.yaml', mode: 'local', break_glass: { path: 'last.txt' } })
    expect(mode(space, 'last.txt')).toBe(0o600)
    const { stdoutBytes } = await space.ok(['encrypt'], { stdin: 'hello' })
    expect((await space.ok(['decrypt', '-i', 'last.txt'], { stdin: stdoutBytes })).stdout).toBe('hello')
    expect(space.read('longhold.yaml')).toContain(told.break_glass.recipient)
    expect(space.read('longhold.yaml')).not.toContain('LONGHOLD-IDENTITY')
  })
})

describe('longhold init', () => {
  test('makes a key service with a first key', async () => {
    using space = new Workspace()
    const { stdout } = await space.ok(['init', '--json', '--key', 'records', '--listen', '127.0.0.1:9000'])
    expect(JSON.parse(stdout)).toMatchObject({
      mode: 'key-service',
      kms_url: 'http://127.0.0.1:9000',
      key: 'records',
      recipient: expect.stringMatching(/^lhrecipient1-/u),
      break_glass: null,
    })
    expect(mode(space, '.longhold/kms')).toBe(0o700)
    for (const name of ['root.key', 'admin.token']) expect(mode(space, `.longhold/kms/${name}`)).toBe(0o600)
    expect(space.read('longhold.yaml')).toContain('  - kms:records\n')
    expect(space.list()).toEqual(['.longhold', 'longhold.yaml'])
  })
})

describe('nothing that exists is replaced, and no half of a set-up stays', () => {
  test.each(['longhold.yaml', '.longhold/kms', '.longhold/identity.txt', 'last.txt'])(
    '%s exists',
    async (name) => {
      using space = new Workspace()
      mkdirSync(space.file('.longhold'))
      space.write(name, 'precious: true')
      const result = await space.cli(['init', '--local', '--break-glass', 'last.txt'])
      expect(result).toMatchObject({ code: 2, stdout: '' })
      expect(result.stderr).toContain(`longhold: error: ${name} exists already`)
      expect(space.read(name)).toBe('precious: true')
      expect(space.list()).toEqual([...new Set(['.longhold', name.split('/')[0]])])
    },
  )

  test('the folder may be there, with the locks of reencrypt in it', async () => {
    using space = new Workspace()
    mkdirSync(space.file('.longhold'))
    space.write('.longhold/app.lock', '')
    expect((await space.cli(['init', '--key', 'Not A Name'])).code).toBe(2)
    expect(space.read('.longhold/app.lock')).toBe('')
    await space.ok(['init', '--local'])
    expect(space.read('.longhold/app.lock')).toBe('')
  })

  test('a reader of the report that goes away takes nothing back', async () => {
    using space = new Workspace()
    const stdout = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    })
    expect((await space.cli(['init', '--local'], { stdout })).code).toBe(4)
    expect(space.list()).toEqual(['.longhold', 'longhold.yaml'])
  })

  test('twice', async () => {
    using space = new Workspace()
    await space.ok(['init', '--local'])
    const identity = space.read('.longhold/identity.txt')
    expect((await space.cli(['init', '--local'])).code).toBe(2)
    expect(space.read('.longhold/identity.txt')).toBe(identity)
  })

  test('a step that fails takes back those before it', async () => {
    using space = new Workspace()
    const noFolder = await space.cli(['init', '--local', '--break-glass', 'no/last.txt'])
    expect(noFolder.stderr).toContain('cannot write no/last.txt: no such file or directory')
    expect(space.list()).toEqual([])
    const noKey = await space.cli(['init', '--key', 'Not A Name', '--break-glass', 'last.txt'])
    expect(noKey.code).toBe(2)
    expect(space.list()).toEqual([])
  })

  test.each(['nonsense', '127.0.0.1', '127.0.0.1:99999', '127.0.0.1:0', ':8420'])(
    '--listen %s',
    async (listen) => {
      using space = new Workspace()
      expect(await space.cli(['init', '--listen', listen])).toMatchObject({ code: 2, stdout: '' })
      expect(space.list()).toEqual([])
    },
  )
})
