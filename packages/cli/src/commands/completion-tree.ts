/** What a shell has to know to complete a command line, read from commander's own commands. */

import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { permissions } from '@longhold/core/kms'

/** What stands for a value: files, directories, one of some words, or something that only the caller knows. */
export type Completes = 'files' | 'directories' | 'nothing' | readonly string[]

export interface CompletionOption {
  /** `-o`, where there is one. */
  readonly short: string | undefined
  /** `--output`. */
  readonly long: string
  readonly description: string
  /** `undefined` for a switch. */
  readonly value: { readonly name: string; readonly completes: Completes } | undefined
  readonly isRepeatable: boolean
}

export interface CompletionCommand {
  /** Behind the program's name: `['kms', 'keys']`; empty for the program itself. */
  readonly path: readonly string[]
  readonly summary: string
  /** Those of every command, `--json` and its like, among them. */
  readonly options: readonly CompletionOption[]
  readonly commands: readonly CompletionCommand[]
  readonly argument:
    | { readonly name: string; readonly completes: Completes; readonly isVariadic: boolean }
    | undefined
}

/** By what stands between the angle brackets. A test fails for a name that is not here: someone has to decide. */
export const byValueName: Readonly<Record<string, Completes>> = {
  file: 'files',
  files: 'files',
  database: 'files',
  target: 'files',
  path: 'files',
  directory: 'directories',
  permission: permissions,
  action: 'nothing',
  address: 'nothing',
  block: 'nothing',
  count: 'nothing',
  'host:port': 'nothing',
  alias: 'nothing',
  character: 'nothing',
  consumer: 'nothing',
  'name=value': 'nothing',
  span: 'nothing',
  sql: 'nothing',
  version: 'nothing',
  'version=number': 'nothing',
  date: 'nothing',
  glob: 'nothing',
  id: 'nothing',
  key: 'nothing',
  'key=value': 'nothing',
  kind: 'nothing',
  member: 'nothing',
  n: 'nothing',
  name: 'nothing',
  number: 'nothing',
  principal: 'nothing',
  recipient: 'nothing',
  reference: 'nothing',
  seconds: 'nothing',
  slot: 'nothing',
  text: 'nothing',
  time: 'nothing',
  url: 'nothing',
}

/** The program and everything below it. */
export function completionTree(program: CommandUnknownOpts): CompletionCommand {
  const shared = optionsOf(program).filter(({ long }) => long !== '--version')
  return treeOf(program, { path: [], shared, siblings: [] })
}

/** All commands, the program first. */
export function allCommands(command: CompletionCommand): CompletionCommand[] {
  return [command, ...command.commands.flatMap(allCommands)]
}

interface Place {
  readonly path: readonly string[]
  /** Options of every command. */
  readonly shared: readonly CompletionOption[]
  /** The names of the commands beside it, which is what a `help` is given. */
  readonly siblings: readonly string[]
}

function treeOf(command: CommandUnknownOpts, { path, shared, siblings }: Place): CompletionCommand {
  const children = command.createHelp().visibleCommands(command)
  const childNames = children.map((child) => child.name()).filter((name) => name !== 'help')
  const own = optionsOf(command)
  const names = new Set(own.map(({ long }) => long))
  const [argument] = command.registeredArguments
  // commander's own `help` names commands and has none.
  const isHelp = command.name() === 'help' && path.length > 0
  return {
    path,
    summary: command.summary() || command.description(),
    options: isHelp ? [] : [...own, ...shared.filter(({ long }) => !names.has(long))],
    commands: children.map((child) =>
      treeOf(child, { path: [...path, child.name()], shared, siblings: childNames }),
    ),
    argument: isHelp
      ? { name: 'command', completes: siblings, isVariadic: false }
      : argument && {
          name: argument.name(),
          completes: argument.argChoices ?? completesOf(argument.name()),
          isVariadic: argument.variadic,
        },
  }
}

function optionsOf(command: CommandUnknownOpts): CompletionOption[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap((option): CompletionOption[] => {
      if (option.long === undefined || option.long === null) return []
      const name = /<(.+)>/u.exec(option.flags)?.[1]
      return [
        {
          short: option.short ?? undefined,
          long: option.long,
          description: option.description,
          value: name === undefined ? undefined : { name, completes: option.argChoices ?? completesOf(name) },
          isRepeatable: option.description.includes('(repeatable)'),
        },
      ]
    })
}

function completesOf(name: string): Completes {
  return byValueName[name] ?? 'nothing'
}
