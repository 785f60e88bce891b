/** One call of the command line, from arguments to an exit code. Tests call it in their own process. */

import type { Writable } from 'node:stream'

import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { CommanderError } from 'commander'

import { createProgram } from './program.ts'
import { CliError, codeOf, exit, fromCore, OutputClosed, stopped } from './shell/errors.ts'
import type { ExitCode } from './shell/errors.ts'
import { Terminal } from './shell/terminal.ts'
import type { Io, TerminalError } from './shell/terminal.ts'

/** Runs a command. Never throws: whatever happens becomes lines on standard error and an exit code. */
export async function run(argv: readonly string[], io: Io): Promise<ExitCode> {
  expectClosing(io.stdout)
  expectClosing(io.stderr)
  const terminal = new Terminal(io, { json: asksForJson(argv), configPath: undefined })
  const program = createProgram(terminal)
  try {
    await program.parseAsync(argv, { from: 'user' })
    return exit.done
  } catch (error) {
    return await report(terminal, program, argv, error)
  }
}

const expected = new WeakSet<Writable>()

/**
 * A closed pipe raises an event too, perhaps after the last word of a command; without a listener it would end
 * the process with a stack trace. The listener stays, once for each stream.
 */
function expectClosing(stream: Writable): void {
  if (expected.has(stream)) return
  expected.add(stream)
  stream.on('error', () => {})
}

/** Before the flags are understood, so that a misspelt one is reported in the form that was asked for. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? undefined : end).includes('--json')
}

async function report(
  terminal: Terminal,
  program: CommandUnknownOpts,
  argv: readonly string[],
  error: unknown,
): Promise<ExitCode> {
  if (error instanceof OutputClosed) return exit.stopped
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return exit.done
    // Without a command the help text was printed, which says all there is to say.
    if (error.code === 'commander.help') return exit.usage
    print(terminal, fromCommander(error, program, argv), error)
    return exit.usage
  }
  const known = await translate(terminal, error)
  if (known !== undefined) {
    print(terminal, known, error)
    return known.exitCode
  }
  print(terminal, internalError(error), error)
  return exit.internal
}

/** What was thrown where nobody waits for it, in the same words. `main` ends the process with exit code 3. */
export function reportCrash(argv: readonly string[], io: Io, error: unknown): void {
  print(new Terminal(io, { json: asksForJson(argv), configPath: undefined }), internalError(error), error)
}

/** Without the error's own text: nobody has looked whether it holds a value. */
function internalError(error: unknown): TerminalError {
  return {
    code: 'internal',
    exitCode: exit.internal,
    message: `internal error (${error instanceof Error ? error.name : typeof error})`,
    hint:
      'this is a defect of longhold: please report it, with what it prints when LONGHOLD_DEBUG=1 is set; ' +
      'read that first, it may hold values',
  }
}

async function translate(terminal: Terminal, error: unknown): Promise<CliError | undefined> {
  // Whatever an interrupted command fails of, it is the interruption that a person wants to hear of, in its own words if
  // it has some.
  const saysSo = error instanceof CliError && error.message.startsWith('interrupted')
  if (terminal.signal.aborted && isUnfinished(error) && !saysSo) {
    return stopped('interrupted', { hint: 'run the same command again to go on', cause: error })
  }
  if (error instanceof CliError) return error
  const { LongholdError } = await import('@longhold/core')
  return error instanceof LongholdError ? fromCore(error) : undefined
}

function isUnfinished(error: unknown): boolean {
  if (error instanceof CliError) return error.exitCode === exit.stopped
  return error instanceof Error && (error.name === 'AbortError' || codeOf(error) === 'unavailable')
}

function print(terminal: Terminal, known: TerminalError, error: unknown): void {
  terminal.error(known)
  if (terminal.io.env['LONGHOLD_DEBUG'] === undefined) return
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    terminal.note((cause.stack ?? cause.message).replaceAll(/^/gmu, 'debug: '))
  }
}

/** commander writes `error: unknown option '--jsn'` and, on a line of its own, `(Did you mean --json?)`. */
function fromCommander(
  error: CommanderError,
  program: CommandUnknownOpts,
  argv: readonly string[],
): TerminalError {
  const [first = '', ...rest] = error.message.split('\n')
  const guess = rest.find((line) => line.startsWith('(Did you mean'))?.slice(1, -1)
  const help = [...commandWords(program, argv), '--help'].join(' ')
  return {
    code: 'usage',
    exitCode: exit.usage,
    message: first.replace(/^error: /u, ''),
    hint: guess === undefined ? `see ${help}` : guess.replace(/^D/u, 'd'),
  }
}

/** The names of the command that was called, as far as they are right. */
function commandWords(program: CommandUnknownOpts, argv: readonly string[]): string[] {
  const words = [program.name()]
  let command = program
  for (const word of argv) {
    const child = command.commands.find((one) => one.name() === word)
    if (child === undefined && !word.startsWith('-')) break
    if (child === undefined) continue
    words.push(word)
    command = child
  }
  return words
}
