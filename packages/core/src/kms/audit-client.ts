/** Reads and checks the audit log of a key service; reached as `client.audit`. */

import { LongholdError } from '../errors.ts'
import type { AuditEntry, AuditFilterQuery, AuditVerdict, CheckpointInfo, PruningInfo } from './audit-wire.ts'
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

  /**
   * The entries that a checkpoint covers and that were not pruned yet, oldest first. An export of them is a line for each,
   * `auditExportLine`.
   *
   * @param line Of a checkpoint of this service. Its signature is for the service to check.
   * @throws LongholdError `malformed` for what is no checkpoint.
   */
  async *covered(line: string): AsyncGenerator<AuditEntry[]> {
    const ends = endsIn(line)
    const last = [...ends.keys()].at(-1)
    for await (const entries of this.events()) {
      const covered = entries.filter(({ run, seq }) => seq <= (ends.get(run) ?? 0))
      if (covered.length > 0) yield covered
      // Chains come in their order: what is behind the last one is younger.
      const newest = entries.at(-1)
      if (newest === undefined || !ends.has(newest.run)) return
      if (newest.run === last && newest.seq >= (ends.get(newest.run) ?? 0)) return
    }
  }

  /**
   * Deletes the entries that a checkpoint covers.
   *
   * @param exportSha256 Of the export of exactly these (`covered`), hexadecimal.
   */
  async prune(line: string, exportSha256: string): Promise<PruningInfo> {
    const body = { checkpoint: line, export_sha256: exportSha256 }
    return await this.#requests.ask('POST', '/v1/audit/prunings', 'way to prune the audit log', { body })
  }

  /** Whether `prune` would be done. Throws what it would throw. */
  async checkPrune(line: string, exportSha256: string): Promise<void> {
    const body = { checkpoint: line, export_sha256: exportSha256 }
    await this.#requests.ask('POST', '/v1/audit/prunings?dry_run=true', 'way to prune the audit log', {
      body,
    })
  }

  /** All prunings, ascending. */
  async listPrunings(): Promise<PruningInfo[]> {
    return await this.#requests.askAll('/v1/audit/prunings', 'list of prunings')
  }

  /** Checks the whole log, and holds it against checkpoints (their lines) that were kept elsewhere. */
  async verify(checkpoints: readonly string[] = []): Promise<AuditVerdict> {
    const body = { checkpoints: [...checkpoints] }
    return await this.#requests.ask('POST', '/v1/audit/verify', 'check of the audit log', { body })
  }
}

/** One entry in an export: a line of JSON, with its end. Never throws. */
export function auditExportLine({ run, seq, body, mac }: AuditEntry): string {
  return `${JSON.stringify({ run, seq, body, mac })}\n`
}

function endsIn(line: string): Map<string, number> {
  try {
    const { body } = JSON.parse(line) as { body: string }
    const { chains } = JSON.parse(body) as { chains: { run: string; seq: number }[] }
    return new Map(chains.map(({ run, seq }) => [run, seq]))
  } catch {
    throw new LongholdError('malformed', 'this is no checkpoint of the key service')
  }
}
