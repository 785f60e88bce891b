/**
 * What becomes of the rows of a backup in the database that it is restored into: tokens end, slots make room for a new
 * one, and what was final at the newest checkpoint is final. Every other row goes over as it is.
 */

import type { FinalVersion, KeyProgress } from './checkpoint.ts'
import { createVersion } from './identities.ts'
import type { Root } from './root.ts'
import type { BackupRow, KeyRow, Rows, Stored, TableName, TokenRow, VersionRow } from './rows.ts'

/** By how much generations of keys go on: clients who saw the database that was lost take none for an older one. */
const generationJump = 1_000_000

/** What is known of the time between the backup and the loss. */
export interface Aftermath {
  readonly finalVersions: readonly FinalVersion[]
  readonly keys: readonly KeyProgress[]
}

export interface PlanOptions {
  readonly root: Root
  readonly at: number
  readonly aftermath: Aftermath
  /** Of the backup itself, which could not hold them. */
  readonly itself: Pick<BackupRow, 'backup' | 'epoch' | 'byteLength' | 'sha256'>
}

/** One row as it is to be written; its MAC is of whoever writes it. */
export interface PlannedRow<T extends TableName = TableName> {
  readonly table: T
  readonly row: Rows[T]
  readonly generation: number
}

export class RestorePlan {
  readonly #options: PlanOptions
  readonly #finals: ReadonlyMap<string, FinalVersion['state']>
  readonly #progress: ReadonlyMap<string, KeyProgress>
  readonly #seen = new Set<string>()
  readonly merged: FinalVersion[] = []
  /** Versions that were made after the backup: nobody has their seeds any more. */
  readonly lost: { key: string; from: number; to: number }[] = []
  tokensEnded = 0

  constructor(options: PlanOptions) {
    this.#options = options
    const finals = new Map<string, FinalVersion['state']>()
    for (const { key, version, state } of options.aftermath.finalVersions) {
      const name = nameOf(key, version)
      // Of several checkpoints: what is destroyed is nothing else any more.
      if (finals.get(name) !== 'destroyed') finals.set(name, state)
    }
    this.#finals = finals
    const progress = new Map<string, KeyProgress>()
    for (const one of options.aftermath.keys) {
      const before = progress.get(one.key)
      if (before === undefined || before.generation < one.generation) progress.set(one.key, one)
    }
    this.#progress = progress
  }

  /** What is written in the place of one row: none, one, or more. */
  rows(table: TableName, row: Stored<Rows[TableName]>): PlannedRow[] {
    // `table` says of which kind the row is; TypeScript does not follow that.
    switch (table) {
      // Slots make room for a new one; answers that were kept were for tokens that end.
      case 'slots':
      case 'idempotency':
        return []
      case 'cluster': {
        const cluster = row as Stored<Rows['cluster']>
        return [changed(table, cluster, { restoredAt: this.#options.at })]
      }
      case 'tokens':
        return [this.#token(row as Stored<TokenRow>)]
      case 'keys':
        return this.#key(row as Stored<KeyRow>)
      case 'versions':
        return [this.#version(row as Stored<VersionRow>)]
      case 'destructions': {
        const { key, version } = row as Stored<Rows['destructions']>
        return this.#finals.get(nameOf(key, version)) === 'destroyed' ? [] : [same(table, row)]
      }
      case 'backups': {
        const backup = row as Stored<BackupRow>
        const { itself, at } = this.#options
        if (backup.backup !== itself.backup) return [same(table, row)]
        return [changed(table, backup, { ...itself, confirmedAt: backup.confirmedAt ?? at })]
      }
      default:
        return [same(table, row)]
    }
  }

  /** Keys that the backup does not have at all. */
  get lostKeys(): string[] {
    return [...this.#progress.keys()].filter((key) => !this.#seen.has(key))
  }

  #token(token: Stored<TokenRow>): PlannedRow<'tokens'> {
    if (token.revokedAt !== null) return same('tokens', token)
    this.tokensEnded += 1
    return changed('tokens', token, { revokedAt: this.#options.at })
  }

  #key(row: Stored<KeyRow>): PlannedRow[] {
    const { root, at } = this.#options
    const { key } = row
    this.#seen.add(key)
    const known = this.#progress.get(key)
    const latest = Math.max(row.latestVersion, known?.latestVersion ?? 0)
    if (latest > row.latestVersion) this.lost.push({ key, from: row.latestVersion + 1, to: latest })
    const generation = Math.max(row.generation, known?.generation ?? 0) + generationJump
    // Numbers are never given twice.
    const goesOn: KeyRow = { ...contentOf<'keys'>(row), latestVersion: latest }
    if (!this.#finals.has(nameOf(key, row.primaryVersion)))
      return [{ table: 'keys', row: goesOn, generation }]
    const version = latest + 1
    const made = createVersion(root, { key, version, state: 'primary', now: at })
    return [
      {
        table: 'keys',
        row: { ...goesOn, latestVersion: version, primaryVersion: version, rotatedAt: at },
        generation,
      },
      { table: 'versions', row: made, generation: 1 },
    ]
  }

  #version(row: Stored<VersionRow>): PlannedRow<'versions'> {
    const { key, version, state } = row
    const final = this.#finals.get(nameOf(key, version))
    const isSo = final === 'destroyed' ? state === 'destroyed' : row.compromisedAt !== null
    if (final === undefined || isSo || state === 'destroyed') return same('versions', row)
    const { at } = this.#options
    this.merged.push({ key, version, state: final })
    if (final === 'destroyed') {
      const gone = { state: 'destroyed' as const, sealedSeed: new Uint8Array(0), stateChangedAt: at }
      return changed('versions', row, gone)
    }
    const compromised = { compromisedAt: at, stateChangedAt: at }
    // A destruction that is to come, comes.
    if (state === 'destroy_scheduled') return changed('versions', row, compromised)
    return changed('versions', row, { ...compromised, state: 'compromised' })
  }
}

function same<T extends TableName>(table: T, row: Stored<Rows[TableName]>): PlannedRow<T> {
  // `table` says of which kind the row is.
  return { table, row: contentOf(row as unknown as Stored<Rows[T]>), generation: row.generation }
}

function changed<T extends TableName>(
  table: T,
  row: Stored<Rows[T]>,
  changes: Partial<Rows[T]>,
): PlannedRow<T> {
  return { table, row: { ...contentOf(row), ...changes }, generation: row.generation + 1 }
}

function contentOf<T extends TableName>(stored: Stored<Rows[T]>): Rows[T] {
  const { generation: _, mac: __, ...row } = stored
  // A row is what is left without its mark.
  return row as unknown as Rows[T]
}

function nameOf(key: string, version: number): string {
  return `${key}/${version}`
}
