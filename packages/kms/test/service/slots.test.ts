import { describe, expect, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import { Service } from '../../src/service/service.ts'
import { MemoryOpener } from '../support/memory-opener.ts'
import { encodeStanza, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

async function add(under: TestService, label = 'second') {
  const opener = new MemoryOpener()
  const row = await under.service.slots.add(under.admin, { label, opener })
  return { opener, row }
}

async function entries(under: TestService, action: string): Promise<Record<string, unknown>[]> {
  const runs = await under.store.auditRuns()
  const rows = await Promise.all(runs.map((run) => under.store.auditEntries(run, { limit: 1000 })))
  return rows
    .flat()
    .map(({ body }) => JSON.parse(body) as Record<string, unknown>)
    .filter((entry) => entry['action'] === action)
}

describe('slots', () => {
  test('open the same root, any one of them, and what opened is in the log', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'])
    const { opener, row } = await add(under)
    for (const one of [opener, under.opener]) {
      const service = await Service.open({ store: under.store, opener: one, failures: 3 })
      const results = await service.unwrap(under.admin, [
        { id: '1', keyId: dataKey.keyId, stanza: encodeStanza(stanza), context: [] },
      ])
      await service.close()
      expect(results).toMatchObject([{ answer: { key: 'a', version: 1 } }])
    }
    const starts = (await entries(under, 'service.start')).slice(-2)
    expect(starts).toContainEqual(expect.objectContaining({ slot: row.slot, failures: 3 }))
    expect(new Set(starts.map((entry) => entry['slot'])).size).toBe(2)
  })

  test('hold nothing of the root in the clear, nor of each other', async () => {
    const under = await startTestService()
    const { row } = await add(under)
    const [first, second] = await under.service.slots.list()
    expect(new Set([first?.label, second?.label])).toEqual(new Set(['first', 'second']))
    expect(first?.sealedRoot).not.toEqual(second?.sealedRoot)
    expect(row).toMatchObject({ kind: 'key-file', rootVersion: 1, nextRoot: null })
  })

  test('that are removed open no more, and that is in the log', async () => {
    const under = await startTestService()
    const { opener, row } = await add(under)
    await under.service.slots.remove(under.admin, row.slot)
    await expect(Service.open({ store: under.store, opener })).rejects.toMatchObject({ code: 'wrong_secret' })
    expect(await entries(under, 'slot.create')).toMatchObject([{ slot: row.slot, slot_kind: 'key-file' }])
    expect(await entries(under, 'slot.remove')).toMatchObject([{ slot: row.slot }])
  })

  test('the last one stays, and one that is not there is not found', async () => {
    const under = await startTestService()
    const [only] = await under.service.slots.list()
    await expect(under.service.slots.remove(under.admin, only?.slot ?? '')).rejects.toMatchObject({
      code: 'invalid_state',
    })
    await expect(under.service.slots.remove(under.admin, '0123456789abcdef')).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  test('are two at the least before the first key, and from then on, where that was said', async () => {
    const under = await startTestService({ minSlots: 2 })
    const make = () => under.service.keys.create(under.admin, { key: 'a' })
    await expect(make()).rejects.toMatchObject({
      code: 'invalid_state',
      hint: expect.stringContaining('slots add') as string,
    })
    expect(await everyRow(under.store, 'keys')).toEqual([])
    const { row } = await add(under)
    await make()
    await expect(under.service.slots.remove(under.admin, row.slot)).rejects.toThrow(/at least 2/u)
    await add(under, 'third')
    await under.service.slots.remove(under.admin, row.slot)
  })

  test('are sixteen at the most', async () => {
    const under = await startTestService()
    for (let made = 1; made < 16; made++) await add(under, `${made}`)
    await expect(add(under)).rejects.toMatchObject({ code: 'invalid_state' })
    expect(await under.service.slots.list()).toHaveLength(16)
  })

  test('made at once are all there; removed at once, one is left', async () => {
    const under = await startTestService()
    const made = await Promise.allSettled(Array.from({ length: 4 }, () => add(under)))
    const done = made.filter(({ status }) => status === 'fulfilled').length
    const slots = await under.service.slots.list()
    expect(slots).toHaveLength(1 + done)
    await Promise.allSettled(slots.map(({ slot }) => under.service.slots.remove(under.admin, slot)))
    expect((await under.service.slots.list()).length).toBeGreaterThan(0)
  })

  test('whose secret cannot be opened again are not made', async () => {
    const under = await startTestService()
    const inner = new MemoryOpener()
    const forgetful = {
      kind: 'key-file' as const,
      seal: async (secret: Uint8Array, bound: Uint8Array) =>
        await inner.seal(
          secret.map((byte) => byte ^ 1),
          bound,
        ),
      open: async (sealed: Uint8Array, bound: Uint8Array) => await inner.open(sealed, bound),
      close: () => undefined,
    }
    await expect(
      under.service.slots.add(under.admin, { label: '', opener: forgetful }),
    ).rejects.toMatchObject({
      code: 'integrity_violation',
    })
    expect(await under.service.slots.list()).toHaveLength(1)
  })
})
