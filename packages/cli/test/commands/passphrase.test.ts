import { chmodSync, statSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { Typed, Workspace } from '../support/cli.ts'
import type { CliResult } from '../support/cli.ts'

const words = 'correct horse battery staple'

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

/** A directory with `locked.txt`, an identity under `words`, which are also in `words.txt`. */
async function withLocked(): Promise<Workspace & { recipient: string }> {
  const space = new Workspace()
  space.write('words.txt', `${words}\n`)
  chmodSync(space.file('words.txt'), 0o600)
  const { stdout } = await space.ok(['keygen', '--passphrase-file', 'words.txt', '-o', 'locked.txt'])
  return Object.assign(space, { recipient: stdout.trim() })
}

describe('keygen', () => {
  test('--passphrase asks twice and shows nothing of it', async () => {
    using space = new Workspace()
    const typed = new Typed(`${words}\r`, `${words}\r`)
    const { stdout, stderr } = await space.ok(['keygen', '--passphrase', '-o', 'id'], { typed })
    expect(stdout).toMatch(/^lhrecipient1-/u)
    expect(stderr).toBe('')
    expect(typed.shown).toBe('New passphrase: \nThe same again: \n')
    expect(space.read('id')).toMatch(
      /^-----BEGIN LONGHOLD PROTECTED IDENTITY-----\nversion: 1\nkdf: argon2id memory=65536 passes=3 lanes=4\n/u,
    )
    expect(space.read('id')).not.toContain('LONGHOLD-IDENTITY-')
    expect(statSync(space.file('id')).mode & 0o777).toBe(0o600)

    const again = new Typed(`${words}\n`)
    const { stdout: shown } = await space.ok(['keygen', '-y', 'id'], { typed: again })
    expect(shown).toBe(stdout)
    expect(again.shown).toBe('Passphrase of id: \n')
  })

  test('what was typed can be corrected, and typed ahead', async () => {
    using space = new Workspace()
    const corrected = 'no\u0015sexr\u007f\u007fcret é\u0001\r'
    const made = await space.ok(['keygen', '-p', '-o', 'id'], { typed: new Typed(`${corrected}secret é\r`) })
    // The same characters, as another system composes them.
    const read = await space.ok(['keygen', '-y', 'id'], { typed: new Typed('secret e\u0301\r') })
    expect(read.stdout).toBe(made.stdout)
  })

  test.each([
    ['two that differ', ['a\r', 'b\r'], '2 longhold: error: the two passphrases differ'],
    ['an empty one', ['\r'], '2 longhold: error: an empty passphrase protects nothing'],
    ['Ctrl-C', ['abc\u0003'], '4 longhold: error: interrupted'],
    ['Ctrl-D', ['\u0004'], '2 longhold: error: no passphrase was given'],
  ])('%s', async (_, answers, said) => {
    using space = new Workspace()
    expect(
      problem(await space.cli(['keygen', '-p', '-o', 'id'], { typed: new Typed(...answers) })),
    ).toContain(said)
    expect(space.list()).toEqual([])
  })

  test('a terminal that goes away, and a signal, end the waiting', async () => {
    using space = new Workspace()
    const gone = new Typed()
    gone.input.end()
    expect(problem(await space.cli(['keygen', '-p', '-o', 'id'], { typed: gone }))).toContain(
      'the terminal went away',
    )
    const interrupt = new AbortController()
    const silent = new Typed()
    silent.input.once('resume', () => interrupt.abort())
    const result = await space.cli(['keygen', '-p', '-o', 'id'], { typed: silent, signal: interrupt.signal })
    expect(problem(result)).toContain('4 longhold: error: interrupted')
    expect(space.list()).toEqual([])
  })

  test('without a terminal it says what to do', async () => {
    using space = new Workspace()
    const result = await space.cli(['keygen', '--passphrase', '-o', 'id'])
    expect(problem(result)).toBe(
      '2 longhold: error: a passphrase is needed, and there is no terminal to ask for it\n' +
        'longhold: hint: give --passphrase-file FILE\n',
    )
  })

  test('flags that contradict each other', async () => {
    using space = await withLocked()
    for (const argv of [
      ['-p', '--passphrase-file', 'words.txt'],
      ['-y', 'locked.txt', '-p'],
      ['-y', 'locked.txt', '--protect', 'locked.txt'],
      ['--protect', 'locked.txt', '--suite', 'mlkem1024-p384'],
    ]) {
      expect(problem(await space.cli(['keygen', ...argv]))).toMatch(/^2 .*cannot be used with/u)
    }
  })

  test('a protected identity may be shown, a plain one not', async () => {
    using space = await withLocked()
    const argv = ['keygen', '--passphrase-file', 'words.txt']
    const { stdout } = await space.ok(argv, { tty: ['stdout'] })
    expect(stdout).toMatch(/^-----BEGIN LONGHOLD PROTECTED IDENTITY-----\n/u)
    const told = JSON.parse((await space.ok([...argv, '--json'])).stdout)
    expect(told.protected).toBe(true)
    expect(told.identity).toMatch(/^-----BEGIN LONGHOLD/u)
  })
})

describe('--protect', () => {
  test('makes a protected copy of what is there, and leaves that alone', async () => {
    using space = await withLocked()
    const { stdout: recipient } = await space.ok(['keygen', '-o', 'plain.txt'])
    const before = space.read('plain.txt')
    const argv = ['keygen', '--protect', 'plain.txt', '--passphrase-file', 'words.txt']
    const { stdout, stderr } = await space.ok([...argv, '-o', 'new.txt'])
    expect(stdout).toBe(recipient)
    expect(stderr).toBe('longhold: hint: plain.txt is as it was: remove it once new.txt has proven to open\n')
    expect(space.read('plain.txt')).toBe(before)
    await space.ok(['encrypt', '-r', recipient.trim(), '-o', 'x.lh'], { stdin: 'hello' })
    const opened = await space.ok(['decrypt', 'x.lh', '-i', 'new.txt', '--passphrase-file', 'words.txt'])
    expect(opened.stdout).toBe('hello')

    expect(problem(await space.cli([...argv, '-o', 'plain.txt']))).toContain('plain.txt exists already')
    expect(space.read('plain.txt')).toBe(before)
    expect(JSON.parse((await space.ok([...argv, '--json', '-o', 'newer.txt'])).stdout)).toEqual({
      output: 'newer.txt',
      protected: true,
      recipients: [recipient.trim()],
    })
  })

  test('gives a protected file another passphrase', async () => {
    using space = await withLocked()
    space.write('other.txt', 'another\r\n')
    chmodSync(space.file('other.txt'), 0o600)
    const typed = new Typed(`${words}\r`)
    const argv = ['keygen', '--protect', 'locked.txt', '--passphrase-file', 'other.txt', '-o', 'relocked.txt']
    await space.ok(argv, { typed })
    const { stdout } = await space.ok(['keygen', '-y', 'relocked.txt'], { typed: new Typed('another\r') })
    expect(stdout.trim()).toBe(space.recipient)
  })

  test('protects identities only', async () => {
    using space = await withLocked()
    space.write('notes', 'buy milk\n')
    const argv = ['keygen', '--protect', 'notes', '--passphrase-file', 'words.txt', '-o', 'out']
    expect(problem(await space.cli(argv))).toMatch(/^2 .*notes line 1/su)
    expect(space.list()).not.toContain('out')
  })
})

describe('commands that need the identity', () => {
  test('take the passphrase from the flag, the environment, longhold.yaml, or the terminal', async () => {
    using space = await withLocked()
    await space.ok(['encrypt', '-r', space.recipient, '-o', 'x.lh'], { stdin: 'hello' })
    const open = ['decrypt', 'x.lh', '-i', 'locked.txt']
    expect((await space.ok([...open, '--passphrase-file', 'words.txt'])).stdout).toBe('hello')
    expect((await space.ok(open, { env: { LONGHOLD_PASSPHRASE_FILE: 'words.txt' } })).stdout).toBe('hello')
    expect((await space.ok(open, { typed: new Typed(`${words}\r`) })).stdout).toBe('hello')
    expect(
      (await space.ok(['can-open', 'x.lh', ...open.slice(2)], { typed: new Typed(`${words}\r`) })).stdout,
    ).toContain('yes')
    space.write('longhold.yaml', 'identity: locked.txt\npassphrase-file: words.txt\n')
    expect((await space.ok(['decrypt', 'x.lh'])).stdout).toBe('hello')
    const rewrap = ['rewrap', 'x.lh', '-i', 'locked.txt', '-r', space.recipient, '-r']
    const { stdout: theirs } = await space.ok(['keygen', '-o', 'theirs.txt'])
    await space.ok([...rewrap, theirs.trim(), '--passphrase-file', 'words.txt'])
    expect((await space.ok(['decrypt', 'x.lh', '-i', 'theirs.txt'])).stdout).toBe('hello')
  })

  test('a wrong one is one clear error, and is not repeated', async () => {
    using space = await withLocked()
    await space.ok(['encrypt', '-r', space.recipient, '-o', 'x.lh'], { stdin: 'hello' })
    const typed = new Typed('something else\r')
    expect(problem(await space.cli(['decrypt', 'x.lh', '-i', 'locked.txt', '-o', 'out'], { typed }))).toBe(
      '2 longhold: error: locked.txt: wrong passphrase, or the file was altered\n' +
        'longhold: hint: try again; capitals and the layout of the keyboard matter. Should it be lost, another ' +
        'recipient has to rewrap what there is for a new identity\n',
    )
    expect(space.list()).not.toContain('out')
    const nobody = await space.cli(['decrypt', 'x.lh', '-i', 'locked.txt'])
    expect(problem(nobody)).toContain(
      'locked.txt is protected by a passphrase, and there is no terminal to ask for it',
    )
  })

  test('files that are no passphrase', async () => {
    using space = await withLocked()
    const open = (content: string) => {
      space.write('bad', content)
      chmodSync(space.file('bad'), 0o600)
      return space.cli(['keygen', '-y', 'locked.txt', '--passphrase-file', 'bad']).then(problem)
    }
    expect(await open('')).toContain('2 longhold: error: bad must hold one line, the passphrase')
    expect(await open('a\nb\n')).toContain('2 longhold: error: bad must hold one line, the passphrase')
    expect(await open('x'.repeat(5000))).toContain('too long to be a passphrase')
    chmodSync(space.file('words.txt'), 0o644)
    const { stderr } = await space.ok(['keygen', '-y', 'locked.txt', '--passphrase-file', 'words.txt'])
    expect(stderr).toContain('warning: words.txt can be read by others')
  })

  test('a protected identity given as data is called by its name', async () => {
    using space = await withLocked()
    expect(problem(await space.cli(['inspect', 'locked.txt']))).toContain(
      'an identity protected by a passphrase',
    )
  })
})
