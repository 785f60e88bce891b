/** Backups that the service writes itself, into a place that is configured: when asked, and when one is due. */

import type { BackupUnderWay, Backups } from './backups.ts'
import { ServiceError } from './errors.ts'
import type { Caller } from './policy.ts'
import type { BackupRow } from './rows.ts'
import type { Timekeeper } from './timekeeper.ts'
import { hasEnded } from './trusted-time.ts'

/** Where files of backups lie. */
export interface BackupPlace {
  /**
   * A new file, whole or not at all.
   *
   * @throws ServiceError `storage_unavailable`, also where the name is taken; and whatever the pieces throw.
   */
  write(fileName: string, pieces: AsyncIterable<Uint8Array>): Promise<void>
  /** Nothing where there is none. Throws ServiceError `storage_unavailable`. */
  remove(fileName: string): Promise<void>
}

/** What an operator says of them. */
export interface BackupKeeping {
  readonly place?: BackupPlace | undefined
  /** Undefined: only when asked. */
  readonly everyMs?: number | undefined
  /** How often to look whether one is due; default: every minute. */
  readonly lookEveryMs?: number | undefined
  /** Told of each that was due. */
  readonly onBackup?: ((outcome: BackupRow | ServiceError) => void) | undefined
}

const minuteMs = 60_000
/** After one that failed. */
const pauseMs = 15 * minuteMs

export class BackupKeeper {
  readonly #backups: Backups
  readonly #time: Timekeeper
  readonly #keeping: BackupKeeping
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #notBefore = 0

  constructor(backups: Backups, time: Timekeeper, keeping: BackupKeeping = {}) {
    this.#backups = backups
    this.#time = time
    this.#keeping = keeping
  }

  /** Looks again and again whether one is due, and deletes those that are over. */
  start(): void {
    const { place, lookEveryMs = minuteMs } = this.#keeping
    if (place === undefined) return
    this.#timer ??= setInterval(() => {
      this.#running ??= this.keep().finally(() => {
        this.#running = undefined
      })
    }, lookEveryMs).unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#backups.close()
    await this.#running
  }

  /** One round of what it does by itself. Never throws: `onBackup` is told. */
  async keep(): Promise<void> {
    const { place, everyMs, onBackup } = this.#keeping
    try {
      if (place === undefined) return
      const { latest } = await this.#time.current()
      if (everyMs !== undefined && latest >= this.#notBefore && (await this.#isDue(latest, everyMs))) {
        this.#notBefore = latest + Math.min(everyMs, pauseMs)
        const row = await this.write(undefined)
        if (row !== undefined) onBackup?.(row)
      }
      await this.#removeExpired(place)
    } catch (error) {
      onBackup?.(error instanceof ServiceError ? error : new ServiceError('internal', 'a backup failed'))
    }
  }

  /**
   * A backup in the place that is configured.
   *
   * @returns Undefined for a dry run.
   * @throws ServiceError as `Backups.begin`; `invalid_state` where no place is configured.
   */
  async write(caller: Caller | undefined): Promise<BackupRow | undefined> {
    const { place } = this.#keeping
    if (place === undefined) {
      throw new ServiceError('invalid_state', 'no folder for backups is configured', {
        hint: 'name one (backup-folder), or take the backup yourself: longhold kms backup --output FILE',
      })
    }
    const underWay = await this.#backups.begin(caller, fileNameOf)
    if (underWay === undefined) return undefined
    const { backup } = underWay.row
    try {
      await this.#writeFile(place, underWay)
    } catch (error) {
      // Nothing of it is left, and nothing has left.
      await this.#backups.remove(undefined, backup).catch(() => undefined)
      throw error
    }
    const sha256 = (await this.#backups.get(backup)).sha256 ?? new Uint8Array(0)
    return await this.#backups.confirm(caller, backup, sha256)
  }

  /** Deletes the file where the service has it, then forgets the backup. Throws as `Backups.remove`. */
  async remove(caller: Caller | undefined, backup: string): Promise<void> {
    const { fileName } = await this.#backups.get(backup)
    if (fileName !== null && caller?.isDryRun !== true) await this.#keeping.place?.remove(fileName)
    await this.#backups.remove(caller, backup)
  }

  async #writeFile(place: BackupPlace, underWay: BackupUnderWay): Promise<void> {
    try {
      await place.write(underWay.row.fileName ?? fileNameOf(underWay.row), underWay.pieces())
    } finally {
      await underWay.close()
    }
  }

  /** By any node: the newest counts, wherever it is. */
  async #isDue(now: number, everyMs: number): Promise<boolean> {
    const confirmed = (await this.#backups.every()).filter(({ confirmedAt }) => confirmedAt !== null)
    return confirmed.every(({ takenAt }) => takenAt + everyMs <= now)
  }

  async #removeExpired(place: BackupPlace): Promise<void> {
    const seen = await this.#time.current()
    for (const { backup, fileName, expiresAt } of await this.#backups.every()) {
      if (fileName === null || !hasEnded(seen, expiresAt)) continue
      await place.remove(fileName)
      await this.#backups.remove(undefined, backup)
    }
  }
}

function fileNameOf({ backup, takenAt }: Pick<BackupRow, 'backup' | 'takenAt'>): string {
  const at = new Date(takenAt).toISOString().replace(/[-:]|\.\d+/gu, '')
  return `longhold-kms-${at}-${backup}.lhb`
}
