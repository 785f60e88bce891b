/** `longhold reencrypt run`. */

import { randomUUID } from 'node:crypto'

import type { Identity } from '@longhold/core'

import { refused, usage } from '../shell/errors.ts'
import { resolveRecipients } from '../shell/keys.ts'
import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { plural } from '../shell/text.ts'
import type { RowSource } from '../sources/row-source.ts'
import { inRanges, isUnfinished, newRunState, noCounts } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import { readDeadLetters } from './reencrypt-dead-letters.ts'
import { optionalIdentities, runEngine } from './reencrypt-engine.ts'
import type { RetryFlags, RunFlags } from './reencrypt-flags.ts'
import { needKeys } from './reencrypt-formats.ts'
import { resolveObjects } from './reencrypt-objects.ts'
import { reportRun } from './reencrypt-outcome.ts'
import { Pace, runScreen } from './reencrypt-progress.ts'
import { resolveLegacy, resolveTarget } from './reencrypt-settings.ts'
import type { LegacySettings, TargetSettings } from './reencrypt-settings.ts'
import { openSource } from './reencrypt-target.ts'
import { makeThrottle } from './reencrypt-throttle.ts'
import { tryFirstValues } from './reencrypt-trial.ts'

export async function runReencryption(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: RunFlags,
): Promise<void> {
  await execute(terminal, targetPath, flags, async () => undefined)
}

/** `longhold reencrypt retry`: a run over the rows that dead letters name. */
export async function retryReencryption(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: RetryFlags,
): Promise<void> {
  const objects = await resolveObjects(terminal, targetPath, flags)
  if (objects !== undefined) {
    throw usage(`${objects.shown}: dead letters of objects are not tried alone`, {
      hint: 'a new run passes what is done quickly, and tries the others again',
    })
  }
  await execute(terminal, targetPath, flags, async (source) => {
    const { name, kind } = source.target
    if (kind === 'NDJSON file' || kind === 'CSV file') {
      throw usage(`${name}: a new file is written once, and its dead letters are not tried alone`, {
        hint: 'longhold reencrypt rollback removes it; then run again',
      })
    }
    const latest = await source.latestRun()
    if (latest !== undefined && isUnfinished(latest)) {
      throw usage(`the newest run on ${name} is not finished`, {
        hint: 'longhold reencrypt run goes on with it',
      })
    }
    const locators =
      flags.from === undefined
        ? await locatorsOf(source, latest)
        : await readDeadLetters(terminal, flags.from, source.target)
    if (locators.size > 0) return locators
    throw refused(`there are no dead letters of ${name} to try again`, {
      hint: 'longhold reencrypt status shows the newest run; --from names a file of dead letters',
    })
  })
}

async function locatorsOf(source: RowSource, latest: RunState | undefined): Promise<Set<string>> {
  const locators = new Set<string>()
  if (latest === undefined) return locators
  for await (const { locator } of source.deadLetters(latest.runId)) locators.add(locator)
  return locators
}

/** @param choose The locators of the rows that are worked on; undefined: all. */
async function execute(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: RunFlags,
  choose: (source: RowSource) => Promise<ReadonlySet<string> | undefined>,
): Promise<void> {
  if (flags.execute !== true) {
    throw usage('run changes data, and --execute was not given', {
      hint: 'longhold reencrypt plan says what would happen; then add --execute',
    })
  }
  const objects = await resolveObjects(terminal, targetPath, flags)
  if (objects !== undefined) {
    const { runObjects } = await import('./reencrypt-objects-run.ts')
    return await runObjects(terminal, objects, flags, () => optionalIdentities(terminal, flags))
  }
  const target = await resolveTarget(terminal, targetPath, flags)
  if (flags.queue !== undefined) {
    const { runFleet } = await import('./reencrypt-fleet.ts')
    return await runFleet(terminal, target, flags, flags.queue)
  }
  if ((flags.onlyCoordinate ?? flags.rangeRows ?? flags.takeoverSeconds) !== undefined) {
    throw usage('--only-coordinate, --range-rows and --takeover-seconds are for fleets', {
      hint: 'give --queue postgres://… too, or leave them out',
    })
  }
  const legacy = await resolveLegacy(terminal, target, flags)
  if (legacy.privateKeys.length === 0 && needKeys(legacy.formats)) {
    throw usage('no private key to open the old values with', { hint: 'give --private-key FILE' })
  }
  const recipients = await resolveRecipients(terminal, flags)
  const identities = await optionalIdentities(terminal, flags)
  await withProblems(async () => {
    const source = await openSource(target, legacy.columns)
    try {
      const only = await choose(source)
      const run = new RunCommand(terminal, target, legacy, flags, source, only)
      await run.execute(recipients, identities)
    } finally {
      await source.close()
    }
  })
}

class RunCommand {
  readonly #terminal: Terminal
  readonly #target: TargetSettings
  readonly #legacy: LegacySettings
  readonly #flags: RunFlags
  readonly #source: RowSource
  readonly #only: ReadonlySet<string> | undefined

  constructor(
    terminal: Terminal,
    target: TargetSettings,
    legacy: LegacySettings,
    flags: RunFlags,
    source: RowSource,
    only: ReadonlySet<string> | undefined,
  ) {
    this.#terminal = terminal
    this.#target = target
    this.#legacy = legacy
    this.#flags = flags
    this.#source = source
    this.#only = only
  }

  async execute(
    recipients: Awaited<ReturnType<typeof resolveRecipients>>,
    identities: readonly Identity[],
  ): Promise<void> {
    const { config } = this.#target
    const flags = this.#flags
    const finished = await this.#source.finishedRun()
    if (finished !== undefined) return await this.#report(finished, 0, 0)
    const state = await this.#startState()
    // A later pass looks for the few values that an earlier one left.
    if (flags.skipTrial !== true && state.pass === 1 && this.#only === undefined) {
      await tryFirstValues(this.#terminal, {
        source: this.#source,
        legacy: this.#legacy,
        state,
        acceptUnauthenticated: flags.acceptUnauthenticated ?? config['accept-unauthenticated'],
      })
    }
    const progress = new Progress(this.#terminal)
    const pace = new Pace(await this.#source.size())
    const startMs = performance.now()
    let end: RunState
    try {
      end = await runEngine({
        terminal: this.#terminal,
        target: this.#target,
        legacy: this.#legacy,
        flags: this.#flags,
        source: this.#source,
        only: this.#only,
        recipients,
        identities,
        state,
        throttle: makeThrottle(this.#terminal, this.#source, flags, config),
        signal: this.#terminal.signal,
        onProgress: (now) => {
          const done = this.#source.progressOf(now)
          progress.update(pace.line(`pass ${now.pass}`, done), runScreen(now, pace.bar(done)))
        },
      })
    } finally {
      progress.done()
    }
    await this.#report(end, end.migrated - state.migrated, (performance.now() - startMs) / 1000)
  }

  /** The unfinished run on this target, or a new one. */
  async #startState(): Promise<RunState> {
    const { table: tableName, column } = this.#source.target
    const dataset = this.#flags.dataset ?? this.#target.config.dataset
    const latest = await this.#source.latestRun()
    if (latest?.status === 'rolling_back') {
      throw usage(`${this.#source.target.name} is being rolled back`, {
        hint: 'longhold reencrypt rollback goes on with that; then run',
      })
    }
    if (latest === undefined || !isUnfinished(latest)) {
      return newRunState({
        runId: randomUUID(),
        table: tableName,
        column,
        dataset: dataset ?? tableName,
        startedAt: new Date().toISOString(),
        keepsOriginals: this.#flags.originals !== false && this.#target.config.originals,
      })
    }
    if (dataset !== undefined && dataset !== latest.dataset) {
      throw usage(`an unfinished run on ${this.#source.target.name} has the dataset ${latest.dataset}`, {
        hint: `finish it first, with --dataset ${latest.dataset} or without --dataset`,
      })
    }
    const behind = plural(latest.migrated, 'value')
    if (latest.position === inRanges) return await this.#takenFromFleet(latest)
    this.#terminal.note(
      `going on with run ${latest.runId}: pass ${latest.pass}, ${behind} re-encrypted so far`,
    )
    return latest
  }

  /** Its pass begins anew: nobody of the fleet is there, or the lock would not be ours. */
  async #takenFromFleet(run: RunState): Promise<RunState> {
    const state = { ...run, status: 'running' as const, position: undefined, counts: noCounts }
    this.#terminal.note(
      `going on alone with run ${run.runId}, which was a fleet's: pass ${run.pass} begins anew`,
    )
    await this.#source.store(state)
    return state
  }

  async #report(state: RunState, replaced: number, seconds: number): Promise<void> {
    await reportRun(this.#terminal, {
      settings: this.#target,
      path: this.#flags.deadLetters,
      source: this.#source,
      state,
      replaced,
      seconds,
    })
  }
}
