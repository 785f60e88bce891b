import { readdirSync, statSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { Typed } from '../support/cli.ts'
import type { CliResult } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

const passphrase = 'correct horse battery'

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

/** What a command answered with `--json`. */
async function json(space: ServiceWorkspace, ...argv: string[]) {
  const result = await space.ask([...argv, '--json'])
  if (result.code !== 0) throw new Error(problem(result))
  return JSON.parse(result.stdout)
}

async function kinds(space: ServiceWorkspace): Promise<string[]> {
  const { slots } = await json(space, 'kms', 'slots')
  return slots.map(({ kind }: { kind: string }) => kind).toSorted()
}

describe('longhold kms slots', () => {
  test('adds a passphrase and shares, without the key file the service is opened by either', async () => {
    await using space = await ServiceWorkspace.create()
    const { stdoutBytes } = await space.ask(['encrypt'], { stdin: 'hello' })
    space.write('passphrase.txt', `${passphrase}\n`)
    const add = ['kms', 'slots', 'add', 'passphrase', '--label', 'the safe']
    expect((await space.ask([...add, '--passphrase-file', 'passphrase.txt'])).code).toBe(0)
    const shares = ['--threshold', '2', '--count', '3', '--shares-dir', 'shares']
    const added = await space.ask(['kms', 'slots', 'add', 'shares', ...shares])
    expect(problem(added)).toBe(
      '0 longhold: hint: give each file of shares to another person, and keep none here\n',
    )
    expect(readdirSync(space.file('shares'))).toEqual(['share-1.txt', 'share-2.txt', 'share-3.txt'])
    expect(statSync(space.file('shares/share-1.txt')).mode & 0o777).toBe(0o600)
    const [keyFile] = (await json(space, 'kms', 'slots')).slots.filter(
      ({ kind }: { kind: string }) => kind === 'key-file',
    )
    const removed = await space.ask(['kms', 'slots', 'remove', keyFile.slot])
    expect(problem(removed)).toMatch(/^0 .*no revocation.*\n.*rotate-root/u)
    expect(await kinds(space)).toEqual(['passphrase', 'shares'])

    await space.stop()
    await space.start()
    expect(await json(space, 'kms', 'seal-status')).toEqual({
      sealed: true,
      initialised: true,
      kinds: ['passphrase', 'shares'],
      shares: null,
    })
    expect(problem(await space.ask(['decrypt'], { stdin: stdoutBytes }))).toMatch(/^4 .*\(sealed\)/u)
    expect(problem(await space.cli(['kms', 'unseal']))).toContain('2 longhold: error: there is no terminal')
    const unseal = ['kms', 'unseal', '--share-file']
    expect((await space.cli([...unseal, 'shares/share-3.txt'])).stdout).toBe(
      'sealed: 1 of 2 shares are there\n',
    )
    expect((await space.cli([...unseal, 'shares/share-1.txt'])).stdout).toBe('unsealed\n')
    expect((await space.ask(['decrypt'], { stdin: stdoutBytes })).stdout).toBe('hello')

    expect((await space.ask(['kms', 'seal'])).stdout).toBe('sealed: opened by passphrase or shares\n')
    expect(problem(await space.ask(['kms', 'keys']))).toMatch(/^4 .*\(sealed\)/u)
    expect((await space.cli(['kms', 'unseal', '--passphrase-file', 'passphrase.txt'])).stdout).toBe(
      'unsealed\n',
    )
    expect((await space.ask(['decrypt'], { stdin: stdoutBytes })).stdout).toBe('hello')
  }, 30_000)

  test('adds a key file, which is made here and opens', async () => {
    await using space = await ServiceWorkspace.create()
    await space.ask(['kms', 'slots', 'add', 'key-file', '--key-file', 'second.key'])
    expect(space.bytes('second.key')).toHaveLength(32)
    await space.ask(['kms', 'seal'])
    const wrong = space.write('wrong.key', new Uint8Array(32))
    expect(problem(await space.cli(['kms', 'unseal', '--key-file', wrong]))).toMatch(
      /^2 longhold: error: .*admin\.sock refuses: .*not the key file of this database/u,
    )
    expect(problem(await space.cli(['kms', 'unseal', '--key-file', 'second.key']))).toMatch(
      /^4 longhold: error: .*the attempts before were wrong/u,
    )
  })

  test('asks for the passphrase at the terminal, and shows nothing of it', async () => {
    await using space = await ServiceWorkspace.create()
    const twice = new Typed(`${passphrase}\r`, `${passphrase}\r`)
    expect((await space.ask(['kms', 'slots', 'add', 'passphrase'], { typed: twice })).code).toBe(0)
    await space.ask(['kms', 'seal'])
    const typed = new Typed(`${passphrase}\r`)
    expect((await space.cli(['kms', 'unseal'], { typed })).stdout).toBe('unsealed\n')
    expect(typed.shown).toBe('Passphrase: \n')
    // Nobody is asked where there is nothing to open.
    expect((await space.cli(['kms', 'unseal'])).stdout).toBe('unsealed\n')
  })

  test('wrong calls are exit 2, and leave nothing', async () => {
    await using space = await ServiceWorkspace.create()
    const add = (...argv: string[]) => space.ask(['kms', 'slots', 'add', ...argv]).then(problem)
    expect(await add('shares')).toMatch(/^2 .*three numbers and a place/u)
    expect(await add('shares', '--threshold', '3', '--count', '2', '--shares-dir', 'shares')).toMatch(/^2 /u)
    expect(await add('passphrase', '--key-file', 'x')).toContain('takes no --key-file')
    expect(await add('key-file')).toMatch(/^2 /u)
    space.write('short.txt', 'short\n')
    expect(await add('passphrase', '--passphrase-file', 'short.txt')).toMatch(
      /^2 [^]*at least 12 characters/u,
    )
    expect(await add('key-service')).toMatch(/^4 .*slot_unavailable/u)
    expect(await add('thumb')).toMatch(/^2 /u)
    expect(await kinds(space)).toEqual(['key-file'])
    expect(space.list()).not.toContain('shares')
    const [{ slot }] = (await json(space, 'kms', 'slots')).slots
    expect(problem(await space.ask(['kms', 'slots', 'remove', slot]))).toMatch(/^2 .*at least 1/u)
  })
})

describe('longhold kms rotate-root', () => {
  test('replaces the root key, and everything opens as before', async () => {
    await using space = await ServiceWorkspace.create()
    const { stdoutBytes } = await space.ask(['encrypt'], { stdin: 'hello' })
    expect(await json(space, 'kms', 'rotate-root')).toEqual({
      root_version: 2,
      next_root_version: null,
      rows_left: 0,
    })
    expect((await json(space, 'kms', 'slots')).slots).toMatchObject([{ root_version: 2 }])
    await space.stop()
    await space.start()
    expect((await space.ask(['decrypt'], { stdin: stdoutBytes })).stdout).toBe('hello')
  })
})

describe('longhold kms init', () => {
  test('for production begins with a token for one use, and with no key before two slots', async () => {
    await using space = new ServiceWorkspace()
    const data = ['--data-dir', 'kms']
    const made = await space.cli(['kms', 'init', '--production', ...data])
    expect(problem(made)).toMatch(/^0 longhold: hint: /u)
    await space.start(...data)
    const token = (file: string) => ['--kms-token-file', file]
    const create = ['kms', 'tokens', 'create', 'admin', '-p', 'all', ...token('kms/bootstrap.token')]
    expect((await space.ask([...create, '-o', 'admin.token'])).code).toBe(0)
    expect(problem(await space.ask([...create, '-o', 'second.token']))).toMatch(
      /^4 .*does not accept the token/u,
    )
    const key = ['kms', 'keys', 'create', 'first', ...token('admin.token')]
    expect(problem(await space.ask(key))).toMatch(/^2 .*1 slot of the 2/u)
    const second = ['kms', 'slots', 'add', 'key-file', '--key-file', 'second.key', ...token('admin.token')]
    expect((await space.ask(second)).code).toBe(0)
    expect((await space.ask(key)).code).toBe(0)
  })
})
