import { once } from 'node:events'

import { Command } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import { readSettings, settingOptions, settingsText } from '../shell/service-settings.ts'
import type { Terminal } from '../shell/terminal.ts'
import { inService } from './service-error.ts'

/** `longhold kms serve`: the embedded key service, until it is told to stop. */
export function kmsServeCommand(terminal: Terminal) {
  const command = new Command('serve')
    .summary('run the embedded key service')
    .description(
      'Runs the key service on a data directory that longhold init made: on this machine in plain HTTP, or with ' +
        'TLS where a certificate is given. Prints the address on standard error when it is ready (with --json on ' +
        'standard output), and stops on SIGTERM and SIGINT once the requests it has begun are answered: exit code 0.',
    )
    .option('--check-config', 'say what the configuration is, and start nothing')
    .addHelpText(
      'after',
      examples(
        'longhold kms serve',
        'longhold kms serve --listen 0.0.0.0:8420 --tls-cert kms.crt --tls-key kms.key --tls-require-pq',
      ),
    )
  for (const option of settingOptions('serve')) command.addOption(option)
  return command.action(async (options, given) => {
    const values = await readSettings(terminal, 'serve', given)
    if (options.checkConfig === true) {
      await inService(async ({ checkConfig }) => checkConfig(values))
      return await terminal.answer({ text: await settingsText(terminal, 'serve', given), json: values })
    }
    const level = values.log ?? 'silent'
    const service = await inService(async ({ logLine, serviceConfigOf, startService }) => {
      return await startService({
        ...serviceConfigOf(values),
        log(entry) {
          if (level === 'silent' || (level === 'error' && entry.level !== 'error')) return
          const line = { level: entry.level, message: entry.message, ...logLine(entry) }
          terminal.io.stderr.write(`${JSON.stringify(line)}\n`)
        },
      })
    })
    try {
      const { url, metricsUrl, isSealed, awaitsInit } = service
      if (terminal.json) {
        await terminal.answer({ text: '', json: { url, metrics_url: metricsUrl ?? null, sealed: isSealed } })
      } else {
        terminal.note(`listening on ${url}`)
        if (metricsUrl !== undefined) terminal.note(`metrics on ${metricsUrl}`)
        if (awaitsInit) terminal.note('not initialised: waits for longhold kms init')
        else if (isSealed) terminal.note('sealed: waits for longhold kms unseal')
      }
      if (!terminal.signal.aborted) await once(terminal.signal, 'abort')
    } finally {
      await service.close()
    }
  })
}
