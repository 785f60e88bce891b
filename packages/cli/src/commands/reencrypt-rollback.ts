/** `longhold reencrypt rollback`. */

import { rollBack } from '../reencrypt/roll-back.ts'
import { refused, usage } from '../shell/errors.ts'
import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import type { RunState } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import { chooseFormats } from './reencrypt-config.ts'
import type { ChangeFlags } from './reencrypt-flags.ts'
import { columnsOf } from './reencrypt-formats.ts'
import { resolveObjects } from './reencrypt-objects.ts'
import { resolveTarget } from './reencrypt-settings.ts'
import { openSource } from './reencrypt-target.ts'

export async function rollBackReencryption(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: ChangeFlags,
): Promise<void> {
  if (flags.execute !== true) {
    throw usage('rollback changes data, and --execute was not given', {
      hint: 'it puts the RSA-wrapped values back; add --execute',
    })
  }
  const objects = await resolveObjects(terminal, targetPath, flags)
  if (objects !== undefined) {
    const { rollBackObjects } = await import('./reencrypt-objects-undo.ts')
    return await rollBackObjects(terminal, objects)
  }
  const target = await resolveTarget(terminal, targetPath, flags)
  // The columns that the run replaced are those of its layouts.
  const formats = chooseFormats(flags.format ?? target.config.format, target.config.formats, target.column)
  await withProblems(async () => {
    const source = await openSource(target, columnsOf(formats, target.column))
    const progress = new Progress(terminal)
    try {
      const runs = (await source.runs()).filter(isOpen)
      checkRuns(source.target.name, runs)
      const { restored, changed, kept } = await rollBack({
        source,
        runs,
        onProgress: (done) => progress.update(`put back ${count(done)}`),
        checkStop: () => terminal.checkStop(),
      })
      progress.done()
      await terminal.answer({
        text: table([
          ['target', source.target.name],
          ['put back', count(restored)],
          ['changed since', `${count(changed)}, left as they are`],
          ['kept by the table', count(kept.length)],
        ]),
        json: { target: source.target.name, restored, changed, kept },
      })
      if (kept.length > 0) {
        throw refused(
          `${plural(kept.length, 'value')} could not be put back, say ${kept.slice(0, 3).join(', ')}`,
          {
            hint: 'a constraint or a trigger keeps the record: see to it, then run this again',
          },
        )
      }
    } finally {
      progress.done()
      await source.close()
    }
  })
}

function checkRuns(name: string, runs: readonly RunState[]): void {
  if (runs.length === 0) {
    throw refused(`nothing can be rolled back on ${name}`, {
      hint: 'every run on it was finalised or rolled back, or none has begun',
    })
  }
  const without = runs.filter(({ keepsOriginals, migrated }) => !keepsOriginals && migrated > 0)
  if (without.length === 0) return
  throw refused(`a run on ${name} kept no originals, as it was told: it cannot be rolled back`, {
    hint: 'the records open with the new key; restore a backup if the old values are needed',
  })
}

function isOpen({ status }: RunState): boolean {
  return status !== 'rolled_back' && status !== 'finalized'
}
