/** A cluster on a disk: made, copied as it is, opened as a service. */

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { generateIdentity } from '@longhold/core'
import { Client } from 'pg'

import { KeyFile } from '../../src/seal/key-file.ts'
import { openDatabase } from '../../src/server/open-store.ts'
import { resolvePaths } from '../../src/server/paths.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { Service } from '../../src/service/service.ts'
import { AnchorFile } from '../../src/store/anchor-file.ts'
import type { Opened } from './operations.ts'

/** Nobody opens what these processes seal for him. */
const backupRecipient = generateIdentity().recipient

export interface Cluster {
  /** The data directory: key file, token, anchor, and SQLite's database. */
  readonly dataDir: string
  /** Of PostgreSQL. */
  readonly database?: string | undefined
}

/** @param server An address of PostgreSQL; undefined: SQLite. */
export async function newCluster(server: string | undefined, from?: Cluster): Promise<Cluster> {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'longhold-kms-crash-')), 'data')
  if (from !== undefined) cpSync(from.dataDir, dataDir, { recursive: true })
  if (server === undefined) return { dataDir }
  const name = `crash_${process.pid}_${++databases}`
  const template = from?.database === undefined ? '' : ` template ${nameIn(from.database)}`
  await onServer(server, async (admin) => {
    if (from?.database !== undefined) await settled(admin, nameIn(from.database))
    await admin.query(`create database ${name}${template}`)
  })
  return { dataDir, database: server.replace('/postgres?', `/${name}?`) }
}

let databases = 0

export async function removeCluster(
  server: string | undefined,
  { dataDir, database }: Cluster,
): Promise<void> {
  rmSync(join(dataDir, '..'), { recursive: true })
  if (server !== undefined && database !== undefined) {
    await onServer(server, (admin) => admin.query(`drop database ${nameIn(database)} with (force)`))
  }
}

/** Once the server has noticed that the process is gone, and taken back what it had not committed. */
export async function waitForServer(server: string | undefined, { database }: Cluster): Promise<void> {
  if (server === undefined || database === undefined) return
  await onServer(server, (admin) => settled(admin, nameIn(database)))
}

export async function openStore(cluster: Cluster): Promise<KeyStore> {
  return await openDatabase(resolvePaths(cluster))
}

/** The service as it is started, without HTTP. */
export async function openService(cluster: Cluster, store: KeyStore): Promise<Opened> {
  const { keyFile, anchor = '', tokenFile } = resolvePaths(cluster)
  const opener = KeyFile.read(keyFile)
  const service = await Service.open({
    store,
    opener,
    anchor: new AnchorFile(anchor),
    now: Date.now,
    // Machines that run tests are busy.
    auditDeadlineMs: 60_000,
    shortestDestroyWaitMs: 1,
    auditRetentionMs: 0,
    backups: { recipients: [backupRecipient] },
  })
  const principal = await service.tokens.authenticate(readFileSync(tokenFile, 'utf8').trim())
  return { service, admin: { principal, requestId: 'crash', permission: null } }
}

async function onServer<T>(server: string, work: (admin: Client) => Promise<T>): Promise<T> {
  const admin = new Client(server)
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}

async function settled(admin: Client, name: string): Promise<void> {
  for (;;) {
    const { rows } = await admin.query('select 1 from pg_stat_activity where datname = $1', [name])
    if (rows.length === 0) return
    await admin.query('select pg_sleep(0.002)')
  }
}

function nameIn(url: string): string {
  return new URL(url).pathname.slice(1)
}
