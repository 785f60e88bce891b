/**
 * Copies of the database for the day it is lost. Each is an envelope to recipients outside the service, who alone open
 * it: the service has no identity for them. It is on record before its first byte leaves, since a copy that was cut
 * short holds what it holds; nobody relies on it before whoever has it says that it is whole.
 */

import { createHash, randomBytes } from 'node:crypto'

import { equalBytes, toHex } from '@longhold/core'
import type { PublicKeyRecipient } from '@longhold/core'

import { putBack } from './anchor.ts'
import type { AuditLog } from './audit-log.ts'
import { sealedBackup } from './backup-stream.ts'
import { insert, remove, update } from './changes.ts'
import { openHead } from './cluster-head.ts'
import type { KnownBackup } from './destroy-check.ts'
import { integrityViolation, notFound, ServiceError } from './errors.ts'
import { everyRow } from './key-store.ts'
import type { HeadRow, KeyStore, Snapshot } from './key-store.ts'
import type { Ledger } from './ledger.ts'
import type { Caller } from './policy.ts'
import type { Root } from './root.ts'
import type { RowMacs } from './row-mac.ts'
import type { BackupRow, Stored } from './rows.ts'
import type { Timekeeper } from './timekeeper.ts'
import { hasEnded } from './trusted-time.ts'

const dayMs = 24 * 60 * 60 * 1000
export const defaultBackupLifeMs = 90 * dayMs
/** A database is not kept as it was for longer, however slowly its backup is taken. */
const defaultMaxMs = 60 * 60 * 1000
/** How many that are over are forgotten with each new one. */
const forgottenAtOnce = 100

/** What an operator says of backups. */
export interface BackupSettings {
  /** Who can open them; without any, there are none. */
  readonly recipients: readonly PublicKeyRecipient[]
  /** How long they are kept; default 90 days. */
  readonly lifeMs?: number | undefined
  /** How long one may take; default an hour. */
  readonly maxMs?: number | undefined
}

export interface BackupsOptions {
  readonly store: Pick<KeyStore, 'snapshot'>
  readonly ledger: Ledger
  readonly macs: RowMacs
  readonly root: Root
  readonly audit: AuditLog
  readonly time: Timekeeper
  readonly now: () => number
  readonly settings: BackupSettings | undefined
}

/** One that is being taken. */
export interface BackupUnderWay {
  readonly row: BackupRow
  /** Once. The last piece comes when its digest is on record. Throws what stopped it. */
  pieces(): AsyncGenerator<Uint8Array>
  /** Whatever became of it. */
  close(): Promise<void>
}

export class Backups {
  readonly #options: BackupsOptions
  #underWay: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined

  constructor(options: BackupsOptions) {
    this.#options = options
  }

  get isConfigured(): boolean {
    return (this.#options.settings?.recipients.length ?? 0) > 0
  }

  /** Whether one is being taken here. */
  get isBusy(): boolean {
    return this.#underWay !== undefined
  }

  /**
   * Begins one: on record when this returns.
   *
   * @param fileName Where the service writes it itself.
   * @returns Undefined for a dry run.
   * @throws ServiceError `no_backup_recipients`, `invalid_state` while another is under way here,
   * `integrity_violation`, `rollback_detected`, `audit_unavailable`, `storage_unavailable`.
   */
  async begin(
    caller: Caller | undefined,
    fileName: (row: Pick<BackupRow, 'backup' | 'takenAt'>) => string | null = () => null,
  ): Promise<BackupUnderWay | undefined> {
    const { audit, time, ledger, settings } = this.#options
    const { recipients = [], lifeMs = defaultBackupLifeMs } = settings ?? {}
    ledger.requireSound()
    if (recipients.length === 0) {
      throw new ServiceError('no_backup_recipients', 'no recipients of backups are configured', {
        hint: 'make an identity elsewhere (longhold keygen), and name a file with its recipient: backup-recipients',
      })
    }
    if (this.#underWay !== undefined) {
      throw new ServiceError('invalid_state', 'another backup is under way', {
        hint: 'try again when it is done',
      })
    }
    const abort = new AbortController()
    let end = (): void => undefined
    const underWay = { abort, ended: new Promise<void>((resolve) => (end = resolve)) }
    this.#underWay = underWay
    const release = (): void => {
      if (this.#underWay === underWay) this.#underWay = undefined
      end()
    }
    try {
      if (caller?.isDryRun !== true) await this.#forget()
      const backup = toHex(randomBytes(16))
      // Before the snapshot: what is younger may be in it all the same, what is older is.
      const takenAt = await time.latest()
      const row: BackupRow = {
        backup,
        takenAt,
        expiresAt: takenAt + lifeMs,
        recipientIds: recipients.map(({ recipientId }) => toHex(recipientId)),
        fileName: fileName({ backup, takenAt }),
        epoch: null,
        byteLength: null,
        sha256: null,
        confirmedAt: null,
      }
      const event = {
        action: 'backup.create' as const,
        caller,
        backup,
        recipientIds: row.recipientIds,
        expiresAt: row.expiresAt,
      }
      // Nothing leaves that is not on record.
      if ((await audit.commit(event, [insert('backups', row)])) === 'conflict') throw movedOn()
      if (caller?.isDryRun === true) {
        release()
        return undefined
      }
      return await this.#take(row, recipients, abort, release)
    } catch (error) {
      release()
      throw error
    }
  }

  /**
   * Whoever has it says that it is whole, and on a disk.
   *
   * @throws ServiceError `not_found`; `invalid_state` for another file than the one that was handed out.
   */
  async confirm(caller: Caller | undefined, backup: string, sha256: Uint8Array): Promise<BackupRow> {
    const { audit, now } = this.#options
    const row = await this.#row(backup)
    if (row.sha256 === null || !equalBytes(row.sha256, sha256)) {
      throw new ServiceError('invalid_state', 'this is not the backup as it was handed out', {
        hint: 'part of it is missing or altered: delete it and make another one',
      })
    }
    if (row.confirmedAt !== null) return row
    const confirmed = { ...row, confirmedAt: now() }
    const event = { action: 'backup.confirm' as const, caller, backup }
    if ((await audit.commit(event, [update('backups', row, confirmed)])) === 'conflict') throw movedOn()
    return confirmed
  }

  /**
   * Whoever had it says that it is deleted.
   *
   * @returns What was known of it.
   * @throws ServiceError `not_found`.
   */
  async remove(caller: Caller | undefined, backup: string): Promise<BackupRow> {
    const row = await this.#row(backup)
    const event = { action: 'backup.remove' as const, caller, backup }
    const outcome = await this.#options.audit.commit(event, [remove('backups', row)])
    if (outcome === 'conflict') throw movedOn()
    return row
  }

  /** In the order of their ids. */
  async list(page: { after: string | undefined; limit: number }): Promise<BackupRow[]> {
    const after = page.after === undefined ? undefined : { backup: page.after }
    return await this.#options.ledger.rows('backups', { after, limit: page.limit })
  }

  /** @throws ServiceError `not_found`. */
  async get(backup: string): Promise<BackupRow> {
    return await this.#row(backup)
  }

  /** All that there are. */
  async every(): Promise<Stored<BackupRow>[]> {
    return await everyRow(this.#options.ledger, 'backups')
  }

  /** For whoever asks what is lost, or lives on, with a version. */
  async known(): Promise<KnownBackup[]> {
    const { time } = this.#options
    const seen = await time.current()
    return (await this.every()).map(({ backup, takenAt, expiresAt, confirmedAt }) => ({
      backup,
      takenAt,
      expiresAt,
      isConfirmed: confirmedAt !== null,
      hasExpired: hasEnded(seen, expiresAt),
    }))
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    const underWay = this.#underWay
    underWay?.abort.abort(new ServiceError('draining', 'the service stops'))
    await underWay?.ended
  }

  async #take(
    row: BackupRow,
    recipients: readonly PublicKeyRecipient[],
    abort: AbortController,
    release: () => void,
  ): Promise<BackupUnderWay> {
    const { store, root, macs, settings } = this.#options
    const snapshot = await store.snapshot()
    let isClosed = false
    let running: AsyncGenerator<Uint8Array> | undefined
    const close = async (): Promise<void> => {
      if (isClosed) return
      isClosed = true
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      try {
        if (!signal.aborted) abort.abort(new ServiceError('invalid_state', 'the backup was given up'))
        await running?.return(undefined)
        await snapshot.close()
      } finally {
        release()
      }
    }
    const { signal } = abort
    const onAbort = (): void => void close().catch(() => undefined)
    const timer = setTimeout(() => {
      abort.abort(new ServiceError('invalid_state', 'the backup took too long', { hint: 'take it faster' }))
    }, settings?.maxMs ?? defaultMaxMs).unref()
    signal.addEventListener('abort', onAbort)
    try {
      signal.throwIfAborted()
      const head = await this.#headOf(snapshot)
      const { backup, takenAt } = row
      const source = { backup, takenAt, snapshot, head, root, macs, recipients, signal }
      const sealed = sealedBackup(source)
      let isWhole = false
      running = this.#finished(row.backup, head.epoch, sealed, () => void (isWhole = true))
      const pieces = running
      return {
        row,
        // What was ended from outside must not seem to have come to its end.
        async *pieces() {
          yield* pieces
          if (!isWhole) throw signal.reason
        },
        close,
      }
    } catch (error) {
      await close()
      throw error
    }
  }

  /** Holds the last piece back until size and digest are on record. */
  async *#finished(
    backup: string,
    epoch: number,
    sealed: AsyncGenerator<Uint8Array>,
    onWhole: () => void,
  ): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256')
    let byteLength = 0
    let held: Uint8Array | undefined
    for await (const piece of sealed) {
      hash.update(piece)
      byteLength += piece.length
      if (held !== undefined) yield held
      held = piece
    }
    const row = await this.#row(backup)
    const sha256 = new Uint8Array(hash.digest())
    const event = { action: 'backup.finish' as const, backup, epoch, sha256: toHex(sha256) }
    const changes = [update('backups', row, { epoch, byteLength, sha256 })]
    if ((await this.#options.audit.commit(event, changes)) === 'conflict') throw movedOn()
    if (held !== undefined) yield held
    onWhole()
  }

  /** Not older than what this process has seen: a backup of a database that was put back would seem to be a newer one. */
  async #headOf(snapshot: Snapshot): Promise<HeadRow> {
    const { ledger, macs } = this.#options
    const row = await snapshot.head()
    if (row === undefined) throw integrityViolation('the database, without a cluster head,')
    openHead(macs, row)
    if (row.epoch < ledger.highestEpoch) throw putBack(row.epoch, ledger.highestEpoch)
    return row
  }

  /** Those that are over, and that others keep: the service deletes its own files first. */
  async #forget(): Promise<void> {
    const { time, audit } = this.#options
    const seen = await time.current()
    const rows = await this.every()
    const over = rows.filter(({ fileName, expiresAt }) => fileName === null && hasEnded(seen, expiresAt))
    if (over.length === 0) return
    const changes = over.slice(0, forgottenAtOnce).map((row) => remove('backups', row))
    // In conflict: another node does the same.
    await audit.commit({ action: 'backup.expire', rows: changes.length }, changes)
  }

  async #row(backup: string): Promise<Stored<BackupRow>> {
    const row = await this.#options.ledger.row('backups', { backup })
    if (row === undefined) throw notFound('the backup')
    return row
  }
}

function movedOn(): ServiceError {
  return new ServiceError('invalid_state', 'another node changed what is known of this backup', {
    hint: 'try again',
  })
}
