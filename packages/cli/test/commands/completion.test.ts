import { mkdirSync } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'

import { describe, expect, test } from 'vitest'

import { allCommands, byValueName, completionTree } from '../../src/commands/completion-tree.ts'
import { createProgram } from '../../src/program.ts'
import { Terminal } from '../../src/shell/terminal.ts'
import { Workspace } from '../support/cli.ts'
import { missingShell, shells, typeInto } from '../support/shells.ts'

/** For commands that are looked at and not run. */
const terminal = new Terminal(
  {
    stdin: Readable.from([]),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: {},
    cwd: '.',
    signal: new AbortController().signal,
  },
  { json: false, configPath: undefined },
)

/** What is typed before Tab, and what its last word becomes; without that it stays as it is. */
const lines: readonly (readonly [typed: string, completed?: string])[] = [
  ['enc', 'encrypt'],
  ['kms ke', 'keys'],
  ['kms keys cr', 'create'],
  ['kms tokens rev', 'revoke'],
  ['completion fi', 'fish'],
  ['help enc', 'encrypt'],
  ['kms help ser', 'serve'],
  ['--js', '--json'],
  ['--json can', 'can-open'],
  ['--config report.txt kms tok', 'tokens'],
  ['encrypt --recipients', '--recipients-file'],
  ['reencrypt run --data-key-h', '--data-key-hours'],
  ['decrypt --js', '--json'],
  ['keygen --suite mlkem1', 'mlkem1024-p384'],
  ['kms tokens create web -p rew', 'rewrap'],
  // Files, wherever one is named.
  ['encrypt rep', 'report.txt'],
  ['inspect report.txt a', 'a b.txt'],
  ['encrypt --output rep', 'report.txt'],
  ['encrypt -o rep', 'report.txt'],
  ['decrypt --output=rep', '--output=report.txt'],
  ['--config rep', 'report.txt'],
  ['rewrap --sqlite rep', 'report.txt'],
  ['reencrypt plan rep', 'report.txt'],
  ['encrypt -- rep', 'report.txt'],
  ['decrypt data/ins', 'data/inside.lh'],
  ['kms serve --data-dir dat', 'data'],
  // And nowhere else.
  ['encrypt --context rep'],
  ['encrypt --recipient rep'],
  ['kms keys create rep'],
  ['kms serve --data-dir rep'],
  ['init rep'],
  // The value of an option is no command.
  ['reencrypt run --table kms rep', 'report.txt'],
]

describe.for(shells)('in %s', (shell) => {
  test('Tab completes commands, options, what they take, and files', async ({ skip }) => {
    const reason = missingShell(shell)
    if (reason !== undefined) skip(reason)
    using home = new Workspace()
    home.write('script', (await home.ok(['completion', shell])).stdout)
    home.write('report.txt', '')
    home.write('a b.txt', '')
    mkdirSync(home.file('data'))
    home.write('data/inside.lh', '')

    const typed = lines.map(([line]) => line)
    const calls = await typeInto(shell, home, { script: 'script', lines: typed })

    expect(calls.map((words) => words.map((word) => word.replace(/\/$/u, '')))).toEqual(
      lines.map(([line, completed]) => {
        const words = line.split(' ')
        return completed === undefined ? words : [...words.slice(0, -1), completed]
      }),
    )
  })
})

test.for(shells)(
  'the script for %s knows every command and option that the help texts name',
  async (shell) => {
    using home = new Workspace()
    const { stdout: script } = await home.ok(['completion', shell])
    const words = new Set(script.split(/[^\w-]+/u))
    const unseen: string[] = []
    const visit = async (path: readonly string[]): Promise<void> => {
      const { stdout: help } = await home.ok([...path, '--help'])
      const options = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gmu)].map(([, name = '']) => name)
      const listed = /\nCommands:\n((?: .*\n)+)/u.exec(help)?.[1] ?? ''
      const commands = [...listed.matchAll(/^ {2}([a-z-]+)/gmu)].map(([, name = '']) => name)
      expect(options, path.join(' ')).toContain('--help')
      for (const name of [...options, ...commands]) {
        // fish writes long options without their hyphens
        if (!words.has(name) && !words.has(name.slice(2))) unseen.push([...path, name].join(' '))
      }
      for (const name of commands) if (name !== 'help') await visit([...path, name])
    }
    await visit([])
    expect(unseen).toEqual([])
  },
)

test('of everything that takes a value somebody has said whether it is a file', () => {
  const names = allCommands(completionTree(createProgram(terminal))).flatMap(({ options, argument }) => [
    ...options.flatMap(({ value }) => value ?? []),
    ...(argument === undefined ? [] : [argument]),
  ])
  const undecided = names.filter(
    ({ name, completes }) => typeof completes === 'string' && !(name in byValueName),
  )
  expect(names.length).toBeGreaterThan(50)
  expect([...new Set(undecided.map(({ name }) => name))]).toEqual([])
})

test('with --json the script is a value', async () => {
  using home = new Workspace()
  const { stdout } = await home.ok(['completion', 'bash', '--json'])
  const { stdout: text } = await home.ok(['completion', 'bash'])
  expect(JSON.parse(stdout)).toEqual({ shell: 'bash', script: text })
})

test('another shell is a wrong call, which names those there are', async () => {
  using home = new Workspace()
  const { code, stdout, stderr } = await home.cli(['completion', 'tcsh'])
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toContain('bash, zsh, fish')
})
