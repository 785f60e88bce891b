/** The list of commands, and what is the same for all of them. */

import { readFileSync } from 'node:fs'

import { Command } from '@commander-js/extra-typings'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'

import { canOpenCommand } from './commands/can-open.ts'
import { completionCommand } from './commands/completion.ts'
import { decryptCommand } from './commands/decrypt.ts'
import { encryptCommand } from './commands/encrypt.ts'
import { initCommand } from './commands/init.ts'
import { inspectCommand } from './commands/inspect.ts'
import { keygenCommand } from './commands/keygen.ts'
import { kmsCommand } from './commands/kms.ts'
import { reencryptCommand } from './commands/reencrypt.ts'
import { rewrapCommand } from './commands/rewrap.ts'
import { examples } from './shell/help.ts'
import type { Terminal } from './shell/terminal.ts'

export function createProgram(terminal: Terminal) {
  const program = new Command('longhold')
    .description('Encryption at rest that a recorder with a future quantum computer cannot undo.')
    .version(version(), '--version', 'print the version')
    .option('--json', 'answers on standard output and errors on standard error, each as one line of JSON')
    .option('--config <file>', 'read this file instead of longhold.yaml')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', examples('longhold init', 'longhold encrypt --recipient kms:default -o a.lh a.txt'))
    .addHelpText(
      'after',
      '\nExit codes: 0 done; 1 done, but some data was refused or something was found; 2 wrong call or\n' +
        'configuration, nothing was done; 3 internal error; 4 stopped before the end, run it again.',
    )
  for (const command of commands(terminal)) program.addCommand(command)
  program.hook('preAction', () => {
    const { json, config } = program.opts()
    terminal.configure({ json: json === true, configPath: config })
  })
  applyToAll(program, terminal)
  return program
}

function commands(terminal: Terminal): CommandUnknownOpts[] {
  return [
    initCommand(terminal),
    keygenCommand(terminal),
    encryptCommand(terminal),
    decryptCommand(terminal),
    inspectCommand(terminal),
    canOpenCommand(terminal),
    rewrapCommand(terminal),
    reencryptCommand(terminal),
    kmsCommand(terminal),
    completionCommand(terminal),
  ]
}

/** commander hands settings down only to commands it creates itself. */
function applyToAll(command: CommandUnknownOpts, terminal: Terminal): void {
  const { stdout, stderr } = terminal.io
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      outputError: () => {}, // `run` prints every error, commander's too
      getOutHelpWidth: () => stdout.columns ?? 100,
      getErrHelpWidth: () => stderr.columns ?? 100,
    })
  for (const child of command.commands) applyToAll(child, terminal)
}

function version(): string {
  // Beside `src` and beside `dist`: the same file, whichever of them runs.
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  if (typeof manifest !== 'object' || manifest === null || !('version' in manifest)) return 'unknown'
  return String(manifest.version)
}
