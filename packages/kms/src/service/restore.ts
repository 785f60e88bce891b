/**
 * Brings a backup back into an empty database. It is read twice: first all is checked and nothing written, then it is
 * written in one transaction and checked again. Who interrupts it finds a database that is empty, or restored.
 *
 * The epoch goes on above every one there can have been: an anchor of before takes the database for a newer one, and
 * the database that was lost, should it come back, for an older one.
 */

import { createHash } from 'node:crypto'

import { toHex } from '@longhold/core'
import { permissions } from '@longhold/core/kms'

import type { AnchoredHead } from './anchor.ts'
import { extend } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import { badBackup } from './backup-errors.ts'
import type { Manifest } from './backup-format.ts'
import { readBackup } from './backup-reader.ts'
import type { BackupFile, OpenedBackup } from './backup-reader.ts'
import { readCheckpoint } from './checkpoint.ts'
import type { Checkpoint, FinalVersion, NewestBackup } from './checkpoint.ts'
import { HeadChange, sealHead } from './cluster-head.ts'
import { ServiceError } from './errors.ts'
import type { Filling, HeadRow, KeyStore } from './key-store.ts'
import { newChain } from './new-chain.ts'
import { RestorePlan } from './restore-plan.ts'
import type { Aftermath, PlannedRow } from './restore-plan.ts'
import type { AuditHeadRow, CheckpointRow, ClusterRow, Rows, Stored, TableName } from './rows.ts'
import { fingerprint, Signer } from './signing.ts'
import type { SlotOpener } from './slot-opener.ts'
import { makeSlot, slotKeys } from './slots.ts'
import { bootstrapLifeMs, makeToken } from './tokens.ts'

/** More commits than any database can have made since its last backup. */
const epochJump = 1_000_000_000_000

/** A backup, and what is known apart from it. */
export interface BackupCheck {
  readonly file: BackupFile
  /** Of the signing identity, as it was printed when the service was set up; with spaces or without. */
  readonly fingerprint: string
  /** Lines of checkpoints that were kept elsewhere. */
  readonly checkpoints?: readonly string[] | undefined
  /** What is left where the anchor was, and where that is. */
  readonly anchored?: AnchoredHead | undefined
  /** `41:57`, where the backup's epoch is 41, and 57 is known to have been; `any`. */
  readonly epochs?: string | undefined
}

/** Where a backup goes. */
export interface RestoreTarget {
  /** Empty. */
  readonly store: KeyStore
  /** For the new slot. */
  readonly opener: SlotOpener
  /** The only token there is then: called before anything can be seen. */
  readonly keepToken: (text: string) => void
}

export interface RestoreOptions extends BackupCheck {
  /** Asked for once the backup was checked: before, nothing is made. What it gives stays the caller's. */
  readonly target: () => Promise<RestoreTarget>
}

/** What a backup holds: keys, versions and entries of the log are counted; times are milliseconds since 1970. */
export interface BackupReport {
  readonly backup: string
  readonly clusterId: string
  readonly fingerprint: string
  /** Milliseconds since 1970. */
  readonly takenAt: number
  /** Of its cluster head: one more with every commit. */
  readonly epoch: number
  /** How many. */
  readonly keys: number
  /** How many, of all keys. */
  readonly versions: number
  /** How many, of the audit log. */
  readonly entries: number
  /** Of the file, in bytes. */
  readonly byteLength: number
  /** Of the file, hexadecimal. */
  readonly sha256: string
}

/** What became of it: where it went on, what ended, and what is lost. */
export interface RestoreReport extends BackupReport {
  /** Of the new cluster head: above all there were. */
  readonly newEpoch: number
  readonly head: HeadRow
  /** How many. */
  readonly tokensEnded: number
  /** Versions that were more in the backup than they may be. */
  readonly merged: readonly FinalVersion[]
  /** Versions that a checkpoint knows of and the backup does not. */
  readonly lost: readonly { readonly key: string; readonly from: number; readonly to: number }[]
  readonly lostKeys: readonly string[]
}

/**
 * Reads a backup from end to end, and writes nothing.
 *
 * @throws ServiceError `wrong_identity`, `bad_backup`, `wrong_service` for that of another service,
 * `rollback_detected` where a newer database is known and its epochs were not given, `bad_config` for a checkpoint of
 * somebody else.
 */
export async function checkBackup(check: BackupCheck): Promise<BackupReport> {
  return (await examine(check)).report
}

/**
 * @throws ServiceError as `checkBackup`; `already_initialised` for a database that is not empty, `storage_unavailable`,
 * `slot_unavailable`.
 */
export async function restoreBackup({ target, ...check }: RestoreOptions): Promise<RestoreReport> {
  const { report, manifest, aftermath, highestEpoch, newest } = await examine(check)
  const { store, opener, keepToken } = await target()
  const at = await store.now()
  const newEpoch = Math.max(report.epoch, highestEpoch) + epochJump
  if (!Number.isSafeInteger(newEpoch)) throw badBackup('its epoch is too high to go on')
  const filling = await store.fill()
  try {
    let written: Writing | undefined
    await readBackup(check.file, async (opened) => {
      requireIdentity(opened, check.fingerprint)
      if (!isSame(opened.manifest, manifest)) throw badBackup('it was exchanged while it was read')
      const { backup, epoch, byteLength } = report
      const sha256 = new Uint8Array(Buffer.from(report.sha256, 'hex'))
      const plan = new RestorePlan({
        root: opened.root,
        at,
        aftermath,
        itself: { backup, epoch, byteLength, sha256 },
      })
      written = new Writing({ opened, plan, filling, at, opener, keepToken, newEpoch, newest })
      return written
    })
    const { plan, head } = written ?? {}
    if (plan === undefined || head === undefined) throw badBackup('it has no end')
    const { tokensEnded, merged, lost, lostKeys } = plan
    return { ...report, newEpoch, head, tokensEnded, merged, lost, lostKeys }
  } finally {
    await filling.close()
  }
}

interface Examined {
  readonly report: BackupReport
  readonly manifest: Manifest
  readonly aftermath: Aftermath
  /** Of what is known apart from the backup; 0: nothing. */
  readonly highestEpoch: number
  /** The newest checkpoint that was given, if it is newer than those in the backup. */
  readonly newest: CheckpointRow | undefined
}

async function examine({ file, ...known }: BackupCheck): Promise<Examined> {
  const hash = createHash('sha256')
  let byteLength = 0
  const counted: BackupFile = {
    identities: file.identities,
    async *read() {
      for await (const piece of file.read()) {
        hash.update(piece)
        byteLength += piece.length
        yield piece
      }
    },
  }
  const counts = { keys: 0, versions: 0, entries: 0, checkpoint: 0 }
  let found: { manifest: Manifest; print: string; given: Checkpoint[]; lines: readonly string[] } | undefined
  await readBackup(counted, async (opened) => {
    const signer = requireIdentity(opened, known.fingerprint)
    const lines = known.checkpoints ?? []
    const given = lines.map((line) => ownCheckpoint(signer, line))
    found = { manifest: opened.manifest, print: fingerprint(signer.publicKey), given, lines }
    requireEpochs(opened.manifest, given, known)
    return {
      async rows({ table, rows }) {
        if (table === 'keys') counts.keys += rows.length
        if (table === 'versions') counts.versions += rows.length
        for (const row of rows)
          if ('checkpoint' in row) counts.checkpoint = Math.max(counts.checkpoint, row.checkpoint)
      },
      async entries(entries) {
        counts.entries += entries.length
      },
      end: async () => undefined,
    }
  })
  if (found === undefined) throw badBackup('it has no end')
  const { manifest, print, given, lines } = found
  const { backup, clusterId, takenAt, head } = manifest
  const { keys, versions, entries } = counts
  const index = given.reduce((best, { number }, at) => (number > (given[best]?.number ?? 0) ? at : best), 0)
  const newest = given[index]
  const line = lines[index]
  const isNewer = newest !== undefined && line !== undefined && newest.number > counts.checkpoint
  return {
    report: {
      backup,
      clusterId,
      fingerprint: print,
      takenAt,
      epoch: head.epoch,
      keys,
      versions,
      entries,
      byteLength,
      sha256: hash.digest('hex'),
    },
    manifest,
    aftermath: {
      finalVersions: given.flatMap(({ finalVersions }) => finalVersions),
      keys: given.flatMap((checkpoint) => checkpoint.keys),
    },
    highestEpoch: highestOf(given, known.anchored),
    newest: isNewer ? { checkpoint: newest.number, line, createdAt: newest.at } : undefined,
  }
}

/** That of the service which made it. Whoever knows a recipient can make a backup; nobody else has this seed. */
function requireIdentity({ root, ownKeys }: OpenedBackup, pinned: string): Signer {
  const signer = ownKeys.newest('signing').secret.use((seed) => new Signer(root.clusterId, seed))
  const print = fingerprint(signer.publicKey)
  if (digitsOf(print) === digitsOf(pinned)) return signer
  throw new ServiceError(
    'wrong_service',
    `the backup is that of another service, whose fingerprint is ${print}`,
    {
      hint: 'compare it with the one that clients pin; somebody may have put the file there',
    },
  )
}

function requireEpochs(
  { head, clusterId }: Manifest,
  given: readonly Checkpoint[],
  { anchored, epochs }: Pick<BackupCheck, 'anchored' | 'epochs'>,
): void {
  if (anchored !== undefined && toHex(anchored.clusterId) !== clusterId) {
    throw new ServiceError('wrong_service', 'the anchor that is there is that of another cluster', {
      hint: 'move it away, or give the anchor of the service that is restored',
    })
  }
  const known = highestOf(given, anchored)
  const there = `${head.epoch}:${known}`
  if (head.epoch >= known || epochs === 'any' || epochs === there) return
  const what = `the backup is at epoch ${head.epoch}, and the database was at ${known} later`
  const newer = newerBackup(head.epoch, given)
  const better =
    newer === undefined
      ? 'give a newer backup'
      : `there is a newer backup, ${newer.backup}, SHA-256 ${newer.sha256}`
  throw new ServiceError('rollback_detected', what, {
    hint: `what was done between is lost: ${better}; or, to go on with this one: --epochs ${there}`,
  })
}

/** Somebody who writes where backups lie can put an old one in the place of a new one. */
function newerBackup(epoch: number, given: readonly Checkpoint[]): NewestBackup | undefined {
  return given
    .flatMap(({ newestBackup }) => newestBackup ?? [])
    .toSorted((a, b) => b.epoch - a.epoch)
    .find((backup) => backup.epoch > epoch)
}

function highestOf(given: readonly Checkpoint[], anchored: AnchoredHead | undefined): number {
  return Math.max(0, anchored?.epoch ?? 0, ...given.map(({ epoch }) => epoch))
}

function ownCheckpoint(signer: Signer, line: string): Checkpoint {
  try {
    return readCheckpoint(signer, line)
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'malformed_request') throw error
    throw new ServiceError('bad_config', error.message, {
      hint: 'give a checkpoint of the service that is restored',
    })
  }
}

function isSame(a: Manifest, b: Manifest): boolean {
  return a.backup === b.backup && a.head.epoch === b.head.epoch && toHex(a.head.mac) === toHex(b.head.mac)
}

function digitsOf(text: string): string {
  return text.replaceAll(/\s/gu, '').toLowerCase()
}

interface WritingParts {
  readonly opened: OpenedBackup
  readonly plan: RestorePlan
  readonly filling: Filling
  readonly at: number
  readonly opener: SlotOpener
  readonly keepToken: (text: string) => void
  readonly newEpoch: number
  readonly newest: CheckpointRow | undefined
}

/** The second reading: what was checked goes into the database, as the plan says. */
class Writing {
  readonly plan: RestorePlan
  head: HeadRow | undefined
  readonly #parts: WritingParts
  readonly #all = new HeadChange()
  #cluster: ClusterRow | undefined
  #lastHead: AuditHeadRow | undefined
  #hasItself = false

  constructor(parts: WritingParts) {
    this.#parts = parts
    this.plan = parts.plan
  }

  async rows({ table, rows }: { table: TableName; rows: readonly Stored<Rows[TableName]>[] }): Promise<void> {
    const planned = rows.flatMap((row) => this.plan.rows(table, row))
    for (const row of rows) {
      // `table` says of which kind the rows are.
      if (table === 'cluster') this.#cluster = row as Stored<ClusterRow>
      if (table === 'backups' && 'backup' in row)
        this.#hasItself ||= row.backup === this.#parts.opened.manifest.backup
      if (table !== 'audit_heads') continue
      const head = row as Stored<AuditHeadRow>
      if (head.ordinal > (this.#lastHead?.ordinal ?? 0)) this.#lastHead = head
    }
    await this.#write(planned)
  }

  async entries(entries: Parameters<Filling['entries']>[0]): Promise<void> {
    await this.#parts.filling.entries(entries)
  }

  async end(): Promise<void> {
    const { opened, filling, at, opener, keepToken, newEpoch, newest } = this.#parts
    const { root, ownKeys, macs, manifest } = opened
    if (this.#cluster === undefined || !this.#hasItself) throw badBackup('it does not hold what it has to')
    const slot = await this.#slot(this.#cluster, opener)
    const token = makeToken(
      ownKeys.newest('token-pepper'),
      { name: 'bootstrap', principal: null, permissions, keys: null, expiresAt: at + bootstrapLifeMs },
      { createdBy: null, now: at },
    )
    const last = this.#lastHead
    const chain = newChain(root, ownKeys, { ordinal: (last?.ordinal ?? 0) + 1, startedAt: at })
    const event = {
      action: 'service.restore' as const,
      previous: last && [{ run: last.run, seq: last.seq, mac: toHex(last.lastMac) }],
      backup: manifest.backup,
      epoch: manifest.head.epoch,
      checkpoint: newest?.checkpoint,
      token: token.row.token,
      slot: slot.slot,
      slotKind: slot.kind,
    }
    const audit = extend(chain, undefined, [encodeEvent(event, at)])
    await this.#write([
      { table: 'slots', row: slot, generation: 1 },
      { table: 'tokens', row: token.row, generation: 1 },
      ...(newest === undefined ? [] : [{ table: 'checkpoints' as const, row: newest, generation: 1 }]),
      { table: 'audit_heads', row: audit.head, generation: audit.head.seq },
    ])
    await filling.entries(audit.entries)
    const head = sealHead(macs, this.#all.applyTo(undefined, newEpoch))
    keepToken(token.text)
    await filling.finish(head)
    this.head = head
  }

  /** The roots that there are, in one slot and no other. */
  async #slot({ rootVersion, nextRootVersion }: ClusterRow, opener: SlotOpener): Promise<Rows['slots']> {
    const { opened, at } = this.#parts
    const { root } = opened
    const slot = await makeSlot(root, { label: 'restored', opener }, at)
    if (nextRootVersion === null) return slot
    const keys = slotKeys(root, slot)
    try {
      // While the root is replaced: the one that was before too.
      const address = { clusterId: root.clusterId, slot: slot.slot, kind: slot.kind }
      const sealedRoot = await root.wrapFor(address, rootVersion, keys)
      return { ...slot, rootVersion, sealedRoot, nextRoot: slot.sealedRoot }
    } finally {
      keys.authKey.wipe()
    }
  }

  async #write(planned: readonly PlannedRow[]): Promise<void> {
    const { opened, filling } = this.#parts
    for (const [table, rows] of Map.groupBy(planned, (one) => one.table)) {
      const stored = rows.map(({ row, generation }) => {
        const { mac, addend } = opened.macs.tag(table, generation, row)
        this.#all.add(addend)
        return { ...row, generation, mac }
      })
      await filling.rows(table, stored)
    }
  }
}
