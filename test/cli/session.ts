/**
 * A terminal session, written down and played against the real program in a directory of its own.
 *
 *     # a comment; an empty line ends what a command prints
 *     $ longhold keygen -o id.txt     a command for the shell; what follows is what it prints
 *     lhrecipient1-…                  standard output; … is any text, on a line of its own any lines
 *     ! longhold: error: …            standard error
 *     [exit 2]                        the exit code, when it is not 0
 *     & longhold kms serve …          the same, left running: its first line of standard error is compared,
 *                                     the address in it is $KMS_URL from then on
 *     ^C                              sends SIGINT to what is running, which prints no more and exits with 0
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { background, shell } from './processes.ts'
import type { Background } from './processes.ts'

export interface Step {
  readonly line: number
  /** `$`, `&` or `^C`. */
  readonly kind: string
  readonly command: string
  readonly expected: readonly string[]
}

/** A step that went another way than it was written. */
export interface Difference extends Step {
  readonly actual: readonly string[]
}

export function parseSession(text: string): Step[] {
  const steps: (Step & { expected: string[] })[] = []
  let step: (Step & { expected: string[] }) | undefined
  text.split('\n').forEach((content, index) => {
    const [, kind, command] = /^([$&]) (.*)$/u.exec(content) ?? []
    if (content === '') {
      step = undefined
    } else if (kind !== undefined || content === '^C') {
      step = { line: index + 1, kind: kind ?? '^C', command: command ?? content, expected: [] }
      steps.push(step)
    } else if (step !== undefined) {
      step.expected.push(content)
    } else if (!content.startsWith('#')) {
      throw new Error(`line ${index + 1} belongs to no command`)
    }
  })
  if (steps.length === 0) throw new Error('a session without commands')
  return steps
}

/** The blocks of one kind in Markdown, all other lines empty, so that line numbers stay right. */
export function blocksOf(markdown: string, kind: string): string {
  let inside = false
  return markdown
    .split('\n')
    .map((line) => {
      const isFence = line.startsWith('```')
      if (isFence) inside = line === `\`\`\`${kind}`
      return inside && !isFence ? line : ''
    })
    .join('\n')
}

/**
 * Plays a session up to the first difference. `prepare` fills the directory that it plays in, and says what else is in
 * the environment.
 */
export async function playSession(
  steps: readonly Step[],
  prepare: (directory: string) => Promise<Record<string, string> | void> = async () => {},
): Promise<Difference | undefined> {
  const root = mkdtempSync(join(tmpdir(), 'longhold-session-'))
  const bin = join(root, 'bin')
  const work = join(root, 'work')
  for (const folder of [bin, work]) mkdirSync(folder)
  const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url))
  writeFileSync(join(bin, 'longhold'), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`, {
    mode: 0o755,
  })
  const env: Record<string, string> = {
    PATH: `${bin}:/usr/bin:/bin`,
    HOME: work,
    LC_ALL: 'C',
    // A session is many short processes: what the first one compiled serves them all.
    NODE_COMPILE_CACHE: join(root, 'compiled'),
  }
  const running: Background[] = []
  try {
    Object.assign(env, await prepare(work))
    for (const step of steps) {
      const actual = await playStep(step, { cwd: work, env }, running)
      if (!matches(actual, step.expected)) return { ...step, actual }
    }
    return undefined
  } finally {
    await Promise.all(running.map((child) => child.stop()))
    rmSync(root, { recursive: true, force: true })
  }
}

async function playStep(
  { kind, command }: Step,
  place: { cwd: string; env: Record<string, string> },
  running: Background[],
): Promise<string[]> {
  if (kind === '$') return await shell(command, place)
  if (kind === '^C') return (await running.pop()?.stop()) ?? ['nothing is running']
  const child = await background(command, place)
  running.push(child)
  place.env['KMS_URL'] = /https?:\/\/\S+/u.exec(child.firstLine)?.[0] ?? ''
  return [`! ${child.firstLine}`]
}

function matches(actual: readonly string[], expected: readonly string[]): boolean {
  const pattern = expected.map((line) => (line === '…' ? '(?:.*\n)*?' : `${wildcards(line)}\n`)).join('')
  return new RegExp(`^${pattern}$`, 'u').test(actual.map((line) => `${line}\n`).join(''))
}

function wildcards(line: string): string {
  return line
    .split('…')
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, String.raw`\$&`))
    .join('.*')
}
