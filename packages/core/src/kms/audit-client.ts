/** Reads and checks the audit log of a key service; reached as `client.audit`. */

import type { AuditEntry, AuditFilterQuery, AuditVerdict, CheckpointInfo } from './audit-wire.ts'
import type { KeysRequests } from './keys-client.ts'
import type { Page } from './wire.ts'

/** Every method throws LongholdError as those of KmsClient do. Reading the log is in the log. */
export class KmsAudit {
  readonly #requests: KeysRequests

  /** Not for callers: `client.audit` is one. */
  constructor(requests: KeysRequests) {
    this.#requests = requests
  }

  /** Entries, oldest first, a page at a time: a log has no upper bound. */
  async *events(filter: AuditFilterQuery = {}): AsyncGenerator<AuditEntry[]> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, value)
    query.set('limit', '1000')
    for (;;) {
      const path = `/v1/audit/events?${query.toString()}`
      const page = await this.#requests.ask<Page<AuditEntry>>('GET', path, 'audit log')
      if (page.items.length > 0) yield page.items
      if (page.next_cursor === undefined) return
      query.set('cursor', page.next_cursor)
    }
  }

  /** A new checkpoint, signed by the service. */
  async checkpoint(): Promise<CheckpointInfo> {
    return await this.#requests.ask('POST', '/v1/audit/checkpoints', 'way to make checkpoints')
  }

  /** All checkpoints, ascending. */
  async listCheckpoints(): Promise<CheckpointInfo[]> {
    return await this.#requests.askAll('/v1/audit/checkpoints', 'list of checkpoints')
  }

  /** Checks the whole log, and holds it against checkpoints (their lines) that were kept elsewhere. */
  async verify(checkpoints: readonly string[] = []): Promise<AuditVerdict> {
    const body = { checkpoints: [...checkpoints] }
    return await this.#requests.ask('POST', '/v1/audit/verify', 'check of the audit log', { body })
  }
}
