/** `/v1/sys/backups`: copies of the database, sealed to people outside. */

import { createRoute } from '@hono/zod-openapi'
import type { BackupInfo } from '@longhold/core/kms'

import type { BackupUnderWay } from '../../service/backups.ts'
import type { BackupRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import {
  backupBytes,
  backupInfo,
  backupPage,
  backupParams,
  backupQuery,
  confirmBackupRequest,
} from '../../wire-backups.ts'
import { pageQuery } from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems, time, timeOrNull } from '../documents.ts'
import type { App } from '../env.ts'
import { pageAnswer, pageRequest } from '../pages.ts'
import { secured } from '../secured.ts'

/** Which one it is, beside its bytes. */
const backupHeader = 'Longhold-Backup'

const createBackup = createRoute({
  method: 'post',
  path: '/v1/sys/backups',
  summary: 'Make a backup',
  request: { query: backupQuery },
  responses: {
    200: {
      description:
        'An envelope to the configured recipients. Say that it is whole once it is on a disk: nobody relies on it before',
      content: { 'application/octet-stream': { schema: backupBytes } },
      headers: { [backupHeader]: { description: 'Its id', schema: { type: 'string' as const } } },
    },
    201: jsonAnswer(backupInfo, 'It is in the folder of the service'),
    ...problems,
  },
})
const listBackups = createRoute({
  method: 'get',
  path: '/v1/sys/backups',
  summary: 'List backups',
  request: { query: pageQuery },
  responses: {
    200: jsonAnswer(backupPage, 'Those that are on record, in the order of their ids'),
    ...problems,
  },
})
const confirmBackup = createRoute({
  method: 'post',
  path: '/v1/sys/backups/{backup}/confirm',
  summary: 'Say that a backup is whole, and on a disk',
  request: { params: backupParams, body: jsonRequest(confirmBackupRequest) },
  responses: { 200: jsonAnswer(backupInfo, 'It counts from now on'), ...problems },
})
const removeBackup = createRoute({
  method: 'delete',
  path: '/v1/sys/backups/{backup}',
  summary: 'Say that a backup is deleted',
  request: { params: backupParams },
  responses: {
    204: { description: 'Forgotten. Of a file in its folder, the service deletes it first' },
    ...problems,
  },
})

export function backupRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { backups, backupKeeper } = service

  route(createBackup, async (c) => {
    const caller = c.get('caller')
    if (c.req.valid('query').to === 'folder') {
      const row = await backupKeeper.write(caller)
      return row === undefined ? c.json(emptyAnswer, 201) : c.json(describeBackup(row), 201)
    }
    const underWay = await backups.begin(caller)
    const headers = { 'content-type': 'application/octet-stream' }
    if (underWay === undefined) return c.body('', 200, headers)
    return c.body(streamOf(underWay), 200, { ...headers, [backupHeader]: underWay.row.backup })
  })

  route(listBackups, async (c) => {
    const query = c.req.valid('query')
    const rows = await backups.list(pageRequest(c, query))
    const page = { positionOf: ({ backup }: BackupRow) => backup, itemOf: describeBackup }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(confirmBackup, async (c) => {
    const sha256 = new Uint8Array(Buffer.from(c.req.valid('json').sha256, 'hex'))
    const row = await backups.confirm(c.get('caller'), c.req.valid('param').backup, sha256)
    return c.json(describeBackup(row), 200)
  })

  route(removeBackup, async (c) => {
    await backupKeeper.remove(c.get('caller'), c.req.valid('param').backup)
    return c.body(null, 204)
  })
}

/** Of a dry run, whose answer is another one. */
const emptyAnswer: BackupInfo = {
  backup: '',
  taken_at: '',
  expires_at: '',
  recipient_ids: [],
  file_name: null,
  epoch: null,
  bytes: null,
  sha256: null,
  confirmed_at: null,
}

function streamOf(underWay: BackupUnderWay): ReadableStream<Uint8Array> {
  const pieces = underWay.pieces()
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await pieces.next()
        if (done !== true) return controller.enqueue(value)
        await underWay.close()
        controller.close()
      } catch (error) {
        await underWay.close().catch(() => undefined)
        controller.error(error)
      }
    },
    // Whoever asked for it went away.
    cancel: () => underWay.close(),
  })
}

function describeBackup(row: BackupRow): BackupInfo {
  const { backup, takenAt, expiresAt, recipientIds, fileName, epoch, byteLength, sha256, confirmedAt } = row
  return {
    backup,
    taken_at: time(takenAt),
    expires_at: time(expiresAt),
    recipient_ids: [...recipientIds],
    file_name: fileName,
    epoch,
    bytes: byteLength,
    sha256: sha256 && Buffer.from(sha256).toString('hex'),
    confirmed_at: timeOrNull(confirmedAt),
  }
}
