/** Real shells with somebody who types: what a line has become when its Tab has done its work. */

import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

import type { Workspace } from './cli.ts'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** Whether the shell is on this machine; if not, what a person could do. */
export function missingShell(shell: Shell): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, shell), constants.X_OK)
      return undefined
    } catch {
      // perhaps in the next one
    }
  }
  return `${shell} is not installed here; Debian and Homebrew have it under that name`
}

/**
 * Types each line behind `longhold `, a Tab and Enter, in a directory where the shell's script was sourced.
 *
 * @param script A file in the directory.
 * @returns The arguments that longhold was called with, line by line.
 */
export async function typeInto(
  shell: Shell,
  { path }: Workspace,
  { script, lines }: { readonly script: string; readonly lines: readonly string[] },
): Promise<string[][]> {
  const answers = await terminals[shell](path, script, lines)
  return answers
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(1, -1).split('><'))
}

type TypeInto = (path: string, script: string, lines: readonly string[]) => Promise<string>

/** Stands in for the command line: writes what it is called with. */
const standIn = `longhold() { printf '<%s>' "$@"; echo; }`

const terminals: Readonly<Record<Shell, TypeInto>> = {
  /** With a pipe for standard input readline reads it all the same. */
  bash: (path, script, lines) =>
    run(
      ['bash', '--norc', '--noprofile', '-i'],
      path,
      [`source ./${script}; ${standIn}`, ...lines.map((line) => `longhold ${line}\t`), 'exit', ''].join('\n'),
    ),

  /** zsh edits lines on a terminal alone, and brings one. */
  zsh: async (path, script, lines) => {
    const typed = [
      `PROMPT=; autoload -Uz compinit; compinit -u -D; source ./${script}; ${standIn}; exec 3>.answers`,
      ...lines.map((line) => `longhold ${line}\t >&3`),
      'exit',
    ]
    const inTerminal = `zmodload zsh/zpty && zpty here zsh -f -i && zpty -w here "$(<&0)" &&
      while zpty -r here seen; do :; done; cat .answers`
    return await run(['zsh', '-f', '-c', inTerminal], path, typed.join('\n'))
  },

  /** Answers by itself what it would complete; a line with one answer becomes that. */
  fish: async (path, script, lines) => {
    const asked = lines.map(
      (line) => `echo "= "(complete -C ${quoted(`longhold ${line}`)} | string join '|')`,
    )
    const said = await run(
      ['fish', '--no-config', '-c', [`source ./${script}`, ...asked].join('\n')],
      path,
      '',
    )
    return said
      .trimEnd()
      .split('\n')
      .map((answer, at) => {
        const words = (lines[at] ?? '').split(' ')
        const found = answer.slice(2).split('|')
        const [completed = ''] = (found.length === 1 ? found[0] : undefined)?.split('\t') ?? []
        return [...words.slice(0, -1), completed === '' ? (words.at(-1) ?? '') : completed]
      })
      .map((words) => `<${words.join('><')}>`)
      .join('\n')
  },
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`\'`)}'`
}

/** In a session of its own, so that no shell takes the terminal the tests run in. */
async function run([command = '', ...args]: readonly string[], path: string, input: string): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: path, TERM: 'dumb', INPUTRC: '/dev/null', LC_ALL: 'C.UTF-8' }
  const child = spawn(command, args, { cwd: path, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${errors}`)
  return output
}
