/** `longhold reencrypt finalize`. */

import { PrivateKeySet } from '../legacy-keys/private-key-set.ts'
import { survey } from '../reencrypt/survey.ts'
import type { Survey } from '../reencrypt/survey.ts'
import { refused, usage } from '../shell/errors.ts'
import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import type { RowSource } from '../sources/row-source.ts'
import type { RunState } from '../sources/run-state.ts'
import { isUnfinished } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import { chooseFormats } from './reencrypt-config.ts'
import type { FinalizeFlags } from './reencrypt-flags.ts'
import { columnsOf, makeFormats } from './reencrypt-formats.ts'
import { resolveObjects } from './reencrypt-objects.ts'
import { Pace } from './reencrypt-progress.ts'
import { honestJson, honestText } from './reencrypt-report.ts'
import { resolveTarget } from './reencrypt-settings.ts'
import { openReader, openSource } from './reencrypt-target.ts'

export async function finalizeReencryption(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: FinalizeFlags,
): Promise<void> {
  if (flags.execute !== true) {
    throw usage('finalize removes what a rollback needs, and --execute was not given', {
      hint: 'longhold reencrypt verify says whether everything opens; then add --execute',
    })
  }
  const objects = await resolveObjects(terminal, targetPath, flags)
  if (objects !== undefined) {
    const { finalizeObjects } = await import('./reencrypt-objects-undo.ts')
    return await finalizeObjects(terminal, objects, flags)
  }
  const target = await resolveTarget(terminal, targetPath, flags)
  const formats = chooseFormats(flags.format ?? target.config.format, target.config.formats, target.column)
  const columns = columnsOf(formats, target.column)
  await withProblems(async () => {
    const source = await openSource(target, columns)
    const progress = new Progress(terminal)
    try {
      const runs = openRuns(source.target.name, await source.runs())
      await source.finishedRun() // throws for a file that changed since
      const reader = await openReader(target, columns)
      let found: Survey
      try {
        const pace = new Pace(await reader.size())
        found = await survey({
          reader,
          formats: await makeFormats(formats, [...columns.own, ...columns.read]),
          keys: new PrivateKeySet([]),
          acceptUnauthenticated: true,
          tryToOpen: false,
          samples: 0,
          maxLegacy: Infinity,
          onProgress: (done) => progress.update(pace.line('read', done)),
          checkStop: () => terminal.checkStop(),
        })
      } finally {
        await reader.close()
      }
      progress.done()
      const remaining = found.values - found.already
      if (remaining > 0 && flags.leaveRemaining !== true) throw stillOld(source.target.name, found, remaining)
      for (const run of runs) await finalizeRun(source, run)
      await terminal.answer({
        text: [
          table([
            ['target', source.target.name],
            ['runs finalised', count(runs.length)],
            ['records', count(found.already)],
            ['left in the old form', count(remaining)],
          ]),
          '',
          honestText(source.target),
        ].join('\n'),
        json: {
          target: source.target.name,
          runs: runs.map(({ runId }) => runId),
          records: found.already,
          remaining,
          ...honestJson(source.target),
        },
      })
    } finally {
      progress.done()
      await source.close()
    }
  })
}

/** The runs that can still be finalised. */
function openRuns(name: string, all: readonly RunState[]): RunState[] {
  const runs = all.filter(({ status }) => status !== 'rolled_back' && status !== 'finalized')
  if (runs.length === 0) {
    throw refused(`nothing is to be finalised on ${name}`, { hint: 'longhold reencrypt run comes before it' })
  }
  const [latest] = runs
  if (latest !== undefined && isUnfinished(latest)) {
    throw refused(`the newest run on ${name} is not finished`, { hint: 'run it to its end first' })
  }
  if (runs.some(({ status }) => status === 'rolling_back')) {
    throw refused(`${name} is being rolled back`, { hint: 'longhold reencrypt rollback goes on with that' })
  }
  return runs
}

async function finalizeRun(source: RowSource, run: RunState): Promise<void> {
  await source.finalize({ ...run, status: 'finalized', updatedAt: new Date().toISOString() })
}

function stillOld(name: string, { groups, unrecognized }: Survey, remaining: number): Error {
  const forms = groups.map(({ format, count: some }) => `${count(some)} of format ${format}`)
  if (unrecognized.count > 0)
    forms.push(`${count(unrecognized.count)} of no named format, say ${unrecognized.examples.join(', ')}`)
  return refused(`${plural(remaining, 'value')} of ${name} not in longhold's form: ${forms.join('; ')}`, {
    hint: 'switch the writers to records and run again; --leave-remaining finalises all the same',
  })
}
