import { Command } from '@commander-js/extra-typings'
import type { ClockInfo } from '@longhold/core/kms'

import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import type { Terminal } from '../shell/terminal.ts'
import { plural, table } from '../shell/text.ts'

/** `longhold kms clock …`: the time by which keys are rotated and destroyed. */
export function kmsClockCommand(terminal: Terminal) {
  return new Command('clock')
    .summary('look at the clock of the key service, and accept a jump of it')
    .description(
      'Shows the time by which keys are rotated and destroyed. When it jumped by more than an hour, or the service was ' +
        'away for longer, nothing is destroyed until somebody has looked and accepted it.',
    )
    .addCommand(showCommand(terminal), { isDefault: true })
    .addCommand(acceptCommand(terminal))
    .addHelpText('after', examples('longhold kms clock', 'longhold kms clock accept'))
}

function showCommand(terminal: Terminal) {
  return new Command('show')
    .description('Shows the clock.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms clock show'))
    .action(async (options) => {
      const clock = await (await needKmsClient(terminal, options)).keys.clock()
      await terminal.answer({ text: clockText(clock), json: clock })
      if (clock.jump !== null && !terminal.json) {
        terminal.hint('if the time above is right: longhold kms clock accept')
      }
    })
}

function acceptCommand(terminal: Terminal) {
  return new Command('accept')
    .description('Says that the clock is right: destructions whose waiting period has ended by it go on.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms clock accept'))
    .action(async (options) => {
      const clock = await (await needKmsClient(terminal, options)).keys.acceptClock()
      await terminal.answer({ text: clockText(clock), json: clock })
    })
}

/** Days and hours above an hour, which is what a jump has at least. */
function spanText(seconds: number): string {
  const hours = Math.round(Math.abs(seconds) / 3600)
  const [days, rest] = [Math.floor(hours / 24), hours % 24]
  const text = [...(days > 0 ? [plural(days, 'day')] : []), ...(rest > 0 ? [plural(rest, 'hour')] : [])].join(
    ' ',
  )
  return seconds < 0 ? `${text} back` : text
}

function clockText({ time, jump }: ClockInfo): string {
  if (jump === null) return table([['time', time]])
  const by = `by ${spanText(jump.by_seconds)}, seen ${jump.seen_at}: nothing is destroyed`
  return table([
    ['time', time],
    ['jumped', by],
  ])
}
