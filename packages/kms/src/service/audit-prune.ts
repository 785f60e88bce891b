/**
 * Takes entries out of the audit log that are kept elsewhere: those up to the heads of a signed checkpoint, once whoever
 * asks has shown that he has an export of exactly these. A row says so for ever; entries are deleted after it is
 * durable, in batches, and from then on nobody reads them: an end in between leaves nothing but work.
 */

import { createHash } from 'node:crypto'

import { equalBytes, fromHex, toHex } from '@longhold/core'

import { chainStart, entryMac } from './audit-chain.ts'
import { auditHeads } from './audit-heads.ts'
import type { AuditLog } from './audit-log.ts'
import type { PreviousRun } from './audit-rows.ts'
import { macOf, newestPruning, startsAfter } from './audit-starts.ts'
import type { AuditStarts } from './audit-starts.ts'
import { insert } from './changes.ts'
import { readCheckpoint } from './checkpoint.ts'
import { integrityViolation, ServiceError } from './errors.ts'
import type { AuditRow, KeyStore } from './key-store.ts'
import type { Ledger } from './ledger.ts'
import type { OwnKeys } from './own-keys.ts'
import type { Caller } from './policy.ts'
import type { AuditHeadRow, PruningRow, Stored } from './rows.ts'
import type { Signer } from './signing.ts'
import type { Timekeeper } from './timekeeper.ts'
import { hasEnded } from './trusted-time.ts'

const pageSize = 100
/** Other writers wait for so many. */
const forgottenAtOnce = 500

export interface AuditPruningOptions {
  readonly store: Pick<KeyStore, 'auditEntries' | 'forgetAuditEntries'>
  readonly ledger: Ledger
  readonly signer: Signer
  readonly ownKeys: OwnKeys
  readonly audit: AuditLog
  readonly time: Timekeeper
  /** How old a checkpoint has to be; undefined: the log is kept for ever. */
  readonly retentionMs: number | undefined
}

export interface PruneRequest {
  /** A line of `signCheckpoint`. */
  readonly checkpoint: string
  /** 32 bytes: SHA-256 of the export, a line of `exportLine` for each entry. */
  readonly exportSha256: Uint8Array
}

/** An entry in an export. */
export function exportLine({ run, seq, body, mac }: AuditRow): string {
  return `${JSON.stringify({ run, seq, body, mac: toHex(mac) })}\n`
}

export class AuditPruning {
  readonly #options: AuditPruningOptions
  #forgetting: Promise<void> | undefined
  #known: { readonly pruning: number | undefined; readonly starts: AuditStarts } | undefined
  #isClosed = false

  constructor(options: AuditPruningOptions) {
    this.#options = options
  }

  /** Where the log begins. */
  async starts(): Promise<AuditStarts> {
    const { ledger, signer } = this.#options
    const newest = await newestPruning(ledger)
    // Its row never changes, and its checkpoint may be long.
    if (this.#known?.pruning !== newest?.pruning || this.#known === undefined) {
      this.#known = { pruning: newest?.pruning, starts: startsAfter(signer, newest) }
    }
    return this.#known.starts
  }

  /** Ascending. */
  async list(page: { after: number | undefined; limit: number }): Promise<Stored<PruningRow>[]> {
    const after = page.after === undefined ? undefined : { pruning: page.after }
    return await this.#options.ledger.rows('prunings', { after, limit: page.limit })
  }

  /**
   * Entries up to the checkpoint are no more part of the log when this returns.
   *
   * @throws ServiceError `malformed_request` for a checkpoint of somebody else; `invalid_state` when the log is kept, the
   * checkpoint is too young or nothing new, or the export is another; `integrity_violation` when the log is not whole
   * up to the checkpoint: then it is evidence.
   */
  async prune(caller: Caller, { checkpoint: line, exportSha256 }: PruneRequest): Promise<PruningRow> {
    const { ledger, signer, audit, time, retentionMs } = this.#options
    const checkpoint = readCheckpoint(signer, line)
    const { number } = checkpoint
    if (retentionMs === undefined) {
      throw new ServiceError('invalid_state', 'this service keeps its audit log for ever', {
        hint: 'for how long is said where it is configured: audit-retention',
      })
    }
    if (!hasEnded(await time.current(), checkpoint.at + retentionMs)) {
      const until = new Date(checkpoint.at + retentionMs).toISOString()
      throw new ServiceError('invalid_state', `entries up to checkpoint ${number} are kept until ${until}`, {
        hint: 'take an older checkpoint',
      })
    }
    const before = await newestPruning(ledger)
    if (before !== undefined && before.checkpoint >= number) {
      throw new ServiceError('invalid_state', `the log begins at checkpoint ${before.checkpoint} already`)
    }
    const starts = startsAfter(signer, before)
    const { entries, sha256 } = await this.#digest(checkpoint.chains, starts).catch(
      async (error: unknown) => {
        // What somebody else took away meanwhile is not missing.
        throw (await newestPruning(ledger))?.pruning === before?.pruning ? error : atTheSameTime()
      },
    )
    if (!equalBytes(sha256, exportSha256)) {
      throw new ServiceError('invalid_state', 'the export is not what is to be deleted', {
        hint: `export the entries up to checkpoint ${number} again: longhold kms audit export`,
      })
    }
    const row: PruningRow = {
      pruning: (before?.pruning ?? 0) + 1,
      checkpoint: number,
      line,
      entries,
      exportSha256: toHex(sha256),
      prunedAt: await time.latest(),
      prunedBy: caller.principal.token,
    }
    const what = { checkpoint: number, rows: entries, sha256: row.exportSha256 }
    const event = { action: 'audit.prune' as const, caller, ...what }
    if ((await audit.commit(event, [insert('prunings', row)])) === 'conflict') {
      throw atTheSameTime()
    }
    if (caller.isDryRun !== true) this.forget()
    return row
  }

  /** Deletes what is no more part of the log, in the background; also what an earlier run had no time for. */
  forget(): void {
    const before = this.#forgetting ?? Promise.resolve()
    // What is left is nobody's business but the disk's: the next start goes on with it.
    this.#forgetting = before.then(() => this.#forget()).catch(() => undefined)
  }

  /** Once nothing is being deleted. */
  async settled(): Promise<void> {
    await this.#forgetting
  }

  /** Stops after the batch under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#forgetting
  }

  async #forget(): Promise<void> {
    const { store } = this.#options
    for (const { run, seq: through } of (await this.starts()).values()) {
      for (let gone = forgottenAtOnce; gone === forgottenAtOnce && !this.#isClosed;) {
        gone = await store.forgetAuditEntries(run, { through, limit: forgottenAtOnce })
      }
    }
  }

  /** Of the export of these chains, from where each begins; every entry is checked on the way. */
  async #digest(
    chains: readonly PreviousRun[],
    starts: AuditStarts,
  ): Promise<{ entries: number; sha256: Uint8Array }> {
    const heads = new Map((await auditHeads(this.#options.ledger)).map((head) => [head.run, head]))
    const hash = createHash('sha256')
    let entries = 0
    for (const end of chains) {
      const head = heads.get(end.run)
      if (head === undefined || head.seq < end.seq) throw notWhole(end.run)
      for await (const entry of this.#checked(head, starts.get(end.run), end)) {
        hash.update(exportLine(entry))
        entries += 1
      }
    }
    return { entries, sha256: new Uint8Array(hash.digest()) }
  }

  async *#checked(
    head: AuditHeadRow,
    start: PreviousRun | undefined,
    end: PreviousRun,
  ): AsyncGenerator<AuditRow> {
    const { store, signer, ownKeys } = this.#options
    const { run, ordinal, startedAt, chainKeyVersion } = head
    const key = ownKeys.version('audit-chain', chainKeyVersion)
    if (key === undefined) throw notWhole(run)
    const chain = { clusterId: signer.clusterId, run, ordinal, startedAt, key }
    let mac = start === undefined ? chainStart : macOf(start)
    let seq = start?.seq ?? 0
    while (seq < end.seq) {
      const page = await store.auditEntries(run, { after: seq, limit: Math.min(pageSize, end.seq - seq) })
      if (page.length === 0) throw notWhole(run)
      for (const entry of page) {
        seq += 1
        const expected = entryMac(chain, seq, mac, entry.body)
        if (entry.seq !== seq || !equalBytes(expected, entry.mac)) throw notWhole(run)
        mac = entry.mac
        yield entry
      }
      // Answers of others, in between.
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (!equalBytes(mac, fromHex(end.mac) ?? chainStart)) throw notWhole(run)
  }
}

function atTheSameTime(): ServiceError {
  return new ServiceError('invalid_state', 'somebody else prunes the log at the same time', {
    hint: 'see how far it went, then try again',
  })
}

function notWhole(run: string): ServiceError {
  return integrityViolation(`chain ${run} of the audit log`)
}
