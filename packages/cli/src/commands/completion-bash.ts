/** Completion for bash, from 3.2 on. File names are left to readline, which knows how to quote them. */

import { allCommands } from './completion-tree.ts'
import type { CompletionCommand, Completes } from './completion-tree.ts'

export function bashCompletion(program: CompletionCommand): string {
  const commands = allCommands(program)
  return `# bash completion for longhold

# Whether a word behind a command names one of its own commands.
__longhold_is_command() {
  case "$1" in
    ${alternatives(commands.filter(({ path }) => path.length > 0).map(wordsOf))}) return 0 ;;
  esac
  return 1
}

# What the option of a command takes, in $takes; fails for a switch.
__longhold_takes() {
  case "$1" in
${valueCases(commands)}
    *) return 1 ;;
  esac
}

# The options of a command, in $options; its commands or what its argument may be, in $takes.
__longhold_offers() {
  case "$1" in
${commands.map(offers).join('\n')}
  esac
}

_longhold() {
  local IFS=$' \\t\\n' cur="\${COMP_WORDS[COMP_CWORD]}" command='' option='' ended='' options='' takes='' word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ -n $ended ]]; then
      continue
    elif [[ -n $option ]]; then
      # --output=file comes in three words.
      [[ $word == '=' ]] || option=''
    elif [[ $word == -- ]]; then
      ended=1
    elif [[ $word == -* ]]; then
      if __longhold_takes "$command $word"; then option="$word"; fi
    elif __longhold_is_command "$command $word"; then
      command="$command $word"
    fi
  done
  if [[ -n $option ]]; then
    [[ $cur == '=' ]] && cur=''
    __longhold_takes "$command $option"
  else
    __longhold_offers "$command"
    if [[ -z $ended && $cur == -* ]]; then takes="$options"; fi
  fi
  case "$takes" in
    files) ;;
    directories) compopt -o dirnames +o default 2> /dev/null ;;
    nothing) compopt +o default 2> /dev/null ;;
    *)
      compopt +o default 2> /dev/null
      COMPREPLY=($(compgen -W "$takes" -- "$cur"))
      ;;
  esac
}

complete -o default -F _longhold longhold
`
}

/** ` kms keys`: how the script writes where it is, each word behind a space. */
function wordsOf({ path }: CompletionCommand): string {
  return path.map((word) => ` ${word}`).join('')
}

function valueCases(commands: readonly CompletionCommand[]): string {
  const byKind = new Map<string, string[]>()
  for (const command of commands) {
    for (const { short, long, value } of command.options) {
      if (value === undefined) continue
      const kind = kindOf(value.completes)
      const words = [long, ...(short === undefined ? [] : [short])].map(
        (name) => `${wordsOf(command)} ${name}`,
      )
      byKind.set(kind, [...(byKind.get(kind) ?? []), ...words])
    }
  }
  return [...byKind].map(([kind, words]) => `    ${alternatives(words)}) takes='${kind}' ;;`).join('\n')
}

function offers(command: CompletionCommand): string {
  const options = command.options.flatMap(({ short, long }) => (short === undefined ? [long] : [short, long]))
  const names = command.commands.map(({ path }) => path.at(-1) ?? '')
  const takes = names.length > 0 ? names : (command.argument?.completes ?? 'nothing')
  return `    '${wordsOf(command)}') options='${options.join(' ')}' takes='${kindOf(takes)}' ;;`
}

function kindOf(completes: Completes): string {
  return typeof completes === 'string' ? completes : completes.join(' ')
}

function alternatives(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' | \\\n      ')
}
