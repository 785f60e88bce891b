/**
 * The content of a backup, from a snapshot to an envelope: read in pages, checked row by row like a verification of the
 * whole database, encrypted as it goes. Nothing grows with the size of the database.
 */

import { encryptStream } from '@longhold/core'
import type { PublicKeyRecipient } from '@longhold/core'

import {
  backupContext,
  endFrame,
  entriesFrame,
  manifestFrame,
  rootFrame,
  rowsFrame,
} from './backup-format.ts'
import { HeadChange, openHead, sameRows } from './cluster-head.ts'
import { integrityViolation } from './errors.ts'
import { allRows, everyRow } from './key-store.ts'
import type { AuditRow, HeadRow, Snapshot } from './key-store.ts'
import type { Root } from './root.ts'
import type { RowMacs } from './row-mac.ts'
import { tableNames } from './rows.ts'
import type { TableName } from './rows.ts'
import { checkRow } from './verified-rows.ts'

/** A frame is written when it has so many bytes, about. */
const frameBytes = 256 * 1024
/** An entry of the log can have a megabyte. */
const entriesPage = 20

export interface BackupSource {
  /** 32 hexadecimal digits. */
  readonly backup: string
  readonly takenAt: number
  readonly snapshot: Snapshot
  readonly head: HeadRow
  readonly root: Root
  readonly macs: RowMacs
  readonly recipients: readonly PublicKeyRecipient[]
  /** Ends it. */
  readonly signal: AbortSignal
}

/** The order in which a reader needs them: it checks rows by the service's own keys. */
export const backupTables: readonly TableName[] = [
  'own_keys',
  ...tableNames.filter((table) => table !== 'own_keys'),
]

/**
 * The envelope, piece by piece. The last piece completes it; without that one it does not open as a whole.
 *
 * @throws ServiceError `integrity_violation`, `storage_unavailable`, and the reason of the signal: the envelope has no
 * end then.
 */
export async function* sealedBackup(source: BackupSource): AsyncGenerator<Uint8Array> {
  const { recipients, signal } = source
  const { readable, writable } = encryptStream({ recipients, context: backupContext })
  const writer = writable.getWriter()
  const reader = readable.getReader()
  const onAbort = (): void => void writer.abort(signal.reason).catch(() => undefined)
  signal.addEventListener('abort', onAbort)
  const writing = (async () => {
    try {
      signal.throwIfAborted()
      await writeFrames(source, (frame) => writer.write(frame))
      await writer.close()
    } catch (error) {
      await writer.abort(error).catch(() => undefined)
      throw error
    }
  })()
  // Said by the reader below, or by whoever waits for it at the end.
  writing.catch(() => undefined)
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value
    await writing
  } finally {
    signal.removeEventListener('abort', onAbort)
    await reader.cancel().catch(() => undefined)
    await writing.catch(() => undefined)
  }
}

type Write = (frame: Uint8Array) => Promise<void>

async function writeFrames(source: BackupSource, write: Write): Promise<void> {
  const { backup, takenAt, snapshot, head, root, macs } = source
  const clusterId = Buffer.from(root.clusterId).toString('hex')
  await write(manifestFrame({ backup, clusterId, takenAt, head }))
  await root.lendSecrets(async (version, bytes) => {
    const frame = rootFrame(version, bytes)
    try {
      await write(frame)
    } finally {
      frame.fill(0)
    }
  })
  const rows = await writeRows({ snapshot, head, macs }, write)
  const entries = await writeEntries(snapshot, write)
  await write(endFrame({ rows, entries }))
}

async function writeRows(
  { snapshot, head, macs }: Pick<BackupSource, 'snapshot' | 'head' | 'macs'>,
  write: Write,
): Promise<number> {
  const all = new HeadChange()
  let count = 0
  for (const table of backupTables) {
    for await (const page of allRows(snapshot, table)) {
      let waiting: object[] = []
      let size = 0
      for (const row of page) {
        all.add(checkRow(macs, table, row).addend)
        waiting.push(row)
        size += sizeOf(row)
        if (size < frameBytes) continue
        await write(rowsFrame(table, waiting))
        waiting = []
        size = 0
      }
      if (waiting.length > 0) await write(rowsFrame(table, waiting))
      count += page.length
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  if (sameRows(all.applyTo(undefined), openHead(macs, head))) return count
  throw integrityViolation(`the set of rows in the database (${count} where ${head.rowCount} were written)`)
}

async function writeEntries(snapshot: Snapshot, write: Write): Promise<number> {
  let count = 0
  const heads = (await everyRow(snapshot, 'audit_heads')).toSorted((a, b) => a.ordinal - b.ordinal)
  for (const { run } of heads) {
    let after: number | undefined
    let waiting: AuditRow[] = []
    let size = 0
    for (;;) {
      const page = await snapshot.auditEntries(run, { after, limit: entriesPage })
      for (const entry of page) {
        waiting.push(entry)
        size += entry.body.length
        after = entry.seq
      }
      count += page.length
      const isLast = page.length < entriesPage
      if (waiting.length > 0 && (isLast || size >= frameBytes)) {
        await write(entriesFrame(run, waiting))
        waiting = []
        size = 0
      }
      if (isLast) break
    }
  }
  return count
}

/** About: bytes and texts are what makes a row large. */
function sizeOf(row: object): number {
  return Object.values(row).reduce((sum: number, value: unknown) => {
    if (typeof value === 'string' || value instanceof Uint8Array) return sum + value.length
    return sum + (typeof value === 'object' && value !== null ? JSON.stringify(value).length : 8)
  }, 0)
}
