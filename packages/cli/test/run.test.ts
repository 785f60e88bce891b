import { chmodSync } from 'node:fs'
import { PassThrough, Readable, Writable } from 'node:stream'

import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { describe, expect, test } from 'vitest'

import { createProgram } from '../src/program.ts'
import { Terminal } from '../src/shell/terminal.ts'
import { Workspace } from './support/cli.ts'

describe('a wrong call is exit 2, and nothing is done', () => {
  test.each([
    { argv: ['encryt'], error: "unknown command 'encryt'", hint: 'did you mean encrypt?' },
    {
      argv: ['encrypt', '--recipiet', 'x'],
      error: "unknown option '--recipiet'",
      hint: 'did you mean --recipient?',
    },
    { argv: ['decrypt', 'a', 'b'], error: 'too many arguments', hint: 'see longhold decrypt --help' },
    {
      argv: ['decrypt', '--identity'],
      error: "option '-i, --identity <file>' argument missing",
      hint: 'see longhold',
    },
    { argv: ['kms', 'rotat'], error: "unknown command 'rotat'", hint: 'did you mean rotate?' },
  ])('$argv', async ({ argv, error, hint }) => {
    using space = new Workspace()
    const result = await space.cli(argv)
    expect(result.stderr).toContain(`longhold: error: ${error}`)
    expect(result.stderr).toContain(`longhold: hint: ${hint}`)
    expect(result).toMatchObject({ code: 2, stdout: '' })
  })

  test('no command at all prints the help, on standard error', async () => {
    using space = new Workspace()
    const result = await space.cli([])
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toContain('Usage: longhold')
  })

  test('with --json an error is one line of JSON on standard error', async () => {
    using space = new Workspace()
    for (const argv of [
      ['encryt', '--json'],
      ['--json', 'decrypt', 'missing'],
      ['encrypt', '--json', '--jsn'],
    ]) {
      const result = await space.cli(argv)
      expect(result).toMatchObject({ code: 2, stdout: '' })
      expect(JSON.parse(result.stderr)).toMatchObject({
        error: { exit_code: 2, message: expect.any(String) },
      })
    }
  })

  test('with --json every line on standard error is JSON, warnings too', async () => {
    using space = new Workspace()
    const { stdout } = await space.ok(['keygen', '-o', 'id.txt'])
    chmodSync(space.file('id.txt'), 0o644)
    await space.ok(['encrypt', '-r', stdout.trim(), '-o', 'a.lh'])
    const { stderr } = await space.cli(['decrypt', 'a.lh', '-i', 'id.txt', '-c', 'a=b', '-o', 'x', '--json'])
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toMatchObject([
      { warning: { message: 'id.txt can be read by others (mode 0644)', hint: 'chmod 600 id.txt' } },
      { error: { code: 'cannot_open', exit_code: 1 } },
    ])
  })

  test('--json after -- is an argument like any other', async () => {
    using space = new Workspace()
    expect((await space.cli(['inspect', '--', '--json'])).stderr).toMatch(
      /^longhold: error: cannot read --json: /u,
    )
  })
})

test('--version prints the version of the package', async () => {
  using space = new Workspace()
  const result = await space.cli(['--version'])
  expect(result.stdout).toMatch(/^\d+\.\d+\.\d+\n$/u)
  expect(result.code).toBe(0)
})

/** Every command and subcommand, as the words that call it. */
function allCommands(): string[][] {
  const stream = new PassThrough()
  const io = { stdin: stream, stdout: stream, stderr: stream, env: {}, cwd: '/', signal: AbortSignal.abort() }
  const words = (command: CommandUnknownOpts, before: string[]): string[][] => [
    before,
    ...command.commands.flatMap((child) => words(child, [...before, child.name()])),
  ]
  return words(createProgram(new Terminal(io, { json: false, configPath: undefined })), [])
}

test('every command has a help text with an example, and takes --json', async () => {
  using space = new Workspace()
  const commands = allCommands()
  const names = commands.map((words) => words.join(' '))
  expect(names).toEqual(
    expect.arrayContaining(['init', 'keygen', 'kms serve', 'kms keys create', 'kms rotate']),
  )
  for (const words of commands) {
    const result = await space.cli([...words, '--help'])
    expect(result.code).toBe(0)
    expect(result.stdout, words.join(' ')).toMatch(/Examples?:\n {2}\$ .*longhold/u)
    expect(result.stdout, words.join(' ')).toContain('--json')
  }
})

test('a closed standard output ends the command quietly with exit 4', async () => {
  using space = new Workspace()
  const closed = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
  })
  await space.ok(['keygen', '-o', 'id.txt'])
  expect(await space.cli(['keygen', '-y', 'id.txt'], { stdout: closed })).toMatchObject({
    code: 4,
    stderr: '',
  })
})

test('an interrupted command ends with exit 4 and leaves no file behind', async () => {
  using space = new Workspace()
  const { stdout } = await space.ok(['keygen', '-o', 'id.txt'])
  const result = await space.cli(['encrypt', '-r', stdout.trim(), '-o', 'out.lh'], {
    stdin: 'secret',
    signal: AbortSignal.abort(),
  })
  expect(result.code).toBe(4)
  expect(result.stderr).toContain('longhold: error: interrupted')
  expect(space.list()).toEqual(['id.txt'])
})

test('waiting for input that never comes can be interrupted', async () => {
  using space = new Workspace()
  const { stdout } = await space.ok(['keygen', '-o', 'id.txt'])
  const interrupt = new AbortController()
  const stdin = new Readable({ read: () => interrupt.abort() })
  const result = await space.cli(['encrypt', '-r', stdout.trim()], { stdin, signal: interrupt.signal })
  expect(result.code).toBe(4)
  expect(result.stderr).toContain('longhold: error: interrupted')
})

test('an internal error is exit 3, asks for a report, and shows its stack only when asked', async () => {
  using space = new Workspace()
  const broken = new Writable({ write: (_chunk, _encoding, done) => done(new Error('the stream broke')) })
  await space.ok(['keygen', '-o', 'id.txt'])
  const plain = await space.cli(['keygen', '-y', 'id.txt'], { stdout: broken })
  expect(plain.code).toBe(3)
  expect(plain.stderr).toContain('longhold: error: internal error (Error)\n')
  expect(plain.stderr).toContain('please report')
  expect(plain.stderr).not.toContain('the stream broke')
  const again = new Writable({ write: (_chunk, _encoding, done) => done(new Error('the stream broke')) })
  const debug = await space.cli(['keygen', '-y', 'id.txt'], { stdout: again, env: { LONGHOLD_DEBUG: '1' } })
  expect(debug.stderr).toMatch(/debug: Error: the stream broke\nlonghold: debug: {5}at /u)
})

test('control characters in a file name do not reach the terminal', async () => {
  using space = new Workspace()
  const { stderr } = await space.cli(['inspect', 'a\u001b[31mb'])
  expect(stderr).toContain('cannot read a\\u{1b}[31mb')
  expect(stderr).not.toContain('\u001b')
})
