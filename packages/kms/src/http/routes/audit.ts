/** `/v1/audit`: reading the log, checking it, and checkpoints to keep elsewhere. */

import { createRoute } from '@hono/zod-openapi'
import { fromHex } from '@longhold/core'
import type { AuditEntry, CheckpointInfo, PruningInfo } from '@longhold/core/kms'

import type { AuditPosition, FoundEntry } from '../../service/audit-events.ts'
import type { CheckpointRow, PruningRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import {
  auditPage,
  auditQuery,
  auditVerdict,
  checkpointInfo,
  checkpointPage,
  pruneAuditRequest,
  pruningInfo,
  pruningPage,
  verifyAuditRequest,
} from '../../wire-audit.ts'
import { pageQuery } from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems, time } from '../documents.ts'
import type { App } from '../env.ts'
import { cursorAt, numberPageRequest, pageAnswer, pageRequest } from '../pages.ts'
import { secured } from '../secured.ts'

const readEvents = createRoute({
  method: 'get',
  path: '/v1/audit/events',
  summary: 'Read the audit log',
  request: { query: auditQuery },
  responses: {
    200: jsonAnswer(auditPage, 'Entries, oldest first; a page may hold fewer than asked for, even none'),
    ...problems,
  },
})
const createCheckpoint = createRoute({
  method: 'post',
  path: '/v1/audit/checkpoints',
  summary: 'Make a checkpoint',
  responses: { 201: jsonAnswer(checkpointInfo, 'The checkpoint, signed'), ...problems },
})
const listCheckpoints = createRoute({
  method: 'get',
  path: '/v1/audit/checkpoints',
  summary: 'List checkpoints',
  request: { query: pageQuery },
  responses: { 200: jsonAnswer(checkpointPage, 'Checkpoints, ascending'), ...problems },
})
const verifyAudit = createRoute({
  method: 'post',
  path: '/v1/audit/verify',
  summary: 'Check the audit log',
  request: { body: jsonRequest(verifyAuditRequest) },
  responses: { 200: jsonAnswer(auditVerdict, 'What the check found'), ...problems },
})

const pruneAudit = createRoute({
  method: 'post',
  path: '/v1/audit/prunings',
  summary: 'Prune the audit log',
  request: { body: jsonRequest(pruneAuditRequest) },
  responses: {
    201: jsonAnswer(pruningInfo, 'Entries up to the checkpoint are no more part of the log'),
    ...problems,
  },
})
const listPrunings = createRoute({
  method: 'get',
  path: '/v1/audit/prunings',
  summary: 'List prunings of the audit log',
  request: { query: pageQuery },
  responses: { 200: jsonAnswer(pruningPage, 'Prunings, ascending'), ...problems },
})

export function auditRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { checkpoints, pruning } = service

  route(readEvents, async (c) => {
    const { action, principal, key, since, until, ...query } = c.req.valid('query')
    const filter = { action, principal, key, since: timeOf(since), until: timeOf(until) }
    const { after } = pageRequest(c, query)
    const page = { after: positionOf(after), limit: query.limit }
    const { entries, next } = await service.readAudit(c.get('caller'), filter, page)
    const items = entries.map(describeEntry)
    if (next === undefined) return c.json({ items }, 200)
    return c.json({ items, next_cursor: cursorAt(c, `${next.ordinal} ${next.seq}`) }, 200)
  })

  route(createCheckpoint, async (c) => {
    return c.json(describeCheckpoint(await checkpoints.create(c.get('caller'))), 201)
  })

  route(listCheckpoints, async (c) => {
    const query = c.req.valid('query')
    const rows = await service.listCheckpoints(c.get('caller'), numberPageRequest(c, query))
    const page = { positionOf: ({ checkpoint }: CheckpointRow) => checkpoint, itemOf: describeCheckpoint }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(pruneAudit, async (c) => {
    const { checkpoint, export_sha256: sha256 } = c.req.valid('json')
    const request = { checkpoint, exportSha256: fromHex(sha256) ?? new Uint8Array(0) }
    return c.json(describePruning(await pruning.prune(c.get('caller'), request)), 201)
  })

  route(listPrunings, async (c) => {
    const query = c.req.valid('query')
    const rows = await service.listPrunings(c.get('caller'), numberPageRequest(c, query))
    const page = { positionOf: (row: PruningRow) => row.pruning, itemOf: describePruning }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(verifyAudit, async (c) => {
    const { checkpoints: lines = [] } = c.req.valid('json')
    const { ok, runs, entries, faults } = await service.verifyAudit(c.get('caller'), lines)
    return c.json({ ok, runs, entries, faults: [...faults] }, 200)
  })
}

function describePruning(row: PruningRow): PruningInfo {
  const { pruning, checkpoint, entries, exportSha256, prunedAt, prunedBy } = row
  const what = { number: pruning, checkpoint, entries, export_sha256: exportSha256 }
  return { ...what, pruned_at: time(prunedAt), pruned_by: prunedBy }
}

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text)
}

/** Of a cursor, which only this service can have made. */
function positionOf(text: string | undefined): AuditPosition | undefined {
  if (text === undefined) return undefined
  const [ordinal = 0, seq = 0] = text.split(' ').map(Number)
  return { ordinal, seq }
}

function describeEntry({ run, seq, body, mac }: FoundEntry): AuditEntry {
  return { run, seq, body, mac }
}

function describeCheckpoint({ checkpoint, line, createdAt }: CheckpointRow): CheckpointInfo {
  return { number: checkpoint, created_at: time(createdAt), line }
}
