/**
 * Reads a backup from end to end and believes none of it: the envelope vouches for its bytes, and beyond that the MAC of
 * every row is checked, their sum against the cluster head, and the log along its chains.
 */

import { decryptStream, equalBytes, fromHex } from '@longhold/core'
import type { Identity, Secret } from '@longhold/core'

import { chainStart, entryMac } from './audit-chain.ts'
import { backupError, badBackup } from './backup-errors.ts'
import {
  backupContext,
  frameHeadBytes,
  frameKinds,
  maxFrameBytes,
  readEnd,
  readEntries,
  readManifest,
  readRoot,
  readRows,
} from './backup-format.ts'
import type { Manifest, RowsFrame } from './backup-format.ts'
import { HeadChange, openHead, sameRows } from './cluster-head.ts'
import { ServiceError } from './errors.ts'
import type { AuditRow } from './key-store.ts'
import { OwnKeys } from './own-keys.ts'
import { Root } from './root.ts'
import { RowMacs } from './row-mac.ts'
import type { AuditHeadRow, OwnKeyRow, Stored } from './rows.ts'
import { checkRow } from './verified-rows.ts'

/** A backup that opened: what its rows are checked and changed with. */
export interface OpenedBackup {
  readonly manifest: Manifest
  readonly root: Root
  readonly ownKeys: OwnKeys
  readonly macs: RowMacs
}

/** Gets what was checked, in the order it stands there: the service's own keys, then the other tables, then the log. */
export interface BackupVisitor {
  rows(frame: RowsFrame): Promise<void>
  entries(entries: readonly AuditRow[]): Promise<void>
  /** After the last frame was right. */
  end(): Promise<void>
}

export interface BackupFile {
  /** Anew with each call. */
  read(): AsyncIterable<Uint8Array>
  readonly identities: readonly Identity[]
}

/**
 * @param begin Called once the service's own keys are there; what it is given is forgotten when this returns.
 * @throws ServiceError `wrong_identity`, `bad_backup`, and whatever the visitor throws.
 */
export async function readBackup(
  file: BackupFile,
  begin: (opened: OpenedBackup) => Promise<BackupVisitor>,
): Promise<void> {
  const reading = new Reading(begin)
  try {
    const identities = [...file.identities]
    const opened = piecesOf(
      streamOf(file.read()).pipeThrough(decryptStream({ identities, context: backupContext })),
    )
    for await (const { kind, content } of framesOf(opened)) await reading.frame(kind, content)
    await reading.finish()
  } catch (error) {
    throw broken(backupError(error))
  } finally {
    reading.close()
  }
}

/** Rows that do not vouch for themselves are no fault of a database here. */
function broken(error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.code !== 'integrity_violation') return error
  return badBackup(error.message)
}

/** What one backup is read into. */
class Reading {
  readonly #begin: (opened: OpenedBackup) => Promise<BackupVisitor>
  #manifest: Manifest | undefined
  readonly #roots = new Map<number, Secret>()
  readonly #ownKeyRows: Stored<OwnKeyRow>[] = []
  #opened: OpenedBackup | undefined
  #visitor: BackupVisitor | undefined
  readonly #all = new HeadChange()
  readonly #heads = new Map<string, AuditHeadRow>()
  #chain: { head: AuditHeadRow; seq: number; mac: Uint8Array } | undefined
  readonly #counts = { rows: 0, entries: 0 }
  #hasEnded = false

  constructor(begin: (opened: OpenedBackup) => Promise<BackupVisitor>) {
    this.#begin = begin
  }

  async frame(kind: number, content: Uint8Array): Promise<void> {
    if (this.#hasEnded) throw badBackup('something stands behind its end')
    if (this.#manifest === undefined) {
      if (kind !== frameKinds.manifest) throw badBackup('it does not begin with its manifest')
      this.#manifest = readManifest(content)
      return
    }
    switch (kind) {
      case frameKinds.root:
        return this.#root(content)
      case frameKinds.rows:
        return await this.#rows(readRows(content))
      case frameKinds.entries:
        return await this.#entries(readEntries(content))
      case frameKinds.end:
        return await this.#end(content)
      default:
        throw badBackup('it has a part that this release does not know')
    }
  }

  async finish(): Promise<void> {
    if (!this.#hasEnded || this.#visitor === undefined) throw badBackup('it has no end')
    await this.#visitor.end()
  }

  close(): void {
    this.#opened?.macs.close()
    this.#opened?.ownKeys.close()
    this.#opened?.root.close()
    for (const secret of this.#roots.values()) secret.wipe()
  }

  #root(content: Uint8Array): void {
    if (this.#opened !== undefined) throw badBackup('its root keys stand in the wrong place')
    const { version, secret } = readRoot(content)
    content.fill(0)
    if (this.#roots.has(version)) throw badBackup('it has a root key twice')
    this.#roots.set(version, secret)
  }

  async #rows(frame: RowsFrame): Promise<void> {
    if (frame.table === 'own_keys' && this.#opened === undefined) {
      // Rows of that table.
      this.#ownKeyRows.push(...(frame.rows as Stored<OwnKeyRow>[]))
      return
    }
    await this.#open()
    this.#check(frame)
    for (const row of frame.rows) {
      if (frame.table === 'cluster')
        this.#requireRoots(row as { rootVersion: number; nextRootVersion: number | null })
      if (frame.table === 'audit_heads') {
        const head = row as Stored<AuditHeadRow>
        this.#heads.set(head.run, head)
      }
    }
    await this.#visitor?.rows(frame)
  }

  #check({ table, rows }: RowsFrame): void {
    const { macs } = this.#opened ?? {}
    if (macs === undefined) throw badBackup('it has no keys of its service')
    for (const row of rows) this.#all.add(checkRow(macs, table, row).addend)
    this.#counts.rows += rows.length
  }

  /** The service's own keys are complete: with them everything else is checked. */
  async #open(): Promise<OpenedBackup> {
    if (this.#opened !== undefined) return this.#opened
    const manifest = this.#manifest
    const clusterId = fromHex(manifest?.clusterId ?? '')
    if (manifest === undefined || clusterId === undefined || this.#roots.size === 0) {
      throw badBackup('it has no root key')
    }
    const root = new Root(clusterId, this.#roots)
    const ownKeys = new OwnKeys(root, this.#ownKeyRows)
    const macs = new RowMacs(clusterId, ownKeys.newest('row-mac').secret)
    this.#opened = { manifest, root, ownKeys, macs }
    const frame = { table: 'own_keys' as const, rows: this.#ownKeyRows }
    this.#check(frame)
    this.#visitor = await this.#begin(this.#opened)
    await this.#visitor.rows(frame)
    return this.#opened
  }

  #requireRoots({
    rootVersion,
    nextRootVersion,
  }: {
    rootVersion: number
    nextRootVersion: number | null
  }): void {
    const isThere = (version: number) => this.#roots.has(version)
    if (isThere(rootVersion) && (nextRootVersion === null || isThere(nextRootVersion))) return
    throw badBackup('a root key is missing in it')
  }

  async #entries(entries: readonly AuditRow[]): Promise<void> {
    const { ownKeys, manifest } = await this.#open()
    const clusterId = fromHex(manifest.clusterId) ?? new Uint8Array(0)
    for (const { run, seq, body, mac } of entries) {
      const before = this.#chain?.head.run === run ? this.#chain : undefined
      if (before === undefined) this.#endChain()
      const head = before?.head ?? this.#heads.get(run)
      const key = head && ownKeys.version('audit-chain', head.chainKeyVersion)
      if (head === undefined || key === undefined) throw badBackup(`chain ${run} of its log has no head`)
      const chain = { clusterId, run, ordinal: head.ordinal, startedAt: head.startedAt, key }
      // The beginning of a chain may have been pruned: what it followed on is not there.
      const previous = before?.mac ?? (seq === 1 ? chainStart : undefined)
      const isNext = before === undefined || seq === before.seq + 1
      const isRight = previous === undefined || equalBytes(entryMac(chain, seq, previous, body), mac)
      if (!isNext || !isRight)
        throw badBackup(`entry ${seq} of chain ${run} of its log is not the one that was written`)
      this.#chain = { head, seq, mac }
    }
    this.#counts.entries += entries.length
    await this.#visitor?.entries(entries)
  }

  #endChain(): void {
    const chain = this.#chain
    if (chain === undefined) return
    this.#heads.delete(chain.head.run)
    if (chain.seq !== chain.head.seq || !equalBytes(chain.mac, chain.head.lastMac)) {
      throw badBackup(`chain ${chain.head.run} of its log does not end where its head says`)
    }
    this.#chain = undefined
  }

  async #end(content: Uint8Array): Promise<void> {
    const { macs, manifest } = await this.#open()
    const { rows, entries } = readEnd(content)
    this.#endChain()
    const isWhole =
      rows === this.#counts.rows &&
      entries === this.#counts.entries &&
      sameRows(this.#all.applyTo(undefined), openHead(macs, manifest.head))
    if (!isWhole) throw badBackup('rows are missing in it, or are of another time')
    this.#hasEnded = true
  }
}

/** `ReadableStream.from`, which not every platform has. */
function streamOf(pieces: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next()
      if (done === true) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}

async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value
  } finally {
    // Where nobody reads on: whoever gives it need not go on either.
    await reader.cancel().catch(() => undefined)
  }
}

async function* framesOf(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ kind: number; content: Uint8Array }> {
  const held: Uint8Array[] = []
  let size = 0
  let wanted = frameHeadBytes
  let kind: number | undefined
  for await (const piece of pieces) {
    held.push(piece)
    size += piece.length
    while (size >= wanted) {
      const taken = take(held, wanted)
      size -= wanted
      if (kind === undefined) {
        kind = taken[0] ?? 0
        wanted = new DataView(taken.buffer, taken.byteOffset).getUint32(1)
        if (wanted > maxFrameBytes) throw badBackup('a part of it is too large')
      } else {
        yield { kind, content: taken }
        kind = undefined
        wanted = frameHeadBytes
      }
    }
  }
  if (size > 0 || kind !== undefined) throw badBackup('it ends in the middle of a part')
}

/** The first `length` bytes, which leave the list; a copy. */
function take(held: Uint8Array[], length: number): Uint8Array {
  const taken = new Uint8Array(length)
  for (let at = 0; at < length;) {
    const [first] = held
    if (first === undefined) break
    const part = first.subarray(0, length - at)
    taken.set(part, at)
    at += part.length
    if (part.length === first.length) held.shift()
    else held[0] = first.subarray(part.length)
  }
  return taken
}
