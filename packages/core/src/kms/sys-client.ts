/** A client of what operators do with the root key of a key service. */

import { checkOptions } from '../options.ts'
import { requestError, strangeAnswer } from './problems.ts'
import type {
  AcceptRollbackRequest,
  BackupInfo,
  CreatedSlot,
  CreateSlotRequest,
  InitAnswer,
  InitRequest,
  RollbackAnswer,
  RootRotation,
  SealStatus,
  SlotInfo,
  UnsealRequest,
} from './sys-wire.ts'
import { Transport } from './transport.ts'
import type { Sending, TransportOptions } from './transport.ts'
import type { Page } from './wire.ts'

/** Longer than any backup may take. */
const maxBackupMs = 2 * 60 * 60 * 1000
const beginsWithinMs = 60_000

const sysOptions = ['url', 'token', 'fetch', 'timeoutMs', 'deadlineMs', 'attempts', 'signal'] as const

/**
 * Unseals, seals and looks after the slots of a key service. Every method throws LongholdError: `unavailable` when the
 * service cannot be reached or does not accept the token, `bad_input` when it refuses the request.
 */
export class KmsSysClient {
  /** The address of the service, without a slash at its end. */
  readonly url: string
  readonly #transport: Transport

  /**
   * @param options The token may be left out: status and unsealing take none.
   * @throws LongholdError `bad_input` for an address or token that cannot be one.
   */
  constructor(options: TransportOptions) {
    checkOptions(options, sysOptions, 'KmsSysClient')
    this.#transport = new Transport(options, true)
    this.url = this.#transport.url
  }

  /** Whether the service is sealed, and what would open it. */
  async sealStatus(): Promise<SealStatus> {
    return await this.#ask('GET', '/v1/sys/seal-status', 'seal status')
  }

  /** One attempt; the service takes them one at a time, and makes whoever was wrong wait. */
  async unseal(attempt: UnsealRequest): Promise<SealStatus> {
    return await this.#ask('POST', '/v1/sys/unseal', 'way to unseal it here: use its admin socket', {
      body: attempt,
      kind: 'once',
    })
  }

  /**
   * Goes on with a database that is older than its anchor, for whoever has what opens a slot; the service is unsealed
   * then. Tokens are no proof: those that were revoked since are valid again in such a database.
   */
  async acceptRollback(request: AcceptRollbackRequest): Promise<RollbackAnswer> {
    const what = 'way to accept a rollback here: use its admin socket'
    return await this.#ask('POST', '/v1/sys/accept-rollback', what, { body: request, kind: 'once' })
  }

  /** Sets a service up that was started to wait for it, on its admin socket; it is open then. */
  async init(request: InitRequest = {}): Promise<InitAnswer> {
    const what = 'way to set it up here: use its admin socket'
    return await this.#ask('POST', '/v1/sys/init', what, { body: request, kind: 'once' })
  }

  /** Forgets all keys until somebody unseals; takes the permission `sys.seal`. */
  async seal(): Promise<SealStatus> {
    return await this.#ask('POST', '/v1/sys/seal', 'way to seal it', { kind: 'once' })
  }

  /** All slots; takes the permission `slots.list`. */
  async listSlots(): Promise<SlotInfo[]> {
    const { items } = await this.#ask<{ items: SlotInfo[] }>('GET', '/v1/sys/slots', 'list of slots')
    if (!Array.isArray(items)) throw strangeAnswer(this.url)
    return items
  }

  /** Takes the permission `slots.create`. */
  async addSlot(request: CreateSlotRequest): Promise<CreatedSlot> {
    return await this.#ask('POST', '/v1/sys/slots', 'way to add slots', { body: request })
  }

  /** No revocation: an old backup opens with it as before. Takes the permission `slots.remove`. */
  async removeSlot(slot: string): Promise<void> {
    await this.#ask('DELETE', `/v1/sys/slots/${encodeURIComponent(slot)}`, `slot ${slot}`)
  }

  /** Begins to replace the root key, or goes on with it; takes the permission `root.rotate`. */
  async rotateRoot(): Promise<RootRotation> {
    return await this.#ask('POST', '/v1/sys/root-rotations', 'way to replace the root key')
  }

  /** How far that has come; takes the permission `root.rotate`. */
  async rootRotation(): Promise<RootRotation> {
    return await this.#ask('GET', '/v1/sys/root-rotations', 'rotation of the root key')
  }

  /**
   * A backup of the whole database, sealed to the recipients that the service knows. Say `confirmBackup` once it is on a
   * disk: nobody relies on it before. Takes the permission `backups.create`.
   *
   * @returns Its id, and its bytes as they come; they end with an error where the backup has no end.
   */
  async takeBackup(): Promise<{ backup: string; bytes: ReadableStream<Uint8Array> }> {
    const answer = await this.#transport.receive('POST', '/v1/sys/backups', beginsWithinMs)
    if ('json' in answer) throw requestError(this.url, answer.status, answer.json, 'way to make backups')
    const backup = answer.headers.get('longhold-backup') ?? ''
    if (!/^[0-9a-f]{32}$/.test(backup)) throw strangeAnswer(this.url)
    return { backup, bytes: answer.bytes }
  }

  /** A backup in the folder of the service, once it is there; takes the permission `backups.create`. */
  async writeBackup(): Promise<BackupInfo> {
    const answer = await this.#transport.receive('POST', '/v1/sys/backups?to=folder', maxBackupMs)
    if (!('json' in answer)) throw strangeAnswer(this.url)
    const { status, json } = answer
    if (status !== 201) throw requestError(this.url, status, json, 'way to make backups')
    return json as BackupInfo
  }

  /**
   * Whoever has a backup says that it is whole, and on a disk; takes the permission `backups.create`.
   *
   * @param sha256 Of the file, hexadecimal.
   */
  async confirmBackup(backup: string, sha256: string): Promise<BackupInfo> {
    const path = `/v1/sys/backups/${encodeURIComponent(backup)}/confirm`
    return await this.#ask('POST', path, `backup ${backup}`, { body: { sha256 } })
  }

  /** All backups that are on record; takes the permission `backups.list`. */
  async listBackups(): Promise<BackupInfo[]> {
    const backups: BackupInfo[] = []
    let query = ''
    for (;;) {
      const path = `/v1/sys/backups${query}`
      const page = await this.#ask<Page<BackupInfo>>('GET', path, 'list of backups')
      if (!Array.isArray(page.items)) throw strangeAnswer(this.url)
      backups.push(...page.items)
      if (page.next_cursor === undefined) return backups
      query = `?cursor=${encodeURIComponent(page.next_cursor)}`
    }
  }

  /** Whoever had a backup says that it is deleted; takes the permission `backups.remove`. */
  async removeBackup(backup: string): Promise<void> {
    await this.#ask('DELETE', `/v1/sys/backups/${encodeURIComponent(backup)}`, `backup ${backup}`)
  }

  async #ask<T>(
    method: string,
    path: string,
    what: string,
    sending: Pick<Sending, 'body' | 'kind'> = {},
  ): Promise<T> {
    const { status, json } = await this.#transport.send(method, path, sending)
    if (status < 200 || status > 299) throw requestError(this.url, status, json, what)
    // The service's schemas are checked against these types where it is built.
    return json as T
  }
}
