/** Completion for zsh: a function for each command, all of them by _arguments. */

import { allCommands } from './completion-tree.ts'
import type { Completes, CompletionCommand, CompletionOption } from './completion-tree.ts'

export function zshCompletion(program: CompletionCommand): string {
  return `#compdef longhold
# zsh completion for longhold

${allCommands(program).map(commandFunction).join('\n\n')}

# Read from a file of the function path this runs for a completion; read by source it says for what it is.
if [[ \${funcstack[1]:-} == _longhold ]]; then
  _longhold "$@"
else
  compdef _longhold longhold
fi
`
}

function commandFunction(command: CompletionCommand): string {
  const options = command.options.map((option) => `    ${optionSpec(option)}`)
  if (command.commands.length === 0) {
    const specs = [...options, ...argumentSpec(command)].join(' \\\n')
    return `${nameOf(command)}() {\n  _arguments -s -S \\\n${specs}\n}`
  }
  const names = command.commands.map(({ path, summary }) => {
    return `        ${quoted(`${path.at(-1)}:${summary.replaceAll(':', '\\:')}`)}`
  })
  const calls = command.commands.map((child) => `        ${child.path.at(-1)}) ${nameOf(child)} ;;`)
  return `${nameOf(command)}() {
  local curcontext="$curcontext" context state state_descr line
  local -a commands
  typeset -A opt_args
  _arguments -s -S -C \\
${options.join(' \\\n')} \\
    '1:command:->command' \\
    '*::argument:->argument' && return
  case $state in
    command)
      commands=(
${names.join('\n')}
      )
      _describe -t commands command commands
      ;;
    argument)
      case $words[1] in
${calls.join('\n')}
      esac
      ;;
  esac
}`
}

function nameOf({ path }: CompletionCommand): string {
  return ['_longhold', ...path].join('_')
}

/** `'(-o --output)'{-o+,--output=}'[text]:file:_files'` */
function optionSpec({ short, long, description, value, isRepeatable }: CompletionOption): string {
  const names = value === undefined ? [short, long] : [short && `${short}+`, `${long}=`]
  const given = names.filter((name) => name !== undefined)
  const forms = given.length === 1 ? (given[0] ?? '') : `{${given.join(',')}}`
  const others = [short, long].filter((name) => name !== undefined).join(' ')
  const text = `[${description.replaceAll(/[[\]\\:]/gu, '\\$&')}]`
  const action =
    value === undefined ? '' : `:${value.name.replaceAll(/[:=]/gu, ' ')}:${actionOf(value.completes)}`
  return `${quoted(isRepeatable ? '*' : `(${others})`)}${forms}${quoted(text + action)}`
}

function argumentSpec({ argument }: CompletionCommand): string[] {
  if (argument === undefined) return []
  return [
    `    ${quoted(`${argument.isVariadic ? '*' : '1'}:${argument.name}:${actionOf(argument.completes)}`)}`,
  ]
}

function actionOf(completes: Completes): string {
  if (completes === 'files') return '_files'
  if (completes === 'directories') return '_path_files -/'
  // One space: say what is wanted, and complete nothing.
  return completes === 'nothing' ? ' ' : `(${completes.join(' ')})`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
