import { Command } from '@commander-js/extra-typings'

import { refused } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { readSettings, settingOptions } from '../shell/service-settings.ts'
import type { Terminal } from '../shell/terminal.ts'
import { plural } from '../shell/text.ts'
import { inService } from './service-error.ts'

/** `longhold kms doctor`: what an operator should change, on the machine of the service. */
export function kmsDoctorCommand(terminal: Terminal) {
  const command = new Command('doctor')
    .summary('look for what the operator of a key service should change')
    .description(
      'Looks at a key service on this machine: modes of files, swap, core dumps, the inspector, TLS (dates, key, ' +
        'group), slots, backups, anchor, clock and disk. The service may run meanwhile. Each finding says what to do; ' +
        'exit code 1 when there is any.',
    )
    .addHelpText('after', examples('longhold kms doctor', 'longhold kms doctor --data-dir /var/lib/longhold'))
  for (const option of settingOptions('doctor')) command.addOption(option)
  return command.action(async (_, given) => {
    const values = await readSettings(terminal, 'doctor', given)
    await inService(async ({ examine, findingsText, needsWork, serviceConfigOf }) => {
      const findings = await examine({ config: serviceConfigOf(values), path: terminal.io.env['PATH'] })
      await terminal.answer({ text: findingsText(findings), json: { findings } })
      if (!needsWork(findings)) return
      const open = findings.filter(({ next }) => next !== undefined).length
      throw refused(`${plural(open, 'finding')} to see to`)
    })
  })
}
