/** A process at work for a fleet: `longhold reencrypt worker`, and the coordinator's own part. */

import { randomUUID } from 'node:crypto'

import type { Identity, Recipient } from '@longhold/core'

import { FleetSource } from '../reencrypt/fleet-member.ts'
import { Throttle } from '../reencrypt/throttle.ts'
import type { Terminal } from '../shell/terminal.ts'
import type { FleetConfiguration, FleetLimits, FleetQueue, FleetTable } from '../sources/fleet.ts'
import { newRunState } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import { runEngine } from './reencrypt-engine.ts'
import type { RunFlags } from './reencrypt-flags.ts'
import { checkConfiguration, thisMember } from './reencrypt-fleet-settings.ts'
import type { LegacySettings, TargetSettings } from './reencrypt-settings.ts'

export interface MemberSettings {
  readonly terminal: Terminal
  readonly target: TargetSettings
  readonly legacy: LegacySettings
  readonly flags: RunFlags
  readonly table: FleetTable
  readonly queue: FleetQueue
  readonly run: RunState
  readonly configuration: FleetConfiguration
  /** Of this process; the fleet's are shared among its members. */
  readonly limits: FleetLimits
  readonly recipients: readonly Recipient[]
  readonly identities: readonly Identity[]
  readonly signal: AbortSignal
  readonly onProgress: (state: RunState) => void
}

/** A commit that takes longer than five usual ones says that the database has other things to do. */
const latencyFactor = 5

/** Works until the run has ended or the signal comes. @returns What this process did. */
export async function workForFleet(settings: MemberSettings): Promise<RunState> {
  const { terminal, table, queue, run, configuration, limits, signal } = settings
  const source = new FleetSource({
    table,
    queue,
    runId: run.runId,
    member: thisMember(randomUUID()),
    checkFacts: (facts) => checkConfiguration(configuration, facts.configuration),
    signal,
  })
  const share = (whole: number | undefined, own: number | undefined): number | undefined => {
    const part = whole === undefined ? Infinity : whole / Math.max(1, source.facts?.members.length ?? 1)
    const least = Math.min(part, own ?? Infinity)
    return least === Infinity ? undefined : least
  }
  const throttle = new Throttle({
    get rowsPerSecond() {
      return share(source.facts?.limits.rowsPerSecond, limits.rowsPerSecond)
    },
    get bytesPerSecond() {
      return share(source.facts?.limits.bytesPerSecond, limits.bytesPerSecond)
    },
    isPaused: async () => (await source.look())?.isPaused === true,
    latencyFactor,
    signal,
    onPause: (isPaused) => terminal.note(isPaused ? 'paused, with the whole fleet' : 'going on'),
  })
  const { runId, table: tableName, column, dataset, keepsOriginals, startedAt } = run
  const state = newRunState({ runId, table: tableName, column, dataset, keepsOriginals, startedAt })
  try {
    return await runEngine({ ...settings, source, state, throttle })
  } finally {
    await source.leave()
  }
}
