/** How a run ends: its dead letters, its answer, its exit code. */

import { refused, stopped } from '../shell/errors.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import type { RowSource } from '../sources/row-source.ts'
import type { RunState } from '../sources/run-state.ts'
import { writeDeadLetters } from './reencrypt-dead-letters.ts'
import { duration, honestJson, honestText, runJson, runRows } from './reencrypt-report.ts'
import type { TargetSettings } from './reencrypt-settings.ts'

export interface RunOutcome {
  readonly settings: TargetSettings
  /** Where a flag wants the dead letters. */
  readonly path: string | undefined
  readonly source: RowSource
  readonly state: RunState
  readonly replaced: number
  readonly seconds: number
  /** More lines of the answer. */
  readonly more?: readonly (readonly string[])[]
}

/** @throws CliError where something is not done: exit 1, or 4 when it was interrupted. */
export async function reportRun(
  terminal: Terminal,
  { settings, path, source, state, replaced, seconds, more = [] }: RunOutcome,
): Promise<void> {
  const deadLetters = await writeDeadLetters(terminal, {
    path: path ?? settings.deadLetters,
    target: settings,
    source,
    state,
  })
  const perSecond = seconds > 0 ? Math.round(replaced / seconds) : 0
  const { target } = source
  await terminal.answer({
    text: [
      table([
        ['target', target.name],
        ['run', state.status === 'finished' ? 'finished' : `${state.status} in pass ${state.pass}`],
        ...runRows(state),
        ['this time', `${plural(replaced, 'value')} in ${duration(seconds)}, ${count(perSecond)} per second`],
        ...more,
        ['data keys', `${count(state.dataKeys.length)} for the dataset ${state.dataset}`],
        ...(deadLetters === undefined ? [] : [['dead letters in', deadLetters]]),
      ]),
      '',
      honestText(target),
    ].join('\n'),
    json: {
      ...runJson(state),
      replaced_this_time: replaced,
      seconds: Math.round(seconds * 1000) / 1000,
      dead_letters: deadLetters ?? null,
      ...honestJson(target),
    },
  })
  judge(terminal, state, deadLetters)
}

function judge(
  terminal: Terminal,
  { status, counts, pass }: RunState,
  deadLetters: string | undefined,
): void {
  if (status !== 'finished' && terminal.signal.aborted) {
    throw stopped('interrupted at a safe point: everything counted above is written', {
      hint: 'run the same command again to go on',
    })
  }
  if (status !== 'finished') {
    throw refused(
      `old values kept appearing: pass ${pass} still found ${plural(counts.migrated + counts.conflict, 'one')}`,
      {
        hint: 'let the writers write records first, then run this again',
      },
    )
  }
  if (counts.dead > 0) {
    throw refused(`${plural(counts.dead, 'value')} could not be re-encrypted and stayed as they were`, {
      hint: `${deadLetters ?? 'the file of dead letters'} says which and why; once mended, run this again`,
    })
  }
}
