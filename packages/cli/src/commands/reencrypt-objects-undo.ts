/** `longhold reencrypt rollback` and `finalize` on a tree or bucket. */

import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'

import type { ObjectSurvey } from '../reencrypt/object-survey.ts'
import { refused } from '../shell/errors.ts'
import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import type { ObjectSource } from '../sources/object-source.ts'
import { isUnfinished } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import type { FinalizeFlags } from './reencrypt-flags.ts'
import { surveyTarget } from './reencrypt-objects-plan.ts'
import { openObjectReader, openObjectSource } from './reencrypt-objects.ts'
import type { ObjectTargetSettings } from './reencrypt-objects.ts'
import { honestJson, honestText } from './reencrypt-report.ts'

export async function rollBackObjects(terminal: Terminal, target: ObjectTargetSettings): Promise<void> {
  await withProblems(async () => {
    const source = openObjectSource(target)
    const progress = new Progress(terminal)
    try {
      const runs = source.runs().filter(({ status }) => status !== 'rolled_back' && status !== 'finalized')
      checkRollBack(source.target.name, runs)
      let [restored, changed] = [0, 0]
      // The newest first: an earlier run's original may have been replaced again by a later one.
      for (const run of runs) {
        const begun = await source.begin({
          ...run,
          status: 'rolling_back',
          updatedAt: new Date().toISOString(),
        })
        for (let after: string | undefined; ;) {
          await setImmediate()
          terminal.checkStop()
          const step = await source.putBack(begun, after)
          if (step === undefined) break
          restored += step.restored
          changed += step.changed
          after = step.after
          progress.update(`put back ${count(restored)}`)
        }
        await source.store({ ...begun, status: 'rolled_back', updatedAt: new Date().toISOString() })
      }
      progress.done()
      const { name } = source.target
      await terminal.answer({
        text: table([
          ['target', name],
          ['put back', count(restored)],
          ['changed since', `${count(changed)}, left as they are`],
        ]),
        json: { target: name, restored, changed },
      })
    } finally {
      progress.done()
      await source.close()
    }
  })
}

function checkRollBack(name: string, runs: readonly RunState[]): void {
  if (runs.length === 0) {
    throw refused(`nothing can be rolled back on ${name}`, {
      hint: 'every run on it was finalised or rolled back, or none has begun',
    })
  }
  if (runs.every(({ keepsOriginals, migrated }) => keepsOriginals || migrated === 0)) return
  throw refused(`a run on ${name} kept no originals, as it was told: it cannot be rolled back`, {
    hint: 'the envelopes open with the new key; restore a backup if the old objects are needed',
  })
}

export async function finalizeObjects(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: FinalizeFlags,
): Promise<void> {
  await withProblems(async () => {
    const source = openObjectSource(target)
    try {
      const runs = openRuns(source)
      const found = await lookAtAll(terminal, target, flags)
      const remaining = found.groups.reduce((sum, group) => sum + group.count, 0)
      const { name, kind } = source.target
      if (remaining > 0 && flags.leaveRemaining !== true) {
        const forms = found.groups
          .map((group) => `${count(group.count)} of format ${group.format}`)
          .join(', ')
        throw refused(`${plural(remaining, 'object')} of ${name} not in longhold's form: ${forms}`, {
          hint: 'switch the writers to envelopes and run again; --leave-remaining finalises all the same',
        })
      }
      for (const run of runs) {
        await source.finalize({ ...run, status: 'finalized', updatedAt: new Date().toISOString() })
      }
      const named = { kind, file: name }
      await terminal.answer({
        text: [
          table([
            ['target', name],
            ['runs finalised', count(runs.length)],
            ['envelopes', count(found.already)],
            ['left in the old form', count(remaining)],
          ]),
          '',
          honestText(named),
        ].join('\n'),
        json: {
          target: name,
          runs: runs.map(({ runId }) => runId),
          envelopes: found.already,
          remaining,
          ...honestJson(named),
        },
      })
    } finally {
      await source.close()
    }
  })
}

async function lookAtAll(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: FinalizeFlags,
): Promise<ObjectSurvey> {
  const reader = openObjectReader(target)
  try {
    return await surveyTarget(terminal, reader, {
      names: flags.format,
      target,
      privateKeys: [],
      workers: availableParallelism(),
      samples: 0,
    })
  } finally {
    await reader.close()
  }
}

/** The runs that can still be finalised. */
function openRuns(source: ObjectSource): RunState[] {
  const { name } = source.target
  const runs = source.runs().filter(({ status }) => status !== 'rolled_back' && status !== 'finalized')
  const [latest] = runs
  if (latest === undefined) {
    throw refused(`nothing is to be finalised on ${name}`, { hint: 'longhold reencrypt run comes before it' })
  }
  if (isUnfinished(latest)) {
    throw refused(`the newest run on ${name} is not finished`, { hint: 'run it to its end first' })
  }
  if (runs.some(({ status }) => status === 'rolling_back')) {
    throw refused(`${name} is being rolled back`, { hint: 'longhold reencrypt rollback goes on with that' })
  }
  return runs
}
