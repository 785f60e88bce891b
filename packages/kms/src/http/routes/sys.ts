/** `/v1/sys`: sealing, slots and the root key, for operators. */

import { createRoute } from '@hono/zod-openapi'
import type { RootRotation, SlotInfo } from '@longhold/core/kms'

import type { RotationState } from '../../service/root-rotation.ts'
import type { SlotRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import { createdSlot, createSlotRequest, rootRotation, sealStatus, slotList, slotParams } from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems, time } from '../documents.ts'
import type { App } from '../env.ts'
import type { Gate, SlotOpeners } from '../gate.ts'
import { secured } from '../secured.ts'

const seal = createRoute({
  method: 'post',
  path: '/v1/sys/seal',
  summary: 'Seal the service',
  responses: { 200: jsonAnswer(sealStatus, 'Sealed: nothing is served until somebody unseals'), ...problems },
})
const listSlots = createRoute({
  method: 'get',
  path: '/v1/sys/slots',
  summary: 'List the slots of the root key',
  responses: { 200: jsonAnswer(slotList, 'All slots; any one opens the root key'), ...problems },
})
const createSlot = createRoute({
  method: 'post',
  path: '/v1/sys/slots',
  summary: 'Add a slot',
  request: { body: jsonRequest(createSlotRequest) },
  responses: { 201: jsonAnswer(createdSlot, 'The slot; shares are shown this once'), ...problems },
})
const removeSlot = createRoute({
  method: 'delete',
  path: '/v1/sys/slots/{slot}',
  summary: 'Remove a slot',
  request: { params: slotParams },
  responses: { 204: { description: 'Removed. No revocation: older backups open as before' }, ...problems },
})
const readRotation = createRoute({
  method: 'get',
  path: '/v1/sys/root-rotations',
  summary: 'How far the root key is replaced',
  responses: { 200: jsonAnswer(rootRotation, 'How far the replacement of the root key is'), ...problems },
})
const rotateRoot = createRoute({
  method: 'post',
  path: '/v1/sys/root-rotations',
  summary: 'Replace the root key',
  responses: { 202: jsonAnswer(rootRotation, 'The new root key is in every slot; rows follow'), ...problems },
})

export function sysRoutes(app: App, service: Service, gate: Gate, openers: SlotOpeners): void {
  const route = secured(app, service)
  const { slots, rootRotation: rotation } = service

  route(seal, async (c) => {
    const caller = c.get('caller')
    if (caller.isDryRun === true) return c.json(await gate.status(), 200)
    await service.recordSeal(caller)
    return c.json(await gate.seal(), 200)
  })

  route(listSlots, async (c) => {
    const rows = await slots.list()
    return c.json({ items: rows.map((row) => describeSlot(row, openers)) }, 200)
  })

  route(createSlot, async (c) => {
    const request = c.req.valid('json')
    const { opener, shareTexts } = await openers.make(request)
    try {
      const row = await slots.add(c.get('caller'), { label: request.label, opener })
      return c.json({ ...describeSlot(row, openers), share_texts: [...shareTexts] }, 201)
    } finally {
      opener.close()
    }
  })

  route(removeSlot, async (c) => {
    await slots.remove(c.get('caller'), c.req.valid('param').slot)
    return c.body(null, 204)
  })

  route(readRotation, async (c) => c.json(describeRotation(await rotation.state()), 200))

  route(rotateRoot, async (c) => {
    const caller = c.get('caller')
    await rotation.begin(caller)
    if (caller.isDryRun !== true) rotation.runInBackground()
    return c.json(describeRotation(await rotation.state()), 202)
  })
}

function describeSlot(row: SlotRow, openers: SlotOpeners): SlotInfo {
  const { slot, kind, label, rootVersion, createdAt } = row
  const shares = openers.sharesOf(row)
  return { slot, kind, label, shares, root_version: rootVersion, created_at: time(createdAt) }
}

function describeRotation({ rootVersion, nextRootVersion, rowsLeft }: RotationState): RootRotation {
  return { root_version: rootVersion, next_root_version: nextRootVersion, rows_left: rowsLeft }
}
