/** Makes checkpoints, now and then or when asked, and keeps them for whoever takes them elsewhere. */

import { toHex } from '@longhold/core'

import { auditHeads } from './audit-heads.ts'
import type { AuditLog } from './audit-log.ts'
import { insert } from './changes.ts'
import { signCheckpoint } from './checkpoint.ts'
import type { Checkpoint, FinalVersion, KeyProgress, NewestBackup } from './checkpoint.ts'
import { ServiceError } from './errors.ts'
import { allRows } from './key-store.ts'
import type { Ledger } from './ledger.ts'
import type { Caller } from './policy.ts'
import type { CheckpointRow, Stored } from './rows.ts'
import type { Signer } from './signing.ts'

const defaultEveryMs = 60 * 60 * 1000
const maxAttempts = 5

/** Where checkpoints are kept besides the database. */
export interface CheckpointCopies {
  /**
   * Does nothing where it is there already.
   *
   * @throws ServiceError `storage_unavailable`.
   */
  write(row: CheckpointRow): Promise<void>
}

export interface CheckpointSettings {
  /** Default: none. */
  readonly copies?: CheckpointCopies | undefined
  /** How often there is one, while something changes; default: an hour. */
  readonly everyMs?: number | undefined
  /** Told when one could not be made or copied; the next round tries again. */
  readonly onFailure?: ((error: unknown) => void) | undefined
}

export interface CheckpointsOptions extends CheckpointSettings {
  readonly ledger: Ledger
  readonly signer: Signer
  readonly audit: AuditLog
  readonly now: () => number
}

export class Checkpoints {
  readonly #options: CheckpointsOptions
  #timer: NodeJS.Timeout | undefined
  /** What the newest one made here saw: without anything new there is none to make. */
  #epochAfter: number | undefined
  #running: Promise<unknown> | undefined
  /** The newest that is copied, with all before it. */
  #copied = 0
  #copying: Promise<void> = Promise.resolve()

  constructor(options: CheckpointsOptions) {
    this.#options = options
  }

  /** One now and then, as long as something changes; one at once where they are copied. */
  start(): void {
    const { copies, everyMs = defaultEveryMs, onFailure = () => undefined } = this.#options
    const round = () => {
      this.#running = this.#makeDue().catch(onFailure)
    }
    this.#timer ??= setInterval(round, everyMs).unref()
    if (copies !== undefined) round()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  /**
   * A new checkpoint, signed and kept.
   *
   * @throws ServiceError `audit_unavailable`, `storage_unavailable`, `integrity_violation`; `invalid_state` when others
   * were faster every time.
   */
  async create(caller: Caller | undefined): Promise<CheckpointRow> {
    const { ledger, signer, audit, now } = this.#options
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const checkpoint = (await this.newest())?.checkpoint ?? 0
      const at = now()
      const line = signCheckpoint(signer, await this.#describe(checkpoint + 1, at))
      const row: CheckpointRow = { checkpoint: checkpoint + 1, line, createdAt: at }
      const event = { action: 'audit.checkpoint' as const, caller, checkpoint: row.checkpoint }
      if ((await audit.commit(event, [insert('checkpoints', row)])) === 'done') {
        if (caller?.isDryRun === true) return row
        this.#epochAfter = (await ledger.head()).epoch
        // Whoever asked has it in the answer, whatever becomes of the copy.
        await this.#copy().catch(this.#options.onFailure)
        return row
      }
    }
    throw new ServiceError('invalid_state', 'others make checkpoints at the same time', { hint: 'try again' })
  }

  /** Ascending. */
  async list(page: { after: number | undefined; limit: number }): Promise<Stored<CheckpointRow>[]> {
    const after = page.after === undefined ? undefined : { checkpoint: page.after }
    return await this.#options.ledger.rows('checkpoints', { after, limit: page.limit })
  }

  async newest(): Promise<CheckpointRow | undefined> {
    let newest: CheckpointRow | undefined
    for await (const rows of allRows(this.#options.ledger, 'checkpoints')) newest = rows.at(-1)
    return newest
  }

  async #makeDue(): Promise<void> {
    if ((await this.#options.ledger.head()).epoch !== this.#epochAfter) await this.create(undefined)
    else await this.#copy()
  }

  /** All that are not copied yet, those among them that other nodes or earlier runs made. */
  async #copy(): Promise<void> {
    const { copies, ledger } = this.#options
    if (copies === undefined) return
    const before = this.#copying
    const copying = (async () => {
      await before.catch(() => undefined)
      for (let rows = await this.#uncopied(ledger); rows.length > 0; rows = await this.#uncopied(ledger)) {
        for (const row of rows) {
          await copies.write(row)
          this.#copied = row.checkpoint
        }
      }
    })()
    this.#copying = copying
    await copying
  }

  async #uncopied(ledger: Ledger): Promise<CheckpointRow[]> {
    return await ledger.rows('checkpoints', { after: { checkpoint: this.#copied }, limit: 100 })
  }

  async #describe(number: number, at: number): Promise<Checkpoint> {
    const { ledger } = this.#options
    const { epoch, mac } = await ledger.sealedHead()
    const heads = await auditHeads(ledger)
    const finalVersions: FinalVersion[] = []
    for await (const rows of allRows(ledger, 'versions')) {
      for (const { key, version, state, compromisedAt } of rows) {
        if (state === 'destroyed') finalVersions.push({ key, version, state })
        // Whatever came of it since: a destruction that is to come can be called off.
        else if (compromisedAt !== null) finalVersions.push({ key, version, state: 'compromised' })
      }
    }
    const keys: KeyProgress[] = []
    for await (const rows of allRows(ledger, 'keys')) {
      keys.push(...rows.map(({ key, latestVersion, generation }) => ({ key, latestVersion, generation })))
    }
    let newestBackup: NewestBackup | null = null
    for await (const rows of allRows(ledger, 'backups')) {
      for (const { backup, epoch: its, sha256, confirmedAt } of rows) {
        if (its === null || sha256 === null || confirmedAt === null) continue
        if (newestBackup === null || newestBackup.epoch < its) {
          newestBackup = { backup, epoch: its, sha256: toHex(sha256) }
        }
      }
    }
    const chains = heads.map(({ run, seq, lastMac }) => ({ run, seq, mac: toHex(lastMac) }))
    return { number, at, epoch, headMac: toHex(mac), chains, finalVersions, keys, newestBackup }
  }
}
