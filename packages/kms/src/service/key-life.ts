/** Everything that happens to keys, put together: from their making to the end of their last version. */

import type { Secret } from '@longhold/core'

import { Aliases } from './aliases.ts'
import type { AuditLog } from './audit-log.ts'
import { Census } from './census.ts'
import { issueDataKeys } from './data-keys.ts'
import type { NewDataKeys } from './data-keys.ts'
import type { DecapsulationQueues } from './decapsulation-queue.ts'
import { checkDestroy, holding } from './destroy-check.ts'
import type { KnownBackup } from './destroy-check.ts'
import { ServiceError } from './errors.ts'
import type { Identities } from './identities.ts'
import { minDestroyWaitMs } from './key-settings.ts'
import { exportKey, importKey } from './key-transport.ts'
import type { ExportedKey } from './key-transport.ts'
import { Keys } from './keys.ts'
import type { KeySummary, NewKey } from './keys.ts'
import type { Ledger } from './ledger.ts'
import { sharerOf } from './policy.ts'
import type { Caller } from './policy.ts'
import { decapsulate } from './raw-kem.ts'
import type { Root } from './root.ts'
import type { VersionRow } from './rows.ts'
import { Timekeeper } from './timekeeper.ts'
import type { TimeSeen } from './trusted-time.ts'
import { Turns } from './turns.ts'
import { Upkeep } from './upkeep.ts'
import type { UpkeepReport } from './upkeep.ts'
import { UsageLog } from './usage.ts'
import { Versions } from './versions.ts'

/** What can be set, and seldom is. */
export interface KeyLifeSettings {
  /** A clock that cannot be set, in milliseconds. */
  readonly steadyMs?: (() => number) | undefined
  /** Shorter than seven days in tests only. */
  readonly shortestDestroyWaitMs?: number | undefined
  /** Time between two rounds of what the service does by itself; default 30,000. */
  readonly upkeepEveryMs?: number | undefined
  /** Told what the service did by itself. */
  readonly onUpkeep?: ((report: UpkeepReport) => void) | undefined
}

export interface KeyLifeOptions extends KeyLifeSettings {
  readonly ledger: Ledger
  readonly root: Root
  readonly identities: Identities
  readonly queues: DecapsulationQueues
  readonly audit: AuditLog
  readonly now: () => number
  /** The copies of the database that are known. */
  readonly backups: () => Promise<readonly KnownBackup[]>
  /** Takes away what is over. */
  readonly sweep: () => Promise<void>
}

export class KeyLife {
  readonly keys: Keys
  readonly versions: Versions
  readonly aliases: Aliases
  readonly census: Census
  readonly usage: UsageLog
  readonly time: Timekeeper
  readonly upkeep: Upkeep
  readonly #options: KeyLifeOptions
  readonly #backups: () => Promise<readonly KnownBackup[]>

  constructor(options: KeyLifeOptions) {
    const { ledger: reads, root, identities, audit, now } = options
    const { steadyMs = () => performance.now(), shortestDestroyWaitMs = minDestroyWaitMs } = options
    const turns = new Turns()
    const time = new Timekeeper({ reads, now, steadyMs })
    const keys = new Keys({ reads, root, identities, audit, turns, now, shortestDestroyWaitMs })
    const versions = new Versions({ reads, root, identities, audit, keys, time, turns })
    const usage = new UsageLog({ reads, audit, now })
    this.keys = keys
    this.versions = versions
    this.time = time
    this.usage = usage
    this.aliases = new Aliases({ reads, audit, keys, now })
    this.census = new Census({ reads, audit, keys, now })
    this.upkeep = new Upkeep({
      reads,
      audit,
      time,
      usage,
      versions,
      sweep: options.sweep,
      onRound: options.onUpkeep,
      everyMs: options.upkeepEveryMs,
    })
    this.#options = options
    this.#backups = options.backups
  }

  /** Data keys made here and wrapped for the primary of a key, or of what an alias stands for. */
  issueDataKeys(caller: Caller, name: string, wanted: NewDataKeys): ReturnType<typeof issueDataKeys> {
    const { ledger: reads, audit, queues, now } = this.#options
    const queue = queues.of(sharerOf(caller.principal))
    return issueDataKeys({ reads, audit, keys: this.keys, queue, now }, caller, name, wanted)
  }

  /** The shared secret of an encapsulation, for keys of this purpose alone. The caller wipes it. */
  decapsulate(caller: Caller, key: string, version: number, encapsulatedKey: Uint8Array): Promise<Secret> {
    const { identities, queues } = this.#options
    const { keys, versions, usage } = this
    const queue = queues.of(sharerOf(caller.principal))
    return decapsulate({ keys, versions, usage, identities, queue }, caller, key, version, encapsulatedKey)
  }

  exportKey(caller: Caller, key: string, recipient: string): Promise<ExportedKey> {
    return exportKey({ ...this.#options, keys: this.keys }, caller, key, recipient)
  }

  importKey(
    caller: Caller,
    wanted: NewKey,
    packaged: { sealed: Uint8Array; packagedAs: string },
  ): Promise<KeySummary> {
    return importKey({ ...this.#options, keys: this.keys }, caller, wanted, packaged)
  }

  checkDestroy(caller: Caller, key: string, version: number): ReturnType<typeof checkDestroy> {
    const { keys, versions, usage, time } = this
    const options = { reads: this.#options.ledger, keys, versions, usage, time, backups: this.#backups }
    return checkDestroy(options, caller, key, version)
  }

  /** The copies that hold the seed of a version. */
  async backupsHolding(version: VersionRow): Promise<KnownBackup[]> {
    return holding(await this.#backups(), version)
  }

  /** An operator has looked at the clock and found it right. */
  async acceptClock(caller: Caller): Promise<TimeSeen> {
    const { change, seen, done } = await this.time.accept()
    const event = { action: 'clock.accept' as const, caller }
    if ((await this.#options.audit.commit(event, [change])) === 'conflict') {
      throw new ServiceError('invalid_state', 'another node wrote the time meanwhile', { hint: 'try again' })
    }
    if (caller.isDryRun !== true) done()
    return seen
  }
}
