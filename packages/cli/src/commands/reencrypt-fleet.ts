/** `longhold reencrypt run --queue`: plans for a fleet, and works with it unless it is told only to plan. */

import { randomUUID } from 'node:crypto'

import { coordinate } from '../reencrypt/fleet-coordinator.ts'
import { stopped, usage } from '../shell/errors.ts'
import { resolveRecipients } from '../shell/keys.ts'
import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural } from '../shell/text.ts'
import type { FleetQueue, FleetSettings, FleetState, FleetTable } from '../sources/fleet.ts'
import { inRanges, isUnfinished, newRunState } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import { maxPassesOf, optionalIdentities } from './reencrypt-engine.ts'
import type { RunFlags } from './reencrypt-flags.ts'
import { workForFleet } from './reencrypt-fleet-member.ts'
import type { MemberSettings } from './reencrypt-fleet-member.ts'
import {
  configurationOf,
  defaultRangeRows,
  limitsOf,
  openFleet,
  openQueue,
} from './reencrypt-fleet-settings.ts'
import { needKeys } from './reencrypt-formats.ts'
import { reportRun } from './reencrypt-outcome.ts'
import { Pace, runScreen } from './reencrypt-progress.ts'
import { resolveLegacy } from './reencrypt-settings.ts'
import type { LegacySettings, TargetSettings } from './reencrypt-settings.ts'
import { pauseCheck } from './reencrypt-throttle.ts'
import { tryFirstValues } from './reencrypt-trial.ts'

/** @throws CliError */
export async function runFleet(
  terminal: Terminal,
  target: TargetSettings,
  flags: RunFlags,
  queueUrl: string,
): Promise<void> {
  const legacy = await resolveLegacy(terminal, target, flags)
  const works = flags.onlyCoordinate !== true
  if (works && legacy.privateKeys.length === 0 && needKeys(legacy.formats)) {
    throw usage('no private key to open the old values with', {
      hint: 'give --private-key FILE, or --only-coordinate where only the workers have one',
    })
  }
  const recipients = await resolveRecipients(terminal, flags)
  const identities = works ? await optionalIdentities(terminal, flags) : []
  await withProblems(async () => {
    const table = await openFleet(target, legacy.columns, 'coordinator')
    try {
      const queue = await openQueue(queueUrl, flags)
      try {
        const configuration = (dataset: string) => configurationOf(target, legacy, flags, dataset, recipients)
        const begun = await begin(terminal, { table, target, legacy, flags, configuration })
        const common = { terminal, target, legacy, flags, table, queue, recipients, identities }
        const noLimits = { rowsPerSecond: undefined, bytesPerSecond: undefined }
        const ours = { configuration: configuration(begun.dataset), limits: noLimits, run: begun }
        await see({ ...common, ...ours }, works)
      } finally {
        await queue.close()
      }
    } finally {
      await table.close()
    }
  })
}

interface Beginning {
  readonly table: FleetTable
  readonly target: TargetSettings
  readonly legacy: LegacySettings
  readonly flags: RunFlags
  readonly configuration: (dataset: string) => FleetSettings['configuration']
}

/** The unfinished run on the table, or a new one, in ranges. */
async function begin(terminal: Terminal, beginning: Beginning): Promise<RunState> {
  const { table, target, legacy, flags, configuration } = beginning
  const { rows } = table
  const latest = await rows.latestRun()
  if (latest?.status === 'rolling_back') {
    throw usage(`${rows.target.name} is being rolled back`, {
      hint: 'longhold reencrypt rollback goes on with that; then run',
    })
  }
  const unfinished = latest !== undefined && isUnfinished(latest) ? latest : undefined
  const dataset = flags.dataset ?? target.config.dataset ?? unfinished?.dataset ?? rows.target.table
  if (unfinished !== undefined && dataset !== unfinished.dataset) {
    throw usage(`an unfinished run on ${rows.target.name} has the dataset ${unfinished.dataset}`, {
      hint: `finish it first, with --dataset ${unfinished.dataset} or without --dataset`,
    })
  }
  const settings: FleetSettings = {
    configuration: configuration(dataset),
    limits: limitsOf(target, flags),
    rangeRows: flags.rangeRows ?? defaultRangeRows,
  }
  if (unfinished !== undefined && (await table.facts(unfinished.runId).catch(() => undefined))) {
    await table.goOn(unfinished.runId, settings)
    terminal.note(`going on with run ${unfinished.runId} of a fleet: pass ${unfinished.pass}`)
    return unfinished
  }
  const { table: tableName, column } = rows.target
  const run =
    unfinished ??
    newRunState({
      runId: randomUUID(),
      table: tableName,
      column,
      dataset,
      startedAt: new Date().toISOString(),
      keepsOriginals: flags.originals !== false && target.config.originals,
    })
  if (flags.skipTrial !== true && run.pass === 1 && legacy.privateKeys.length > 0) {
    await tryFirstValues(terminal, {
      source: rows,
      legacy,
      state: { ...run, position: undefined },
      acceptUnauthenticated: flags.acceptUnauthenticated ?? target.config['accept-unauthenticated'],
    })
  }
  await table.begin(run, settings)
  return run
}

type Seen = Omit<MemberSettings, 'signal' | 'onProgress'> & { readonly queue: FleetQueue }

/** To the end of the run, or to Ctrl-C. */
async function see(settings: Seen, works: boolean): Promise<void> {
  const { terminal, target, flags, table, queue, run } = settings
  const startMs = performance.now()
  const failed = new AbortController()
  const signal = AbortSignal.any([terminal.signal, failed.signal])
  const progress = new Progress(terminal)
  const pace = new Pace(await table.rows.size())
  const firstPass = run.position === undefined || run.position === inRanges ? run.pass : run.pass + 1
  const own = works ? workForFleet({ ...settings, signal, onProgress: () => {} }) : Promise.resolve(undefined)
  // Told below; the coordinator must not wait for ranges that nobody here will do.
  own.catch(() => failed.abort())
  let end: RunState | undefined
  try {
    end = await coordinate({
      table,
      queue,
      runId: run.runId,
      lastPass: firstPass + maxPassesOf(settings) - 1,
      isPaused: pauseCheck(terminal, table.rows, flags, target.config),
      signal,
      onProgress: (state) => {
        const done = table.rows.progressOf(state.run)
        progress.update(pace.line(lineOf(state), done), screenOf(state, pace.bar(done)))
      },
    })
  } catch (error) {
    failed.abort()
    await own.catch(() => {}) // the first failure is the one that is told
    throw error
  } finally {
    progress.done()
  }
  await own
  if (end === undefined) throw new Error('the run is gone from the journal')
  if (end.position === inRanges) {
    terminal.note('stopped at a safe point: the workers go on with the ranges of this pass, then they wait')
    throw stopped('interrupted', { hint: 'run the same command again to go on' })
  }
  await reportRun(terminal, {
    settings: target,
    path: flags.deadLetters,
    source: table.rows,
    state: end,
    replaced: end.migrated - run.migrated,
    seconds: (performance.now() - startMs) / 1000,
  })
}

function lineOf({ run, members, isPaused }: FleetState): string {
  return `pass ${run.pass}, ${plural(members.length, 'worker')}${isPaused ? ', paused' : ''}`
}

function screenOf(state: FleetState, bar: string | undefined): string[] {
  const { run, members, ranges, rangesDone } = state
  const names = members.map(({ name }) => name)
  return [
    ...runScreen(run, bar),
    `ranges ${count(rangesDone)} of ${count(ranges)}; at work: ${names.join(', ')}`,
  ]
}
