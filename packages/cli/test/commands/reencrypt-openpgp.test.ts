import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'

import { afterAll, describe, expect, test } from 'vitest'

import { ageEncrypt, hasAge, sshKey } from '../support/age.ts'
import { Workspace } from '../support/cli.ts'
import { GpgHome, hasGpg } from '../support/gpg.ts'
import { Directory } from '../support/migration.ts'

describe.skipIf(!hasGpg || !hasAge)('reencrypt over OpenPGP', () => {
  const directory = new Directory()
  const home = new GpgHome(directory)
  afterAll(() => {
    home[Symbol.dispose]()
    directory[Symbol.dispose]()
  })
  home.makeKey('Old', { passphrase: 'open sesame' })
  home.makeKey('Curve', { type: 'EDDSA', subkeyType: 'ECDH' })

  async function makeIdentity(space: Workspace): Promise<void> {
    await space.cli(['keygen', '--output', 'identity.txt'])
    space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
  }

  function makeLines(space: Workspace, recipient: string): void {
    const lines = [1, 2, 3].map((id) => {
      return { id, secret: home.encrypt(`secret ${id}`, [recipient], ['--armor']).toString() }
    })
    space.write('notes.ndjson', lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  }

  const target = ['notes.ndjson', '--column', 'secret', '--id', 'id']
  const keys = ['--identity', 'identity.txt', '--recipients-file', 'recipients.txt', '--execute']

  test('with a key of gpg that has a passphrase', async () => {
    using space = new Workspace()
    await makeIdentity(space)
    makeLines(space, 'Old')
    space.write('old.asc', home.exportKey('Old', { passphrase: 'open sesame', isArmored: true }).toString())
    const run = ['reencrypt', 'run', ...target, ...keys, '--private-key', 'old.asc']
    const without = await space.cli(run)
    expect(without.stderr).toMatch(
      /private key old\.asc: it is an OpenPGP key that is protected by a passphrase/,
    )
    expect(without.code).toBe(2)
    space.write('passphrase', 'open sesame\n')
    const done = await space.cli([...run, '--passphrase-file', 'passphrase'])
    expect(done.stdout + done.stderr).toMatch(/migrated +3\n/)
    const verify = await space.cli(['reencrypt', 'verify', ...target, '--identity', 'identity.txt'])
    expect(verify.stdout).toMatch(/opened +3/)
  })

  test('by gpg, whose keys are not RSA', async () => {
    using space = new Workspace()
    await makeIdentity(space)
    makeLines(space, 'Curve')
    const yaml = (settings: string) =>
      space.write('longhold.yaml', `reencrypt:\n  formats:\n    mine: { type: openpgp, ${settings} }\n`)
    const run = ['reencrypt', 'run', ...target, ...keys, '--format', 'mine']
    yaml('program: /nowhere/gpg')
    expect((await space.cli(run)).stderr).toMatch(/formats\.mine\.program: does not start/)
    yaml(`home: ${home.path}`)
    expect((await space.cli(run)).stderr).toMatch(/formats\.mine\.home: is of use to a program only/)
    yaml(`program: gpg, home: ${home.path}`)
    const done = await space.cli(run)
    expect(done.stdout + done.stderr).toMatch(/migrated +3\n/)
    const verify = await space.cli(['reencrypt', 'verify', ...target, '--identity', 'identity.txt'])
    expect(verify.stdout).toMatch(/opened +3/)
  })

  test('a tree with files of gpg and of age, of more than fits into one read', async () => {
    using space = new Workspace()
    await makeIdentity(space)
    const ssh = sshKey(directory)
    const large = randomBytes(18 * 1024 * 1024)
    mkdirSync(space.file('tree/inner'), { recursive: true })
    space.write('tree/large.gpg', home.encrypt(large, ['Old']))
    space.write('tree/inner/armored.asc', home.encrypt('text', ['Old'], ['--armor']))
    space.write('tree/inner/large.age', ageEncrypt(large, [ssh.recipient]))
    space.write('old.gpg', home.exportKey('Old', { passphrase: 'open sesame' }))
    space.write('passphrase', 'open sesame\n')
    const oldKeys = ['--private-key', 'old.gpg', '--private-key', ssh.file, '--passphrase-file', 'passphrase']
    const run = await space.cli(['reencrypt', 'run', 'tree', ...keys, ...oldKeys])
    expect(run.stdout + run.stderr).toMatch(/migrated +3\n/)
    const verify = await space.cli(['reencrypt', 'verify', 'tree', '--identity', 'identity.txt'])
    expect(verify.stdout + verify.stderr).toMatch(/opened +3/)
    expect(verify.code).toBe(0)
  })
})
