import { once } from 'node:events'

import { Command } from '@commander-js/extra-typings'

import { loadConfig } from '../shell/config.ts'
import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { defaultListen, parseListen } from '../shell/listen.ts'
import type { Terminal } from '../shell/terminal.ts'
import { inService } from './service-error.ts'

/** `longhold kms serve`: the embedded key service, until it is told to stop. */
export function kmsServeCommand(terminal: Terminal) {
  return new Command('serve')
    .summary('run the embedded key service')
    .description(
      'Runs the key service on a data directory that longhold init made, on loopback. Prints the address on ' +
        'standard error when it is ready (with --json on standard output), and stops on SIGTERM and SIGINT ' +
        'once the requests it has begun are answered: exit code 0.',
    )
    .option('--data-dir <directory>', 'where the key service keeps its database and root key')
    .option('--listen <host:port>', `where to listen, by default ${defaultListen}; port 0 is any free one`)
    .option('--log', 'write one line of JSON for each request on standard error')
    .addHelpText('after', examples('longhold kms serve', 'longhold kms serve --data-dir /var/lib/longhold'))
    .action(async (options) => {
      const config = await loadConfig(terminal)
      const dataDir = options.dataDir === undefined ? config.kms.dataDir : terminal.path(options.dataDir)
      if (dataDir === undefined) {
        throw usage('no data directory for the key service', {
          hint: 'give --data-dir DIRECTORY, or run longhold init to make one',
        })
      }
      const { host, port } = parseListen(options.listen ?? config.kms.listen ?? defaultListen)
      const log = options.log ? { log: (entry: unknown) => writeLog(terminal, entry) } : {}
      const service = await inService(({ startService }) => startService({ dataDir, host, port, ...log }))
      try {
        if (terminal.json) await terminal.answer({ text: '', json: { url: service.url } })
        else terminal.note(`listening on ${service.url}`)
        if (!terminal.signal.aborted) await once(terminal.signal, 'abort')
      } finally {
        await service.close()
      }
    })
}

function writeLog(terminal: Terminal, entry: unknown): void {
  terminal.io.stderr.write(`${JSON.stringify(entry)}\n`)
}
