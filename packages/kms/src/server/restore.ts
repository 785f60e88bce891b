/**
 * Restores a service from a backup, on a machine that has none. Whatever interrupts it, the same command again goes on:
 * the database is empty, or restored, and then what was left is done.
 */

import { closeSync, createReadStream, existsSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { link, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { toHex } from '@longhold/core'
import type { Identity } from '@longhold/core'

import { KeyFile } from '../seal/key-file.ts'
import { badBackup } from '../service/backup-errors.ts'
import type { BackupFile } from '../service/backup-reader.ts'
import { ServiceError } from '../service/errors.ts'
import { checkBackup, restoreBackup } from '../service/restore.ts'
import type { BackupCheck, BackupReport, RestoreReport } from '../service/restore.ts'
import type { SlotOpener } from '../service/slot-opener.ts'
import { AnchorFile } from '../store/anchor-file.ts'
import { readCheckpointLines } from '../store/checkpoint-folder.ts'
import { inspectPostgres } from '../store/postgres/inspect.ts'
import { inspectDatabase } from '../store/sqlite/inspect.ts'
import { fileIsThere, makeDirectory } from './init.ts'
import { makeDatabase } from './open-store.ts'
import { resolvePaths } from './paths.ts'
import type { ResolvedPaths, ServicePaths } from './paths.ts'
import { slotOpeners } from './slot-openers.ts'

/** A backup, who opens it, and what is known apart from it. */
export interface BackupFileOptions {
  /** Path of the file. */
  readonly backup: string
  /** Of its recipients. */
  readonly identities: readonly Identity[]
  /** Of the signing identity, as `init` printed it; whoever knows a recipient can make a backup, but none with this. */
  readonly fingerprint: string
  /** Paths of checkpoints that were kept elsewhere, or of folders of them. */
  readonly checkpoints?: readonly string[] | undefined
  /** Where a newer database is known: the epochs of backup and database, `41:57`; `any`: whatever they are. */
  readonly epochs?: string | undefined
  /** Called with each piece that is read; the file is read twice. */
  readonly onRead?: ((bytes: number) => void) | undefined
}

/** Where the restored service has its files. */
export interface RestoreServiceOptions extends BackupFileOptions, ServicePaths {
  /** Of the new slot; default: a key file, made where there is none. */
  readonly slotPassphrase?: string | undefined
}

/** What was restored, and where it is. */
export interface RestoreResult {
  /** Undefined: it was restored before, and what was left to do is done. */
  readonly report: RestoreReport | undefined
  readonly database: string
  /** Undefined: the slot is a passphrase. */
  readonly keyFile: string | undefined
  /** Holds the only token there is: it makes one other token, within an hour. */
  readonly tokenFile: string
}

/** Older ones of a folder show nothing that newer ones do not. */
const maxCheckpoints = 100
const pieceBytes = 1024 * 1024

/**
 * Reads a backup from end to end, and writes nothing.
 *
 * @throws ServiceError `wrong_identity`, `wrong_service`, `bad_backup`, `rollback_detected`, `bad_config`.
 */
export async function checkBackupFile(options: BackupFileOptions): Promise<BackupReport> {
  return await checkBackup(await checkOf(options))
}

/**
 * @throws ServiceError as `checkBackupFile`; `already_initialised` for a database that is not empty, `database_in_use`,
 * `storage_unavailable`, `bad_config` where a file is in the way.
 */
export async function restoreService(options: RestoreServiceOptions): Promise<RestoreResult> {
  const tokenPath = options.tokenFile ?? join(options.dataDir, 'bootstrap.token')
  const paths = resolvePaths({ ...options, tokenFile: tokenPath })
  const { tokenFile } = paths
  const keyFile = options.slotPassphrase === undefined ? paths.keyFile : undefined
  const places = { database: paths.databaseUrl ?? paths.database, keyFile, tokenFile }
  const clusterId = await clusterIn(paths)
  if (clusterId !== undefined) {
    await finishEarlier(options, paths, clusterId)
    return { report: undefined, ...places }
  }
  if (existsSync(tokenFile)) throw fileIsThere(tokenFile)
  const anchor = paths.anchor === undefined ? undefined : new AnchorFile(paths.anchor)
  const closing: (() => Promise<void> | void)[] = []
  let isRestored = false
  try {
    const report = await restoreBackup({
      ...(await checkOf(options)),
      anchored: await anchor?.read(),
      target: async () => {
        makeDirectory(paths.dataDir)
        makeDirectory(dirname(tokenFile))
        const store = await makeDatabase(paths)
        closing.push(() => store.close())
        const opener = await openerOf(options, paths)
        closing.push(() => opener.close())
        return { store, opener, keepToken: (text) => writePending(tokenFile, text) }
      },
    })
    isRestored = true
    await anchor?.write({ clusterId: bytesOf(report.clusterId), ...report.head })
    await claimToken(tokenFile)
    return { report, ...places }
  } finally {
    for (const close of closing.toReversed()) await close()
    // Of a run that only failed, nothing is left for a later one to find.
    if (!isRestored && (await isEmpty(paths))) rmSync(pendingOf(tokenFile), { force: true })
  }
}

async function checkOf(options: BackupFileOptions): Promise<BackupCheck> {
  const { fingerprint, checkpoints = [], epochs } = options
  if (!/^(?:[0-9a-f]\s*){64}$/iu.test(fingerprint.trim())) {
    throw new ServiceError('bad_config', 'a fingerprint has 64 hexadecimal digits', {
      hint: 'it is what init printed, and what clients pin',
    })
  }
  const lines = await Promise.all(checkpoints.map((path) => readCheckpointLines(path, maxCheckpoints)))
  return { file: fileOf(options), fingerprint, checkpoints: lines.flat(), epochs }
}

function fileOf({ backup, identities, onRead }: BackupFileOptions): BackupFile {
  return {
    identities,
    async *read() {
      try {
        for await (const piece of createReadStream(backup, { highWaterMark: pieceBytes })) {
          // A stream without an encoding gives bytes.
          const bytes = piece as Uint8Array
          onRead?.(bytes.length)
          yield new Uint8Array(bytes)
        }
      } catch (error) {
        if (error instanceof Error && 'syscall' in error) throw unreadable(backup, error)
        throw error
      }
    },
  }
}

function unreadable(path: string, error: Error): ServiceError {
  const code = 'code' in error ? String(error.code) : 'unknown'
  return new ServiceError('bad_config', `the backup ${path} cannot be read (${code})`, {
    hint: 'give the file that longhold kms backup wrote',
  })
}

async function openerOf(
  { slotPassphrase }: RestoreServiceOptions,
  { keyFile }: ResolvedPaths,
): Promise<SlotOpener> {
  if (slotPassphrase === undefined) return KeyFile.readOrCreate(keyFile).keyFile
  const wanted = { kind: 'passphrase' as const, label: '', passphrase: slotPassphrase }
  return (await slotOpeners(undefined).make(wanted)).opener
}

/** Of the service that is there already; read without changing anything, and undefined where there is none. */
async function clusterIn({ database, databaseUrl }: ResolvedPaths): Promise<Uint8Array | undefined> {
  try {
    if (databaseUrl !== undefined) return (await inspectPostgres(databaseUrl)).clusterId
    return existsSync(database) ? inspectDatabase(database).clusterId : undefined
  } catch (error) {
    // What it is then, the store says when it is opened.
    if (error instanceof ServiceError && ['not_initialised', 'storage_unavailable'].includes(error.code)) {
      return undefined
    }
    throw error
  }
}

/** Where nobody can say, it may be restored: only the answer was lost, and the token on the disk is the only one. */
async function isEmpty({ database, databaseUrl }: ResolvedPaths): Promise<boolean> {
  try {
    if (databaseUrl !== undefined) await inspectPostgres(databaseUrl)
    else if (existsSync(database)) inspectDatabase(database)
    else return true
    return false
  } catch (error) {
    return error instanceof ServiceError && error.code === 'not_initialised'
  }
}

/** A run that ended behind the commit left the token where only this finds it. */
async function finishEarlier(
  options: BackupFileOptions,
  paths: ResolvedPaths,
  clusterId: Uint8Array,
): Promise<void> {
  const { tokenFile } = paths
  const isPending = existsSync(pendingOf(tokenFile)) && !existsSync(tokenFile)
  if (!isPending || (await checkBackupFile(options)).clusterId !== toHex(clusterId)) {
    throw new ServiceError(
      'already_initialised',
      `there is a key service in this database already, cluster ${toHex(clusterId)}`,
      {
        hint: 'a backup is restored into an empty database: give another data directory, or move this one away',
      },
    )
  }
  const store = await makeDatabase(paths)
  try {
    const head = await store.head()
    if (head === undefined) throw badBackup('what was restored has no cluster head')
    if (paths.anchor !== undefined) {
      const anchor = new AnchorFile(paths.anchor)
      const anchored = await anchor.read()
      if ((anchored?.epoch ?? 0) < head.epoch) await anchor.write({ clusterId, ...head })
    }
    await claimToken(tokenFile)
  } finally {
    await store.close()
  }
}

function pendingOf(tokenFile: string): string {
  return `${tokenFile}.restoring`
}

/** Gives the token its name, unless that is taken. */
async function claimToken(tokenFile: string): Promise<void> {
  const pending = pendingOf(tokenFile)
  try {
    await link(pending, tokenFile)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw fileIsThere(tokenFile)
    throw error
  }
  await rm(pending)
  const directory = await open(dirname(tokenFile), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** In place of one that an interrupted run left. */
function writePending(tokenFile: string, text: string): void {
  const path = pendingOf(tokenFile)
  rmSync(path, { force: true })
  const file = openSync(path, 'wx', 0o600)
  try {
    writeSync(file, `${text}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}
