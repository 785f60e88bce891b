/** A client of what operators do with the root key of a key service. */

import { checkOptions } from '../options.ts'
import { requestError, strangeAnswer } from './problems.ts'
import type {
  AcceptRollbackRequest,
  CreatedSlot,
  CreateSlotRequest,
  RollbackAnswer,
  RootRotation,
  SealStatus,
  SlotInfo,
  UnsealRequest,
} from './sys-wire.ts'
import { Transport } from './transport.ts'
import type { Sending, TransportOptions } from './transport.ts'

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
