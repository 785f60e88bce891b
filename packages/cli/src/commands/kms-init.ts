import { Command } from '@commander-js/extra-typings'
import type { InitAnswer } from '@longhold/core/kms'
import type { Values } from '@longhold/kms/config'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { readSettings, settingOptions } from '../shell/service-settings.ts'
import { runningService, socketOf } from '../shell/sys-client.ts'
import type { Terminal } from '../shell/terminal.ts'
import { inService } from './service-error.ts'

/** `longhold kms init`: sets up a key service, which `longhold init` does in a hurry. */
export function kmsInitCommand(terminal: Terminal) {
  const command = new Command('init')
    .summary('set up a key service, for production too')
    .description(
      'Makes key file, database and first token of a key service, once, and replaces nothing. With --production there ' +
        'is no key before two slots hold the root key, and the first token makes one other token, within an hour: ' +
        'longhold kms tokens create. Without it, one key file is enough and the first token does everything.',
    )
    .addHelpText(
      'after',
      examples(
        'longhold kms init --production --data-dir /var/lib/longhold --key-file /etc/longhold/root.key',
      ),
    )
  for (const option of settingOptions('init')) command.addOption(option)
  return command.action(async (_, given) => {
    const values = await readSettings(terminal, 'init', given)
    const production = values.production ?? false
    const running = await runningService(terminal, socketOf(values))
    if (running?.status.initialised === true) {
      throw usage('the key service of this data directory is set up already', {
        hint: 'nothing was changed; longhold kms seal-status says how it is',
      })
    }
    const made =
      running === undefined
        ? await initHere(values)
        : await running.ask((client) =>
            client.init({
              production,
              single_slot: values['single-slot'],
              first_key: values['first-key'],
            }),
          )
    await terminal.answer({
      text: [
        `database     ${made.database}`,
        `key file     ${made.key_file}`,
        `first token  ${made.token_file}`,
        `fingerprint  ${made.fingerprint}`,
      ].join('\n'),
      json: made,
    })
    if (terminal.json) return
    if (made.min_slots === 1) {
      terminal.note('there is one slot, the key file: whoever loses it has lost every key')
      terminal.hint('longhold kms slots add makes another')
    } else {
      terminal.hint(
        `${running === undefined ? 'longhold kms serve; then, ' : ''}within an hour: longhold kms tokens create NAME --permission all -o FILE --kms-token-file ${made.token_file}`,
      )
      terminal.hint('then a second slot, before the first key: longhold kms slots add passphrase')
    }
  })
}

async function initHere(values: Values): Promise<InitAnswer> {
  const made = await inService(({ initService, serviceConfigOf }) =>
    initService({
      ...serviceConfigOf(values),
      firstKey: values['first-key'],
      production: values.production,
      singleSlot: values['single-slot'],
    }),
  )
  return {
    cluster: made.clusterId,
    database: made.database,
    key_file: made.keyFile,
    token_file: made.tokenFile,
    fingerprint: made.fingerprint,
    min_slots: made.minSlots,
    recipient: made.firstKey?.recipient ?? null,
  }
}
