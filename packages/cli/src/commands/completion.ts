import { Argument, Command } from '@commander-js/extra-typings'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import type { Terminal } from '../shell/terminal.ts'
import { bashCompletion } from './completion-bash.ts'
import { fishCompletion } from './completion-fish.ts'
import { completionTree } from './completion-tree.ts'
import { zshCompletion } from './completion-zsh.ts'

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }
const shells = ['bash', 'zsh', 'fish'] as const

/** `longhold completion`: the script that lets a shell complete commands, options and file names. */
export function completionCommand(terminal: Terminal) {
  return new Command('completion')
    .summary('print what lets a shell complete longhold’s commands')
    .description(
      'Prints a script for the shell, which completes commands, options, what options take, and file names. It ' +
        'is made from the commands there are: print it anew after an update.',
    )
    .addArgument(new Argument('<shell>', 'which shell').choices(shells))
    .addHelpText(
      'after',
      examples(
        'source <(longhold completion bash)      # in ~/.bashrc',
        'source <(longhold completion zsh)       # in ~/.zshrc, after compinit',
        'longhold completion fish > ~/.config/fish/completions/longhold.fish',
      ),
    )
    .action(async (shell, _options, command) => {
      const script = scripts[shell](completionTree(rootOf(command)))
      await terminal.answer({ text: script.trimEnd(), json: { shell, script } })
    })
}

function rootOf(command: CommandUnknownOpts): CommandUnknownOpts {
  return command.parent === null ? command : rootOf(command.parent)
}
