import { statSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import type { CliResult } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

const zeros = '0'.repeat(64)

/** A service whose backups are for `offline.key`. */
async function withRecipients(): Promise<ServiceWorkspace> {
  const space = new ServiceWorkspace()
  await space.ok(['init'])
  const { stdout } = await space.ok(['keygen', '-o', 'offline.key'])
  space.write('recipients.txt', stdout)
  await space.start('--backup-recipients', 'recipients.txt')
  return space
}

async function json(space: ServiceWorkspace, ...argv: string[]): Promise<Record<string, unknown>> {
  const result = await space.ask([...argv, '--json'])
  expect(result.code, result.stderr).toBe(0)
  return JSON.parse(result.stdout) as Record<string, unknown>
}

const checking = (print: string) => [
  'kms',
  'restore',
  '--check',
  '--backup',
  'kms.lhb',
  '-i',
  'offline.key',
  '--fingerprint',
  print,
]

/** What the backup says of itself to somebody who pins another one. */
async function printOf(space: ServiceWorkspace): Promise<string> {
  const { stderr } = await space.cli(checking(zeros))
  return /whose fingerprint is ((?:[0-9a-f]{4} ?){16})/u.exec(stderr)?.[1]?.trim() ?? ''
}

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

describe('longhold kms backup', () => {
  test('writes a file that nobody else reads, and tells the service', async () => {
    await using space = await withRecipients()
    const made = await json(space, 'kms', 'backup', '--output', 'kms.lhb')
    expect(made).toMatchObject({ output: 'kms.lhb', confirmed_at: expect.any(String) as string })
    expect(statSync(space.file('kms.lhb')).mode & 0o777).toBe(0o600)
    expect(statSync(space.file('kms.lhb')).size).toBe(made['bytes'])
    const again = await space.ask(['kms', 'backup', '-o', 'kms.lhb'])
    expect(problem(again)).toMatch(/^2 longhold: error: kms\.lhb exists already/u)

    const id = String(made['backup'])
    const list = await space.ask(['kms', 'backup', 'list'])
    expect(list.stdout).toMatch(/^BACKUP +TAKEN +EXPIRES +BYTES +WHERE\n[0-9a-f]{32} .* handed out\n$/u)
    expect((await space.ask(['kms', 'backup', 'confirm', id, 'kms.lhb'])).code).toBe(0)
    space.write('other', 'something')
    const other = await space.ask(['kms', 'backup', 'confirm', id, 'other'])
    expect(problem(other)).toMatch(/^2 .*not the backup as it was handed out/su)
    expect((await space.ask(['kms', 'backup', 'remove', id])).stdout).toContain('not on record any more')
    expect((await space.ask(['kms', 'backup', 'list'])).stdout).toBe('no backup is on record\n')
  })

  test('goes into a file or the folder of the service, and needs recipients', async () => {
    await using space = await withRecipients()
    expect(problem(await space.ask(['kms', 'backup']))).toMatch(/^2 .*--output FILE/su)
    expect(problem(await space.ask(['kms', 'backup', '-o', '-']))).toMatch(/^2 .*--output FILE/su)
    expect(problem(await space.ask(['kms', 'backup', '--to-folder']))).toMatch(/^2 .*no folder for backups/su)
    await using bare = await ServiceWorkspace.create()
    const refused = await bare.ask(['kms', 'backup', '-o', 'kms.lhb'])
    expect(problem(refused)).toMatch(/^2 .*no recipients of backups are configured/su)
    expect(() => statSync(bare.file('kms.lhb'))).toThrow()
  })
})

describe('longhold kms restore', () => {
  test('checks a backup, and says what it holds', async () => {
    await using space = await withRecipients()
    await space.ask(['kms', 'backup', '-o', 'kms.lhb'])
    const print = await printOf(space)
    const checked = await space.cli(checking(print))
    expect(problem(checked)).toBe('0 ')
    expect(checked.stdout).toMatch(/holds +1 key, 1 version, \d+ entries of the log\n/u)
    expect(await json(space, ...checking(print))).toMatchObject({ keys: 1, fingerprint: print })
  })

  test('makes a service of it that has keys and one token', async () => {
    await using space = await withRecipients()
    space.write('note.txt', 'hello')
    await space.ask(['encrypt', '-o', 'note.lh', 'note.txt'])
    await space.ask(['kms', 'backup', '-o', 'kms.lhb'])
    const print = await printOf(space)
    await space.stop()
    const argv = ['kms', 'restore', '--backup', 'kms.lhb', '-i', 'offline.key', '--fingerprint', print]
    const there = await space.cli(argv)
    expect(problem(there)).toMatch(/^2 .*there is a key service in this database already/su)
    const made = await json(space, ...argv, '--data-dir', 'new')
    expect(made).toMatchObject({
      keys: 1,
      tokens_ended: 1,
      token_file: space.file('new/bootstrap.token'),
      key_file: space.file('new/root.key'),
    })
    expect(statSync(space.file('new/bootstrap.token')).mode & 0o777).toBe(0o600)
    await space.start('--data-dir', 'new')
    const old = await space.ask(['kms', 'keys'])
    expect(problem(old)).toMatch(/does not accept the token/u)
    const token = ['--kms-token-file', 'new/bootstrap.token']
    const person = await space.ask(['kms', 'tokens', 'create', 'person', '-p', 'all', ...token])
    space.write('person.token', person.stdout)
    const read = await space.ask(['decrypt', 'note.lh', '--kms-token-file', 'person.token'])
    expect([read.stdout, read.code]).toEqual(['hello', 0])
  })

  test('refuses what it is not given, and a file that is no backup', async () => {
    await using space = await withRecipients()
    await space.ask(['kms', 'backup', '-o', 'kms.lhb'])
    const base = ['kms', 'restore', '--backup', 'kms.lhb', '--data-dir', 'new']
    expect(problem(await space.cli(base))).toMatch(/^2 .*--fingerprint/su)
    expect(problem(await space.cli([...base, '--fingerprint', zeros]))).toMatch(/^2 .*--identity FILE/su)
    const wrong = await space.cli([...base, '--fingerprint', 'abc', '-i', 'offline.key'])
    expect(problem(wrong)).toMatch(/^2 .*64 hexadecimal digits/su)
    const service = await space.cli([...base, '--fingerprint', zeros, '-i', 'offline.key'])
    expect(problem(service)).toMatch(/^2 .*that of another service/su)
    await space.ok(['keygen', '-o', 'other.key'])
    const identity = await space.cli([...base, '--fingerprint', zeros, '-i', 'other.key'])
    expect(problem(identity)).toMatch(/^2 .*not made for this identity/su)
    space.write('kms.lhb', 'no backup')
    const junk = await space.cli([...base, '--fingerprint', zeros, '-i', 'offline.key'])
    expect(problem(junk)).toMatch(/^2 .*it is no backup of a key service/su)
    expect(() => statSync(space.file('new'))).toThrow()
  })
})
