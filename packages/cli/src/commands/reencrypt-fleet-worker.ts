/** `longhold reencrypt worker`, `pause` and `resume`. */

import { refused, stopped, usage } from '../shell/errors.ts'
import { resolveRecipients } from '../shell/keys.ts'
import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table as tableText } from '../shell/text.ts'
import type { FleetState, FleetTable } from '../sources/fleet.ts'
import { withProblems } from './problems.ts'
import { optionalIdentities } from './reencrypt-engine.ts'
import type { FleetWorkerFlags, TargetFlags } from './reencrypt-flags.ts'
import { workForFleet } from './reencrypt-fleet-member.ts'
import {
  checkConfiguration,
  configurationOf,
  limitsOf,
  openFleet,
  openQueue,
} from './reencrypt-fleet-settings.ts'
import { needKeys } from './reencrypt-formats.ts'
import { Pace, runScreen } from './reencrypt-progress.ts'
import { duration } from './reencrypt-report.ts'
import { resolveLegacy, resolveTarget } from './reencrypt-settings.ts'

/** @throws CliError (exit 4) when there is no fleet to work for. */
export async function workOnQueue(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: FleetWorkerFlags,
): Promise<void> {
  const target = await resolveTarget(terminal, targetPath, flags)
  const legacy = await resolveLegacy(terminal, target, flags)
  if (legacy.privateKeys.length === 0 && needKeys(legacy.formats)) {
    throw usage('no private key to open the old values with', { hint: 'give --private-key FILE' })
  }
  const recipients = await resolveRecipients(terminal, flags)
  const identities = await optionalIdentities(terminal, flags)
  await withProblems(async () => {
    const table = await openFleet(target, legacy.columns, 'member')
    try {
      const { run, configuration: theirs } = await fleetOf(table)
      const configuration = configurationOf(target, legacy, flags, run.dataset, recipients)
      checkConfiguration(configuration, theirs)
      const queue = await openQueue(flags.queue, flags)
      const progress = new Progress(terminal)
      const pace = new Pace({ unit: 'rows', total: undefined })
      const startMs = performance.now()
      try {
        const did = await workForFleet({
          terminal,
          target,
          legacy,
          flags,
          table,
          queue,
          run,
          configuration,
          limits: limitsOf(target, flags),
          recipients,
          identities,
          signal: terminal.signal,
          onProgress: (now) => {
            progress.update(pace.line('this worker', table.rows.progressOf(now)), runScreen(now, undefined))
          },
        })
        progress.done()
        const seconds = (performance.now() - startMs) / 1000
        await terminal.answer({
          text: tableText([
            ['target', table.rows.target.name],
            ['run', run.runId],
            ['this worker', `${plural(did.migrated, 'value')} in ${duration(seconds)}`],
            ['rows read', count(did.counts.found + did.counts.empty)],
          ]),
          json: { run_id: run.runId, replaced_by_this_worker: did.migrated, read: did.counts.found },
        })
      } finally {
        progress.done()
        await queue.close()
      }
    } finally {
      await table.close()
    }
    if (terminal.signal.aborted) terminal.note('stopped at a safe point: its ranges go to the other workers')
    terminal.checkStop()
  })
}

/** `longhold reencrypt pause` and `resume`: for all members of a fleet, wherever they are. */
export async function pauseFleet(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: TargetFlags,
  isPaused: boolean,
): Promise<void> {
  const target = await resolveTarget(terminal, targetPath, flags)
  await withProblems(async () => {
    const table = await openFleet(target, { own: [target.column], read: [] }, 'onlooker')
    try {
      const { run, members } = await fleetOf(table)
      await table.pause(run.runId, isPaused)
      const workers = plural(members.length, 'worker')
      await terminal.answer({
        text: isPaused
          ? `run ${run.runId}: ${workers} will wait after what they have read`
          : `run ${run.runId}: ${workers} will go on`,
        json: { run_id: run.runId, paused: isPaused, workers: members.length },
      })
    } finally {
      await table.close()
    }
  })
}

async function fleetOf(table: FleetTable): Promise<FleetState> {
  const state = await table.state()
  if (state !== undefined) return state
  const { name } = table.rows.target
  const latest = await table.rows.latestRun()
  if (latest?.status === 'finished') {
    throw refused(`the newest run on ${name} has finished`, {
      hint: 'longhold reencrypt run --queue begins another one',
    })
  }
  throw stopped(`no fleet is at work on ${name}`, {
    hint: 'longhold reencrypt run --queue postgres://… begins one; then give this command again',
  })
}
