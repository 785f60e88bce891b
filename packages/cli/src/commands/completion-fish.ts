/** Completion for fish: a condition for each command, and one line for each thing that may be said there. */

import { allCommands } from './completion-tree.ts'
import type { Completes, CompletionCommand } from './completion-tree.ts'

export function fishCompletion(program: CompletionCommand): string {
  const commands = allCommands(program)
  const paths = commands
    .filter(({ path }) => path.length > 0)
    .map((command) => quoted(command.path.join(' ')))
  const valued = commands.flatMap((command) =>
    command.options
      .filter(({ value }) => value !== undefined)
      .flatMap(({ short, long }) => (short === undefined ? [long] : [short, long]))
      .map((name) => quoted([...command.path, name].join(' '))),
  )
  return `# fish completion for longhold

set -g __longhold_commands ${paths.join(' ')}
set -g __longhold_valued ${valued.join(' ')}

# The command that the words before the cursor name, without options and what they take.
function __longhold_command
    set -l words (commandline -opc)
    set -l path
    set -l is_value 0
    for word in $words[2..-1]
        if test $is_value = 1
            set is_value 0
            continue
        end
        switch $word
            case --
                break
            case '--*=*'
                continue
            case '-*'
                contains -- (string join ' ' -- $path $word) $__longhold_valued; and set is_value 1
            case '*'
                contains -- (string join ' ' -- $path $word) $__longhold_commands; and set -a path $word
        end
    end
    string join ' ' -- $path
end

function __longhold_at
    set -l command (__longhold_command)
    test "$command" = "$argv[1]"
end

complete -c longhold -e
complete -c longhold -f
${commands.flatMap(linesOf).join('\n')}
`
}

function linesOf(command: CompletionCommand): string[] {
  const at = `complete -c longhold -n ${quoted(`__longhold_at "${command.path.join(' ')}"`)}`
  const options = command.options.map(({ short, long, description, value }) => {
    const names = [...(short === undefined ? [] : ['-s', short.slice(1)]), '-l', long.slice(2)].join(' ')
    const takes = value === undefined ? '' : ` -r ${sourceOf(value.completes)}`
    return `${at} ${names}${takes} -d ${quoted(description)}`
  })
  const names = command.commands.map(
    ({ path, summary }) => `${at} -f -a ${path.at(-1)} -d ${quoted(summary)}`,
  )
  const isArgument = command.argument !== undefined && command.argument.completes !== 'nothing'
  return [...options, ...names, ...(isArgument ? [`${at} ${sourceOf(command.argument.completes)}`] : [])]
}

function sourceOf(completes: Completes): string {
  if (completes === 'files') return '-F'
  if (completes === 'directories') return "-f -a '(__fish_complete_directories)'"
  return completes === 'nothing' ? '-f' : `-f -a ${quoted(completes.join(' '))}`
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/gu, '\\$&')}'`
}
