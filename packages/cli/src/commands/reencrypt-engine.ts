/** The engine of a run with the settings that flags and configuration give it, for one process alone and for members of a fleet. */

import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'

import { LongholdError, openKeyringKey, parseKeyringKey, toHex } from '@longhold/core'
import type { Identity, OpenKeyringKey, Recipient, Suite } from '@longhold/core'

import { defaultLife } from '../reencrypt/data-keys.ts'
import { reencrypt } from '../reencrypt/run.ts'
import type { Throttle } from '../reencrypt/throttle.ts'
import { WorkerPool } from '../reencrypt/worker-pool.ts'
import { loadConfig } from '../shell/config.ts'
import { usage } from '../shell/errors.ts'
import { openKmsClient } from '../shell/key-service.ts'
import { resolveIdentities } from '../shell/keys.ts'
import type { KeyOptions } from '../shell/keys.ts'
import { suitesOf } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'
import type { RowSource } from '../sources/row-source.ts'
import type { RunState } from '../sources/run-state.ts'
import type { RunFlags } from './reencrypt-flags.ts'
import { columnsAsAsked } from './reencrypt-settings.ts'
import type { LegacySettings, TargetSettings } from './reencrypt-settings.ts'
import type { WorkerSettings } from './reencrypt-worker.ts'

const batchBytes = 4 * 1024 * 1024
const hourMs = 3_600_000

export interface EngineSettings {
  readonly terminal: Terminal
  readonly target: TargetSettings
  readonly legacy: LegacySettings
  readonly flags: RunFlags
  readonly source: RowSource
  readonly recipients: readonly Recipient[]
  readonly identities: readonly Identity[]
  readonly state: RunState
  /** Locators of the rows that are worked on; undefined: all. */
  readonly only?: ReadonlySet<string> | undefined
  readonly throttle: Throttle
  readonly signal: AbortSignal
  readonly onProgress: (state: RunState) => void
}

/** @throws CliError (exit 2) as `openKeyring`; Problem */
export async function runEngine(settings: EngineSettings): Promise<RunState> {
  const { target, legacy, flags, source, recipients, identities, state } = settings
  const { config } = target
  const suites = await suitesOf(recipients)
  using keyringKey = await openKeyring(settings, suites)
  const digestKey = Uint8Array.from(randomBytes(32))
  const { table, column, columns } = source.target
  const worker: WorkerSettings = {
    table,
    column,
    columns: columnsAsAsked(legacy),
    formats: legacy.formats,
    privateKeys: legacy.privateKeys,
    acceptUnauthenticated: flags.acceptUnauthenticated ?? config['accept-unauthenticated'],
    isConsumerReady: flags.consumerReady ?? config['consumer-ready'],
    digestKey,
  }
  if (columns.length !== worker.columns.length)
    throw new Error('the source has other columns than were asked for')
  const pool = new WorkerPool(workerUrl(), worker, flags.workers ?? config.workers ?? availableParallelism())
  try {
    return await reencrypt({
      source,
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
        maxAgeMs: (flags.dataKeyHours ?? config['data-key-hours'] ?? defaultLife.maxAgeMs / hourMs) * hourMs,
      },
      batchRows: flags.batchRows ?? config['batch-rows'] ?? 256,
      batchBytes,
      checkEvery: flags.checkEvery ?? config['check-every'] ?? 1000,
      maxPasses: maxPassesOf(settings),
      digestKey,
      only: settings.only,
      throttle: settings.throttle,
      signal: settings.signal,
      onProgress: settings.onProgress,
    })
  } finally {
    await pool.close()
  }
}

/** A run needs no identity; with one it proves that what it writes can be read. */
export async function optionalIdentities(terminal: Terminal, flags: KeyOptions): Promise<Identity[]> {
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

export function maxPassesOf({ flags, target }: Pick<EngineSettings, 'flags' | 'target'>): number {
  return flags.maxPasses ?? target.config['max-passes'] ?? 10
}

/** @throws CliError (exit 2) for a reference that leads to no keyring key in the target, or one that does not open. */
async function openKeyring(
  { flags, target, source, identities }: EngineSettings,
  suites: readonly Suite[],
): Promise<OpenKeyringKey | undefined> {
  const reference = flags.keyringKey ?? target.config['keyring-key']
  if (reference === undefined) return undefined
  if (identities.length === 0) {
    throw usage('--keyring-key needs an identity that opens it', {
      hint: 'give --identity FILE, or --kms-url URL with --kms-token-file FILE',
    })
  }
  const { name } = source.target
  try {
    const keyringKey = parseKeyringKey(reference)
    const stored = await source.dataKey(toHex(keyringKey.keyId))
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

/** Beside this file, in the form this file runs in: source or compiled. */
function workerUrl(): URL {
  return new URL(`./reencrypt-worker${extname(import.meta.url)}`, import.meta.url)
}
