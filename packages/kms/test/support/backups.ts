/** Backups of services under test, and who opens them. */

import { concat, generateIdentity } from '@longhold/core'
import type { LocalIdentity } from '@longhold/core'

import type { BackupFile } from '../../src/service/backup-reader.ts'
import type { Caller } from '../../src/service/policy.ts'
import type { BackupRow } from '../../src/service/rows.ts'
import type { Service } from '../../src/service/service.ts'

/** Kept by nobody of the service. */
export const offline = generateIdentity()

export interface TakenBackup {
  readonly row: BackupRow
  readonly bytes: Uint8Array
}

/** One that was taken whole, and is not confirmed yet. */
export async function takeBackup(service: Service, caller?: Caller): Promise<TakenBackup> {
  const underWay = await service.backups.begin(caller)
  if (underWay === undefined) throw new Error('this was no dry run')
  const pieces: Uint8Array[] = []
  for await (const piece of underWay.pieces()) pieces.push(piece)
  await underWay.close()
  return { row: await service.backups.get(underWay.row.backup), bytes: concat(...pieces) }
}

/** The same, and somebody has said that he has it. */
export async function makeBackup(service: Service, caller?: Caller): Promise<TakenBackup> {
  const { row, bytes } = await takeBackup(service, caller)
  if (row.sha256 === null) throw new Error('it was not finished')
  return { row: await service.backups.confirm(caller, row.backup, row.sha256), bytes }
}

/** A backup, in pieces of an odd size. */
export function fileOf(bytes: Uint8Array, identity: LocalIdentity = offline): BackupFile {
  return {
    identities: [identity],
    async *read() {
      for (let at = 0; at < bytes.length; at += 10_007) yield bytes.slice(at, at + 10_007)
    },
  }
}
