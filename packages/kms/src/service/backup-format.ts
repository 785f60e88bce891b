/**
 * What stands in a backup, once its envelope is open: frames of one byte of kind, four of length (big-endian) and that
 * many of content. A manifest; the root keys; the rows of every table, the service's own keys first, so that a reader
 * can check the MAC of each row as it comes; the entries of the audit log; an end. Rows are JSON, sealed as they are in
 * the database; root keys are bytes, so that they never are a string.
 *
 * | kind | content |
 * | --- | --- |
 * | 1 manifest | JSON: format, id, cluster, time, the columns of every table, the cluster head |
 * | 2 root | version (4 bytes), root key (32 bytes) |
 * | 3 rows | JSON: a table and rows; values in the order of `columnsOf`, behind generation and MAC |
 * | 4 entries | JSON: a run of the audit log and entries of it: number, body, MAC |
 * | 5 end | JSON: how many rows and entries there were |
 */

import { Secret, toHex, utf8 } from '@longhold/core'

import { badBackup } from './backup-errors.ts'
import type { AuditRow, HeadRow } from './key-store.ts'
import { columnFact, columnsOf, tableNames, tables } from './rows.ts'
import type { Rows, Stored, TableName } from './rows.ts'
import { rootBytes } from './slot-secret.ts'

/** Stands in the manifest, and in the context that the envelope is bound to. */
export const backupFormat = 'longhold/kms/v1/backup'

/** Nothing but a backup opens as one, even if it was encrypted for the same recipient. */
export const backupContext = { format: backupFormat }

export const frameKinds = { manifest: 1, root: 2, rows: 3, entries: 4, end: 5 } as const

/** Kind and length. */
export const frameHeadBytes = 5
/** One entry of the log can have megabytes; a reader keeps one frame in memory. */
export const maxFrameBytes = 64 * 1024 * 1024

export interface Manifest {
  /** 32 hexadecimal digits. */
  readonly backup: string
  /** 32 hexadecimal digits. */
  readonly clusterId: string
  /** Milliseconds since 1970. */
  readonly takenAt: number
  readonly head: HeadRow
}

export interface BackupEnd {
  readonly rows: number
  readonly entries: number
}

export function manifestFrame({ backup, clusterId, takenAt, head }: Manifest): Uint8Array {
  const { epoch, rowCount, maskedSum, mac } = head
  return jsonFrame(frameKinds.manifest, {
    format: backupFormat,
    backup,
    cluster_id: clusterId,
    taken_at: new Date(takenAt).toISOString(),
    tables: layout(),
    head: { epoch, row_count: rowCount, masked_sum: toHex(maskedSum), mac: toHex(mac) },
  })
}

/** @throws ServiceError `bad_backup`, also for one of a release with other tables. */
export function readManifest(content: Uint8Array): Manifest {
  const { format, backup, cluster_id: clusterId, taken_at: taken, tables: theirs, head } = jsonOf(content)
  if (format !== backupFormat) throw badBackup('it has a format that this release does not know')
  if (JSON.stringify(theirs) !== JSON.stringify(layout())) {
    throw badBackup('it was made by a release with other tables', {
      hint: 'restore it with the release that made it, then upgrade that',
    })
  }
  const takenAt = Date.parse(String(taken))
  const fields = objectOf(head)
  const [epoch, rowCount] = [fields['epoch'], fields['row_count']]
  const [maskedSum, mac] = [hexOf(fields['masked_sum'], 32), hexOf(fields['mac'], 32)]
  hexOf(backup, 16)
  hexOf(clusterId, 16)
  if (!isCount(epoch) || !isCount(rowCount) || Number.isNaN(takenAt)) throw badBackup('its manifest is none')
  return {
    backup: String(backup),
    clusterId: String(clusterId),
    takenAt,
    head: { epoch, rowCount, maskedSum, mac },
  }
}

/** Whoever gets the frame wipes it once it is written. */
export function rootFrame(version: number, root: Uint8Array): Uint8Array {
  const content = new Uint8Array(4 + root.length)
  try {
    new DataView(content.buffer).setUint32(0, version)
    content.set(root, 4)
    return frame(frameKinds.root, content)
  } finally {
    content.fill(0)
  }
}

/** The caller wipes the secret. */
export function readRoot(content: Uint8Array): { version: number; secret: Secret } {
  if (content.length !== 4 + rootBytes) throw badBackup('a root key in it is none')
  const version = new DataView(content.buffer, content.byteOffset).getUint32(0)
  return { version, secret: Secret.copyOf(content.subarray(4)) }
}

export function rowsFrame(table: TableName, rows: readonly object[]): Uint8Array {
  const names = valueNames(table)
  const values = rows.map((row) => names.map((name) => encode((row as Record<string, unknown>)[name])))
  return jsonFrame(frameKinds.rows, { table, rows: values })
}

export interface RowsFrame<T extends TableName = TableName> {
  readonly table: T
  readonly rows: readonly Stored<Rows[T]>[]
}

/** Values are of the kinds of their columns; whether they are the right ones, their MACs say. */
export function readRows(content: Uint8Array): RowsFrame {
  const { table: name, rows } = jsonOf(content)
  const table = tableNames.find((one) => one === name)
  if (table === undefined || !Array.isArray(rows)) throw badBackup('rows in it are none')
  const names = valueNames(table)
  const facts: Readonly<Record<string, string>> = {
    ...tables[table].columns,
    generation: 'number',
    mac: 'bytes',
  }
  return {
    table,
    rows: rows.map((values: unknown) => {
      if (!Array.isArray(values) || values.length !== names.length) throw badBackup('a row in it is none')
      const entries = names.map((column, index) => [column, decode(facts[column] ?? '', values[index])])
      // Every column of the table, each of its kind.
      return Object.fromEntries(entries) as Stored<Rows[TableName]>
    }),
  }
}

export function entriesFrame(run: string, entries: readonly AuditRow[]): Uint8Array {
  const values = entries.map(({ seq, body, mac }) => [seq, body, encode(mac)])
  return jsonFrame(frameKinds.entries, { run, entries: values })
}

export function readEntries(content: Uint8Array): AuditRow[] {
  const { run, entries } = jsonOf(content)
  if (typeof run !== 'string' || !Array.isArray(entries)) throw badBackup('entries in it are none')
  return entries.map((values: unknown) => {
    const [seq, body, mac] = Array.isArray(values) ? (values as unknown[]) : []
    if (!isCount(seq) || typeof body !== 'string') throw badBackup('an entry in it is none')
    return { run, seq, body, mac: bytesOf(mac) }
  })
}

export function endFrame({ rows, entries }: BackupEnd): Uint8Array {
  return jsonFrame(frameKinds.end, { rows, entries })
}

export function readEnd(content: Uint8Array): BackupEnd {
  const { rows, entries } = jsonOf(content)
  if (typeof rows !== 'number' || typeof entries !== 'number') throw badBackup('its end is none')
  return { rows, entries }
}

/** The columns of every table: a row's MAC covers them all, so that no other release can check it. */
function layout(): Record<string, readonly string[]> {
  return Object.fromEntries(tableNames.map((table) => [table, valueNames(table)]))
}

function valueNames(table: TableName): string[] {
  return ['generation', 'mac', ...columnsOf(table)]
}

function jsonFrame(kind: number, value: object): Uint8Array {
  return frame(kind, utf8(JSON.stringify(value)))
}

function frame(kind: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(frameHeadBytes + content.length)
  bytes[0] = kind
  new DataView(bytes.buffer).setUint32(1, content.length)
  bytes.set(content, frameHeadBytes)
  return bytes
}

function encode(value: unknown): unknown {
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64url')
    : value
}

function decode(fact: string, value: unknown): unknown {
  // A text of the table above, or none.
  const { kind, isNullable } = columnFact(fact as Parameters<typeof columnFact>[0])
  if (value === null && isNullable) return null
  if (kind === 'bytes') return bytesOf(value)
  const isRight =
    kind === 'json' ? typeof value === 'object' && value !== null : typeof value === kindNames[kind]
  if (!isRight || (kind === 'number' && !Number.isSafeInteger(value)))
    throw badBackup('a value in it is none')
  return value
}

const kindNames = { text: 'string', number: 'number', boolean: 'boolean' } as const

function bytesOf(text: unknown): Uint8Array {
  if (typeof text !== 'string') throw badBackup('bytes in it are none')
  return new Uint8Array(Buffer.from(text, 'base64url'))
}

function hexOf(text: unknown, length: number): Uint8Array {
  if (typeof text !== 'string' || !/^(?:[0-9a-f]{2})*$/u.test(text) || text.length !== 2 * length) {
    throw badBackup('its manifest is none')
  }
  return new Uint8Array(Buffer.from(text, 'hex'))
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0
}

function jsonOf(content: Uint8Array): Record<string, unknown> {
  try {
    return objectOf(
      JSON.parse(Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8')),
    )
  } catch (error) {
    if (error instanceof SyntaxError) throw badBackup('a part of it is no JSON')
    throw error
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badBackup('a part of it is none')
  // Just seen.
  return value as Record<string, unknown>
}
