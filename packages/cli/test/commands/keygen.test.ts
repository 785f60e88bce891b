import { statSync } from 'node:fs'

import { parseIdentity, parseRecipient } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

describe('longhold keygen', () => {
  test('writes an identity only its owner can read, and prints the recipient', async () => {
    using space = new Workspace()
    const result = await space.cli(['keygen', '--output', 'id.txt'])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(statSync(space.file('id.txt')).mode & 0o777).toBe(0o600)
    const [created, comment, identity, end] = space.read('id.txt').split('\n')
    expect(created).toMatch(/^# created: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/u)
    expect(comment).toBe(`# recipient: ${result.stdout.trim()}`)
    expect(parseIdentity(identity ?? '').recipient.toString()).toBe(result.stdout.trim())
    expect(end).toBe('')
    expect(space.list()).toEqual(['id.txt'])
  })

  test('never replaces a file', async () => {
    using space = new Workspace()
    space.write('id.txt', 'precious')
    const result = await space.cli(['keygen', '-o', 'id.txt'])
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toContain('id.txt exists already and is not overwritten')
    expect(space.read('id.txt')).toBe('precious')
    expect((await space.cli(['keygen', '--force', '-o', 'id.txt'])).stderr).toContain(
      "unknown option '--force'",
    )
  })

  test('goes to a pipe, but not to a terminal unless - says so', async () => {
    using space = new Workspace()
    const piped = await space.cli(['keygen'])
    expect(piped.stdout).toMatch(/^# created.*\n# recipient.*\nLONGHOLD-IDENTITY-1-.*\n$/u)
    expect(piped.stderr).toMatch(/^longhold: recipient: lhrecipient1-/u)
    const shown = await space.cli(['keygen'], { tty: ['stdout'] })
    expect(shown).toMatchObject({ code: 2, stdout: '' })
    expect(shown.stderr).toContain('hint: longhold keygen -o identity.txt')
    expect((await space.cli(['keygen', '-o', '-'], { tty: ['stdout'] })).stdout).toContain(
      'LONGHOLD-IDENTITY-1-',
    )
  })

  test('--json names the file, and holds the identity only when there is no file', async () => {
    using space = new Workspace()
    const toFile = JSON.parse((await space.ok(['keygen', '--json', '-o', 'id.txt'])).stdout)
    expect(Object.keys(toFile)).toEqual(['output', 'recipient', 'recipient_id', 'protected'])
    const toPipe = JSON.parse((await space.ok(['keygen', '--json'])).stdout)
    expect(parseIdentity(toPipe.identity).recipient.toString()).toBe(toPipe.recipient)
  })

  test('--to-recipient shows the recipients of a file again', async () => {
    using space = new Workspace()
    const { stdout: first } = await space.ok(['keygen', '-o', 'a.txt'])
    const { stdout: second } = await space.ok(['keygen', '-o', 'b.txt'])
    space.write('both.txt', `${space.read('a.txt')}\n${space.read('b.txt')}`)
    const { stdout } = await space.ok(['keygen', '--to-recipient', 'both.txt'])
    expect(stdout).toBe(first + second)
    expect(() => parseRecipient(first.trim())).not.toThrow()
  })

  test('a directory that does not exist, and one that is the output, are named', async () => {
    using space = new Workspace()
    expect((await space.cli(['keygen', '-o', 'no/id.txt'])).stderr).toContain(
      'cannot write no/id.txt: no such file or directory',
    )
    expect((await space.cli(['keygen', '-o', '.'])).stderr).toContain('. is a directory')
  })
})
