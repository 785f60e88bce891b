/** `longhold reencrypt run`. */

import { randomBytes, randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'

import { LongholdError, openKeyringKey, parseKeyringKey, toHex } from '@longhold/core'
import type { Identity, OpenKeyringKey, Suite } from '@longhold/core'

import { defaultLife } from '../reencrypt/data-keys.ts'
import { reencrypt } from '../reencrypt/run.ts'
import { WorkerPool } from '../reencrypt/worker-pool.ts'
import { loadConfig } from '../shell/config.ts'
import { refused, stopped, usage } from '../shell/errors.ts'
import { openKmsClient } from '../shell/key-service.ts'
import { resolveIdentities, resolveRecipients } from '../shell/keys.ts'
import type { KeyOptions } from '../shell/keys.ts'
import { Progress } from '../shell/progress.ts'
import { suitesOf } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import type { RowSource } from '../sources/row-source.ts'
import { isUnfinished, newRunState } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import { readDeadLetters, writeDeadLetters } from './reencrypt-dead-letters.ts'
import type { RetryFlags, RunFlags } from './reencrypt-flags.ts'
import { resolveObjects } from './reencrypt-objects.ts'
import { Pace, runScreen } from './reencrypt-progress.ts'
import { duration, honestJson, honestText, runJson, runRows } from './reencrypt-report.ts'
import { columnsAsAsked, resolveLegacy, resolveTarget } from './reencrypt-settings.ts'
import type { LegacySettings, TargetSettings } from './reencrypt-settings.ts'
import { openSource } from './reencrypt-target.ts'
import { makeThrottle } from './reencrypt-throttle.ts'
import { tryFirstValues } from './reencrypt-trial.ts'
import type { WorkerSettings } from './reencrypt-worker.ts'

const batchBytes = 4 * 1024 * 1024
const hourMs = 3_600_000

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
  const legacy = await resolveLegacy(terminal, target, flags)
  if (legacy.privateKeys.length === 0) {
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

/** A run needs no identity; with one it proves that what it writes can be read. */
async function optionalIdentities(terminal: Terminal, flags: KeyOptions): Promise<Identity[]> {
  const { identity } = await loadConfig(terminal)
  const hasFile = (flags.identity ?? identity).length > 0
  if (!hasFile && (await openKmsClient(terminal, flags)) === undefined) {
    terminal.warn(
      'without an identity nothing proves that the recipients can open what is written',
      'give --identity FILE, or --kms-url URL with --kms-token-file FILE, to have each data key tried first',
    )
    return []
  }
  return (await resolveIdentities(terminal, flags)).map((named) => named.identity)
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
    const suites = await suitesOf(recipients)
    using keyringKey = await this.#keyringKey(identities, suites)
    const state = await this.#startState()
    // A later pass looks for the few values that an earlier one left.
    if (flags.skipTrial !== true && state.pass === 1 && this.#only === undefined) {
      await tryFirstValues(this.#terminal, {
        source: this.#source,
        legacy: this.#legacy,
        state,
        acceptUnauthenticated: this.#acceptUnauthenticated,
      })
    }
    const digestKey = Uint8Array.from(randomBytes(32))
    const { table: tableName, column, columns } = this.#source.target
    const settings: WorkerSettings = {
      table: tableName,
      column,
      columns: columnsAsAsked(this.#legacy),
      formats: this.#legacy.formats,
      privateKeys: this.#legacy.privateKeys,
      acceptUnauthenticated: this.#acceptUnauthenticated,
      isConsumerReady: this.#flags.consumerReady ?? this.#target.config['consumer-ready'],
      digestKey,
    }
    if (columns.length !== settings.columns.length)
      throw new Error('the source has other columns than were asked for')
    const pool = new WorkerPool(
      workerUrl(),
      settings,
      flags.workers ?? config.workers ?? availableParallelism(),
    )
    const progress = new Progress(this.#terminal)
    const pace = new Pace(await this.#source.size())
    const startMs = performance.now()
    let end: RunState
    try {
      end = await reencrypt({
        source: this.#source,
        transformer: pool,
        state,
        dataset: state.dataset,
        recipients,
        identities,
        suites,
        keyringKey,
        life: {
          maxRecords: flags.dataKeyRecords ?? config['data-key-records'] ?? defaultLife.maxRecords,
          maxBytes: flags.dataKeyBytes ?? config['data-key-bytes'] ?? defaultLife.maxBytes,
          maxAgeMs:
            (flags.dataKeyHours ?? config['data-key-hours'] ?? defaultLife.maxAgeMs / hourMs) * hourMs,
        },
        batchRows: flags.batchRows ?? config['batch-rows'] ?? 256,
        batchBytes,
        checkEvery: flags.checkEvery ?? config['check-every'] ?? 1000,
        maxPasses: flags.maxPasses ?? config['max-passes'] ?? 10,
        digestKey,
        only: this.#only,
        throttle: makeThrottle(this.#terminal, this.#source, flags, config),
        signal: this.#terminal.signal,
        onProgress: (now) => {
          const done = this.#source.progressOf(now)
          progress.update(pace.line(`pass ${now.pass}`, done), runScreen(now, pace.bar(done)))
        },
      })
    } finally {
      progress.done()
      await pool.close()
    }
    await this.#report(end, end.migrated - state.migrated, (performance.now() - startMs) / 1000)
  }

  /** @throws CliError (exit 2) for a reference that leads to no keyring key in the target, or one that does not open. */
  async #keyringKey(
    identities: readonly Identity[],
    suites: readonly Suite[],
  ): Promise<OpenKeyringKey | undefined> {
    const reference = this.#flags.keyringKey ?? this.#target.config['keyring-key']
    if (reference === undefined) return undefined
    if (identities.length === 0) {
      throw usage('--keyring-key needs an identity that opens it', {
        hint: 'give --identity FILE, or --kms-url URL with --kms-token-file FILE',
      })
    }
    const { name } = this.#source.target
    try {
      const keyringKey = parseKeyringKey(reference)
      const stored = await this.#source.dataKey(toHex(keyringKey.keyId))
      if (stored === undefined) {
        throw usage(`there is no such keyring key beside the rows of ${name}`, {
          hint: 'makeKeyringKey of the library makes it there, and returns the reference',
        })
      }
      return await openKeyringKey(keyringKey, stored.wrappedKey, { identities, suites })
    } catch (error) {
      if (!(error instanceof LongholdError) || error.code === 'unavailable') throw error
      throw usage(`--keyring-key: ${error.message}`, {
        hint:
          error.hint ??
          'is it the reference that the application is configured with, and the identity one of its recipients?',
        cause: error,
      })
    }
  }

  get #acceptUnauthenticated(): boolean {
    return this.#flags.acceptUnauthenticated ?? this.#target.config['accept-unauthenticated']
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
    this.#terminal.note(
      `going on with run ${latest.runId}: pass ${latest.pass}, ${behind} re-encrypted so far`,
    )
    return latest
  }

  async #report(state: RunState, replaced: number, seconds: number): Promise<void> {
    const deadLetters = await writeDeadLetters(this.#terminal, {
      path: this.#flags.deadLetters ?? this.#target.deadLetters,
      target: this.#target,
      source: this.#source,
      state,
    })
    const perSecond = seconds > 0 ? Math.round(replaced / seconds) : 0
    const { target } = this.#source
    await this.#terminal.answer({
      text: [
        table([
          ['target', target.name],
          ['run', state.status === 'finished' ? 'finished' : `${state.status} in pass ${state.pass}`],
          ...runRows(state),
          [
            'this time',
            `${plural(replaced, 'value')} in ${duration(seconds)}, ${count(perSecond)} per second`,
          ],
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
    this.#judge(state, deadLetters)
  }

  #judge({ status, counts, pass }: RunState, deadLetters: string | undefined): void {
    if (status !== 'finished' && this.#terminal.signal.aborted) {
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
}

/** Beside this file, in the form this file runs in: source or compiled. */
function workerUrl(): URL {
  return new URL(`./reencrypt-worker${extname(import.meta.url)}`, import.meta.url)
}
