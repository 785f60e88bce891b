import { detach } from '@longhold/core'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'
import type { CliResult } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

describe('longhold kms serve', () => {
  test('stops with exit 0 when it is interrupted, and starts again on the same data', async () => {
    await using space = await ServiceWorkspace.create()
    const { stdoutBytes } = await space.ask(['encrypt'], { stdin: 'hello' })
    expect(await space.stop()).toMatchObject({ code: 0, stderr: '' })
    expect(problem(await space.ask(['decrypt'], { stdin: stdoutBytes }))).toContain('4 longhold: error: ')
    await space.start()
    expect((await space.ask(['decrypt'], { stdin: stdoutBytes })).stdout).toBe('hello')
  })

  test('a second service on the same data is exit 4, and the first goes on', async () => {
    await using space = await ServiceWorkspace.create()
    const second = await space.cli(['kms', 'serve', '--listen', '127.0.0.1:0'])
    expect(second.code).toBe(4)
    expect((await space.ask(['kms', 'keys'])).code).toBe(0)
  })

  test('a port that is taken is exit 4', async () => {
    await using space = await ServiceWorkspace.create()
    using other = new Workspace()
    await other.ok(['init'])
    expect(problem(await other.cli(['kms', 'serve', '--listen', new URL(space.url).host]))).toMatch(
      /^4 .*error: /u,
    )
  })

  test('wrong calls are exit 2', async () => {
    using space = new Workspace()
    const serve = (...argv: string[]) => space.cli(['kms', 'serve', ...argv]).then(problem)
    expect(await serve()).toContain('2 longhold: error: no data directory for the key service')
    expect(await serve('--data-dir', 'nowhere')).toMatch(/^2 longhold: error: .*nowhere/u)
    expect(await serve('--data-dir', '.', '--listen', 'here')).toContain('--listen is HOST:PORT')
    await space.ok(['init'])
    expect(await serve('--listen', '0.0.0.0:0')).toMatch(/^2 longhold: error: /u)
    space.write('.longhold/kms/root.key', new Uint8Array(32))
    expect(await serve('--listen', '127.0.0.1:0')).toMatch(/^2 longhold: error: .*root\.key/u)
  })
})

describe('longhold kms keys and rotate', () => {
  test('lists, creates and rotates', async () => {
    await using space = await ServiceWorkspace.create()
    const list = async () => JSON.parse((await space.ask(['kms', 'keys', '--json'])).stdout).keys
    expect(await list()).toMatchObject([{ key: 'default', primary_version: 1 }])
    const created = await space.ask(['kms', 'keys', 'create', 'archive'])
    expect(created).toMatchObject({
      code: 0,
      stderr: 'longhold: hint: encrypt to it: --recipient kms:archive\n',
    })
    const rotated = await space.ask(['kms', 'rotate', 'archive', '--json'])
    expect(JSON.parse(rotated.stdout)).toMatchObject({ key: 'archive', primary_version: 2, version_count: 2 })
    expect((await list()).map(({ key }: { key: string }) => key).toSorted()).toEqual(['archive', 'default'])
    const text = await space.ask(['kms', 'keys', 'list'])
    expect(text.stdout).toMatch(/^KEY +PRIMARY +VERSIONS +SUITE +CREATED +ROTATED\n/u)
  })

  test('a key that is not there, a name that is taken, a name that is none', async () => {
    await using space = await ServiceWorkspace.create()
    expect(problem(await space.ask(['kms', 'rotate', 'gone']))).toContain('has no key gone')
    expect(problem(await space.ask(['kms', 'keys', 'create', 'default']))).toMatch(
      /^2 longhold: error: .*default/u,
    )
    expect(problem(await space.ask(['kms', 'keys', 'create', 'No Name']))).toMatch(/^2 longhold: error: /u)
    expect(problem(await space.ask(['kms', 'rotate']))).toContain(
      "2 longhold: error: missing required argument 'key'",
    )
  })

  test('no address, an address that is none, no token', async () => {
    using space = new Workspace()
    const keys = (...argv: string[]) => space.cli(['kms', 'keys', 'list', ...argv]).then(problem)
    expect(await keys()).toContain('2 longhold: error: no key service')
    expect(await keys('--kms-url', 'http://127.0.0.1:9')).toContain(
      '2 longhold: error: no token for the key service',
    )
    space.write('token', `lhk_0123456789abcdef01234567_${'A'.repeat(43)}\n`)
    expect(await keys('--kms-url', 'ftp://x', '--kms-token-file', 'token')).toContain(
      'the address is ftp://x',
    )
    expect(await keys('--kms-url', 'http://127.0.0.1:9', '--kms-token-file', 'gone')).toContain(
      'cannot read gone',
    )
  })
})

describe('tokens', () => {
  test('one that may only unwrap, revoked, expired, and one that nobody gave', async () => {
    await using space = await ServiceWorkspace.create()
    const { stdoutBytes } = await space.ask(['encrypt'], { stdin: 'hello' })
    const create = [
      'kms',
      'tokens',
      'create',
      '--json',
      '-k',
      'default',
      '-p',
      'unwrap',
      '-p',
      'wrap',
      '-p',
      'keys.list',
    ]
    const made = await space.ask([...create, 'web', '-o', 'web.token'])
    expect(problem(made)).toBe('0 ')
    const { id } = JSON.parse(made.stdout)
    const decrypt = (token: string) =>
      space.ask(['decrypt', '--kms-token-file', token], { stdin: stdoutBytes })
    expect(problem(await decrypt('web.token'))).toBe('0 ')
    expect(problem(await space.ask(['kms', 'rotate', 'default', '--kms-token-file', 'web.token']))).toMatch(
      /^4 .*error/u,
    )
    expect((await space.ask(['kms', 'tokens', 'revoke', id])).code).toBe(0)
    expect(problem(await decrypt('web.token'))).toMatch(/^4 longhold: error: .*\nlonghold: hint: /u)
    space.write('wrong.token', `lhk_${id}_${'A'.repeat(43)}\n`)
    expect(problem(await decrypt('wrong.token'))).toContain('4 longhold: ')
    const { stdout } = await space.ask(['kms', 'tokens'])
    expect(stdout).toMatch(new RegExp(`^${id} +web +- +default +revoked`, 'mu'))
    expect(stdout).not.toContain(
      space
        .read('web.token')
        .trim()
        .slice('lhk_'.length + id.length),
    )
  })

  test('one that has expired', async () => {
    await using space = await ServiceWorkspace.create()
    await space.ask(['encrypt', '-o', 'a.lh'], { stdin: 'hello' })
    const argv = [
      'kms',
      'tokens',
      'create',
      'web',
      '-p',
      'unwrap',
      '-p',
      'wrap',
      '-p',
      'keys.list',
      '-o',
      'web.token',
    ]
    const expires = new Date(Date.now() + 1000).toISOString()
    expect((await space.ask([...argv, '--expires', expires])).code).toBe(0)
    const decrypt = () => space.ask(['decrypt', 'a.lh', '--kms-token-file', 'web.token'])
    // The service goes by its database's clock, so it is asked until that second is over.
    let late = await decrypt()
    while (late.code === 0) late = await decrypt()
    expect(problem(late)).toMatch(
      /^4 longhold: error: the key service at .* does not accept the token\nlonghold: hint: .*expired/u,
    )
    expect(late.stdout).toBe('')
  })

  test('wrong calls', async () => {
    await using space = await ServiceWorkspace.create()
    const create = (...argv: string[]) => space.ask(['kms', 'tokens', 'create', 'web', ...argv]).then(problem)
    expect(await create()).toContain(
      "2 longhold: error: required option '-p, --permission <permission>' not specified",
    )
    expect(await create('-p', 'unwarp')).toContain(
      'no such permission: unwarp\nlonghold: hint: did you mean unwrap?',
    )
    expect(await create('-p', 'unwrap', '--expires', 'tomorrow')).toContain('not a time: tomorrow')
    expect(await create('-p', 'unwrap', '--expires', '2020-01-01')).toMatch(/^2 longhold: error: /u)
    const shown = await space.ask(['kms', 'tokens', 'create', 'web', '-p', 'unwrap'], { tty: ['stdout'] })
    expect(problem(shown)).toContain('2 longhold: error: refusing to write a token to a terminal')
  })
})

describe('with the key service', () => {
  test('a wrong context cannot be told from a wrong key', async () => {
    await using space = await ServiceWorkspace.create()
    const { stdoutBytes } = await space.ask(['encrypt', '-c', 'tenant=a'], { stdin: 'hello' })
    expect((await space.ask(['decrypt', '-c', 'tenant=a'], { stdin: stdoutBytes })).stdout).toBe('hello')
    const wrong = await space.ask(['decrypt', '-c', 'tenant=b'], { stdin: stdoutBytes })
    expect(problem(wrong)).toMatch(
      /^1 longhold: error: standard input: cannot open: .*key.*context.*altered/u,
    )
    expect(wrong.stdout).toBe('')
  })

  test('can-open tells a key service that cannot be asked from one that does not open', async () => {
    await using space = await ServiceWorkspace.create()
    await space.ok(['keygen', '-o', 'mine.txt'])
    await space.ask(['encrypt', '-o', 'a.lh'], { stdin: 'hello' })
    const ask = ['can-open', '-i', 'mine.txt', '--kms-url', space.url, 'a.lh', '--json']
    const up = await space.cli(ask)
    expect(up.code).toBe(0)
    expect(JSON.parse(up.stdout).files[0].identities).toMatchObject([
      { identity: 'mine.txt', opens: false, code: 'not_a_recipient' },
      { identity: space.url, opens: true },
    ])
    await space.stop()
    const down = await space.cli(ask)
    expect(down.code).toBe(4)
    expect(JSON.parse(down.stdout).files[0].identities[1]).toMatchObject({
      opens: false,
      code: 'unavailable',
    })
  })

  test('after a rotation, rewrap moves files and databases to the new version inside the service', async () => {
    await using space = await ServiceWorkspace.create()
    await space.ask(['encrypt', '-c', 'dataset=users', '-o', 'a.lh'], { stdin: 'hello' })
    const { wrappedKey, record } = detach(space.bytes('a.lh'))
    const db = new Database(space.file('app.db'))
    db.exec(
      `create table longhold_data_keys (key_id blob primary key, name text, wrapped_key blob, key_context text, state text, updated_at text)`,
    )
    db.prepare('insert into longhold_data_keys values (?, null, ?, ?, ?, ?)').run(
      wrappedKey.subarray(4, 20),
      wrappedKey,
      '{"dataset":"users"}',
      'writing',
      '2026-01-01T00:00:00.000Z',
    )
    db.close()
    await space.ask(['kms', 'rotate', 'default'])
    expect((await space.ask(['rewrap', '-c', 'dataset=users', 'a.lh'])).stdout).toContain(
      'a.lh: rewrapped, 1 recipient',
    )
    expect(detach(space.bytes('a.lh')).record).toEqual(record)
    expect((await space.ask(['decrypt', '-c', 'dataset=users', 'a.lh'])).stdout).toBe('hello')
    const rewrapped = await space.ask(['rewrap', '--sqlite', 'app.db', '--json'])
    expect(JSON.parse(rewrapped.stdout)).toMatchObject({ rewrapped: 1, unchanged: 0, failed: [] })
    const again = await space.ask(['rewrap', '--sqlite', 'app.db', '--json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ rewrapped: 0, unchanged: 1 })
  })

  test('a recipient that the service does not know is kept or given up only on purpose', async () => {
    await using space = await ServiceWorkspace.create()
    space.write('mine.pub', (await space.ok(['keygen', '-o', 'mine.txt'])).stdout)
    await space.ask(['encrypt', '-o', 'a.lh'], { stdin: 'hello' })
    const add = ['rewrap', 'a.lh', '-r', 'kms:default', '-R', 'mine.pub']
    expect((await space.ask(add)).code).toBe(1)
    expect((await space.ask([...add, '--unwrap-here'])).code).toBe(0)
    expect((await space.ok(['decrypt', '-i', 'mine.txt', 'a.lh'])).stdout).toBe('hello')
    await space.ask(['kms', 'rotate', 'default'])
    expect((await space.ask(add)).code).toBe(0)
    expect((await space.ok(['decrypt', '-i', 'mine.txt', 'a.lh'])).stdout).toBe('hello')
    const drop = await space.ask(['rewrap', 'a.lh', '-r', 'kms:default'])
    expect(problem(drop)).toMatch(/^1 longhold: error: a\.lh: /u)
  })
})
