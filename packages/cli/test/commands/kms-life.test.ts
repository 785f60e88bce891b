import { DataKey, wrapDataKey } from '@longhold/core'
import { KmsClient, kmsRecipient } from '@longhold/core/kms'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import type { CliResult } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

/** Asks for JSON, and expects that it is done. */
async function json(space: ServiceWorkspace, ...argv: string[]): Promise<Record<string, unknown>> {
  const result = await space.ask(['kms', ...argv, '--json'])
  expect(result.code, problem(result)).toBe(0)
  return JSON.parse(result.stdout) as Record<string, unknown>
}

describe('the life of a key', () => {
  test('from its making to the waiting period of its first version', async () => {
    await using space = await ServiceWorkspace.create()
    const made = await json(
      space,
      'keys',
      'create',
      'archive',
      '--rotate-every',
      '90d',
      '--label',
      'team=billing',
    )
    expect(made).toMatchObject({
      labels: { team: 'billing' },
      rotation: { every_seconds: 90 * 86_400 },
      destroy_after_seconds: 30 * 86_400,
    })
    expect(await json(space, 'rotate', 'archive', '--pending')).toMatchObject({
      primary_version: 1,
      version_count: 2,
    })
    expect(await json(space, 'versions', 'activate', 'archive', '2')).toMatchObject({ state: 'primary' })
    expect(
      await json(space, 'keys', 'update', 'archive', '--min-unwrap-version', '2', '--no-rotation'),
    ).toMatchObject({
      min_unwrap_version: 2,
      rotation: null,
      labels: { team: 'billing' },
    })
    expect(await json(space, 'versions', 'disable', 'archive', '1')).toMatchObject({ state: 'disabled' })
    const check = await space.ask(['kms', 'versions', 'check', 'archive', '1'])
    expect(problem(check)).toContain(
      '1 longhold: error: it is not known whether destroying version 1 of archive would lose data',
    )
    expect(check.stdout).toMatch(/^unknown\n.*no_consumers/su)
    const refused = await space.ask(['kms', 'versions', 'destroy', 'archive', '1'])
    expect(problem(refused)).toMatch(/^1 longhold: error: .*--despite-check/su)
    const destroyed = await json(space, 'versions', 'destroy', 'archive', '1', '--despite-check')
    expect(destroyed).toMatchObject({ state: 'destroy_scheduled', backups: [] })
    const shown = await space.ask(['kms', 'versions', 'list', 'archive'])
    expect(shown.stdout).toMatch(/^VERSION +STATE +CREATED +CHANGED +DESTROYED\n1 +destroy_scheduled /u)
    expect(await json(space, 'versions', 'restore', 'archive', '1')).toMatchObject({ state: 'disabled' })
    expect(await json(space, 'versions', 'enable', 'archive', '1')).toMatchObject({ state: 'unwrap_only' })
    const both = await json(space, 'versions', 'compromise', 'archive', '2')
    expect(both).toMatchObject({ state: 'compromised' })
    expect(await json(space, 'keys', 'show', 'archive')).toMatchObject({ primary_version: 3 })
  })

  test('of which a census says what is still wrapped', async () => {
    await using space = await ServiceWorkspace.create()
    const token = space.read('.longhold/kms/admin.token').trim()
    const recipient = await kmsRecipient(new KmsClient({ url: space.url, token }), 'default')
    const database = new Database(space.file('users.db'))
    database.exec(
      'CREATE TABLE longhold_data_keys (key_id BLOB PRIMARY KEY, wrapped_key BLOB, key_context TEXT, name TEXT, ' +
        'state TEXT, messages INTEGER, bytes INTEGER, created_at TEXT, updated_at TEXT)',
    )
    const insert = database.prepare(
      "INSERT INTO longhold_data_keys VALUES (?, ?, '{}', NULL, 'reading', 0, 0, '', '')",
    )
    for (let made = 0; made < 3; made++) {
      using dataKey = DataKey.generate()
      insert.run(dataKey.keyId, await wrapDataKey(dataKey, { recipients: [recipient] }))
    }
    database.close()
    expect(await json(space, 'census', 'register', 'default', 'users')).toMatchObject({ counts: null })
    const taken = await json(space, 'census', 'take', 'default', 'users', '--sqlite', 'users.db')
    expect(taken).toMatchObject({ consumer: 'users', counts: [{ version: 1, wrapped_keys: 3 }] })
    const shown = await space.ask(['kms', 'census', 'show', 'default', 'users'])
    expect(shown.stdout).toMatch(/\nVERSION +WRAPPED KEYS\n1 +3\n/u)
    await space.ask(['kms', 'rotate', 'default'])
    const check = await space.ask(['kms', 'versions', 'check', 'default', '1', '--json'])
    expect(JSON.parse(check.stdout)).toMatchObject({ verdict: 'unsafe' })
    expect(check.stdout).toContain('users holds 3 wrapped keys: rewrap them first')
    const said = await json(space, 'census', 'take', 'default', 'users', '--count', '1=0', '--count', '2=7')
    expect(said).toMatchObject({
      counts: [
        { version: 1, wrapped_keys: 0 },
        { version: 2, wrapped_keys: 7 },
      ],
    })
    expect(await json(space, 'census', 'take', 'default', 'users', '--none')).toMatchObject({ counts: [] })
    await space.ask(['kms', 'principals', 'create', 'nightly'])
    expect(await json(space, 'census', 'assign', 'default', 'users', '--principal', 'nightly')).toMatchObject(
      { counts: [], registered_by: { principal: 'nightly' } },
    )
    expect((await space.ask(['kms', 'census', 'assign', 'default', 'users'])).code).toBe(2)
    expect(await json(space, 'census', 'remove', 'default', 'users')).toEqual({ removed: 'users' })
  })

  test('has second names, and goes from service to service', async () => {
    await using space = await ServiceWorkspace.create()
    expect(await json(space, 'aliases', 'set', 'now', 'default')).toMatchObject({
      alias: 'now',
      key: 'default',
    })
    const encrypted = await space.ask(['encrypt', '--recipient', 'kms:now'], { stdin: 'hello' })
    expect((await space.ask(['decrypt'], { stdin: encrypted.stdoutBytes })).stdout).toBe('hello')
    expect((await space.ask(['kms', 'aliases'])).stdout).toMatch(/^ALIAS +KEY +CHANGED\nnow +default /u)
    await space.ask(['kms', 'aliases', 'remove', 'now'])
    expect(problem(await space.ask(['kms', 'aliases', 'remove', 'now']))).toMatch(/^2 .*no alias now/u)

    const mine = await space.ask(['keygen', '-o', 'mine.key'])
    expect(mine.code, problem(mine)).toBe(0)
    const imported = await json(space, 'keys', 'import', 'mine', '--identity', 'mine.key', '--for', 'default')
    expect(imported).toMatchObject({ key: 'mine', imported: true, exportable: false, exported_at: null })
    const recipient = /lhrecipient1-[\w-]+/u.exec(mine.stdout + mine.stderr)?.[0] ?? ''
    expect(problem(await space.ask(['kms', 'keys', 'export', 'mine', '-r', recipient, '-o', 'x']))).toMatch(
      /^2 .*not exportable/u,
    )
    await json(space, 'keys', 'update', 'mine', '--exportable')
    const exported = await json(space, 'keys', 'export', 'mine', '-r', recipient, '-o', 'mine.lhx')
    expect(exported).toMatchObject({ key: 'mine', versions: [{ version: 1, state: 'primary' }] })
    expect(JSON.stringify(exported)).not.toContain('package')
    expect(await json(space, 'keys', 'show', 'mine')).toMatchObject({
      exported_at: expect.any(String) as string,
    })
  })

  test('is told by a clock', async () => {
    await using space = await ServiceWorkspace.create()
    expect(await json(space, 'clock')).toMatchObject({ jump: null })
    expect(await json(space, 'clock', 'accept')).toMatchObject({ jump: null })
    expect((await space.ask(['kms', 'keys', 'usage', 'default'])).stdout).toMatch(/^VERSION +30 DAYS /u)
  })

  test('wrong calls are exit 2', async () => {
    await using space = await ServiceWorkspace.create()
    const ask = async (...argv: string[]) => problem(await space.ask(['kms', ...argv]))
    expect(await ask('keys', 'update', 'default')).toContain('2 longhold: error: nothing is to be changed')
    expect(await ask('keys', 'update', 'default', '--enable', '--disable')).toContain('2 longhold: error: ')
    expect(await ask('keys', 'create', 'x', '--rotate-every', '90')).toContain('not a span of time: 90')
    expect(await ask('keys', 'create', 'x', '--label', 'x')).toContain('not a label: x')
    expect(await ask('versions', 'disable', 'default', 'one')).toContain('not a version: one')
    expect(await ask('versions', 'disable', 'default', '1')).toMatch(/^2 longhold: error: .*primary/u)
    expect(await ask('census', 'take', 'default', 'users')).toContain(
      'one of --sqlite, --postgres, --keys-file, --count and --none',
    )
    expect(await ask('census', 'take', 'default', 'users', '--count', '1')).toContain('not a count: 1')
    expect(await ask('keys', 'import', 'x')).toContain('one of --package and --identity is needed')
  })
})
