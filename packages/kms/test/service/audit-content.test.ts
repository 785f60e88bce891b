import { randomBytes } from 'node:crypto'

import { Secret, toHex } from '@longhold/core'
import { kmsRecipient, sealKeyPackage } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { auditHeads } from '../../src/service/audit-heads.ts'
import { encodeStanza, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

/** The newest entries, oldest first. */
async function entriesSince({ store }: TestService, from: number): Promise<string[]> {
  const head = (await auditHeads(store)).at(-1)
  const entries = await store.auditEntries(head?.run ?? '', { after: from, limit: 1000 })
  return entries.map(({ body }) => body)
}

async function newest({ store }: TestService): Promise<number> {
  return (await auditHeads(store)).at(-1)?.seq ?? 0
}

describe('a batch of what is refused', () => {
  test('is one entry of some kilobytes, whatever the caller makes up', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { stanza } = await wrapFor(under.client(), ['a'])
    const bytes = encodeStanza(stanza)
    const items = Array.from({ length: 1000 }, (_, index) => ({
      id: String(index),
      keyId: randomBytes(16),
      stanza: bytes,
      // Another one for each, as long as one may be that is logged as it is.
      context: [['note', `${index} ${'x'.repeat(900)}`]] as const,
    }))
    const before = await newest(under)
    const answers = await under.service.unwrap(under.admin, items)
    expect(new Set(answers.map(({ answer }) => answer instanceof Error && answer.name))).toEqual(
      new Set(['ServiceError']),
    )
    const [entry = '', ...others] = await entriesSince(under, before)
    expect(others).toEqual([])
    expect(entry.length).toBeLessThan(2000)
    expect(JSON.parse(entry)).toMatchObject({
      action: 'unwrap',
      items: [
        {
          result: 'unwrap_failed',
          key: 'a',
          version: 1,
          count: 1000,
          indices: '0-999',
          key_ids: items.slice(0, 8).map(({ keyId }) => toHex(keyId)),
        },
      ],
    })
    expect(entry).not.toContain('xxxx')
  })

  test('says where among what was opened it stood, and under which context, where there was one', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { stanza, dataKey } = await wrapFor(under.client(), ['a'])
    const good = { keyId: dataKey.keyId, stanza: encodeStanza(stanza), context: [] }
    const bad = { ...good, context: [['tenant', 'other']] as const }
    const broken = { ...good, stanza: new Uint8Array(3) }
    const before = await newest(under)
    const batch = [good, bad, bad, good, broken, bad].map((item, index) => ({ ...item, id: String(index) }))
    await under.service.unwrap(under.admin, batch)
    const [entry = ''] = await entriesSince(under, before)
    const hex = toHex(dataKey.keyId)
    const refused = { result: 'unwrap_failed', key: 'a', version: 1, count: 3, indices: '1-2,5' }
    expect((JSON.parse(entry) as { items: object[] }).items).toMatchObject([
      { result: 'done', key: 'a', version: 1, context: [], key_ids: [hex, hex] },
      { ...refused, context: [['tenant', 'other']], key_ids: [hex, hex, hex] },
      { result: 'malformed_request', count: 1, indices: '4' },
    ])
  })
})

describe('the log says', () => {
  test('that an import was refused, and why', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { keys } = under.client()
    const seed = Secret.take(new Uint8Array(32).fill(7))
    const version = { version: 1, kemId: 0x647a, state: 'primary' as const, createdAt: 1000, seed }
    const recipients = [await kmsRecipient(under.client(), 'a')]
    const sealed = await sealKeyPackage({ key: 'new', purpose: 'wrap' }, [version], recipients)
    const before = await newest(under)
    await expect(keys.importKey({ key: 'another', package: sealed })).rejects.toThrow()
    await expect(keys.importKey({ key: 'new', package: sealed.slice(0, 100) })).rejects.toThrow()
    await keys.importKey({ key: 'new', package: sealed })
    const entries = (await entriesSince(under, before)).map((body) => JSON.parse(body) as object)
    const principal = under.admin.principal.token
    expect(entries).toMatchObject([
      { action: 'key.import', key: 'another', principal, result: 'unwrap_failed' },
      { action: 'key.import', key: 'new', principal, result: 'malformed_request' },
      { action: 'key.import', key: 'new', principal },
    ])
  })

  test('that checkpoints and prunings were read', async () => {
    const under = await startTestService()
    const before = await newest(under)
    await under.client().audit.listCheckpoints()
    await under.client().audit.listPrunings()
    const entries = (await entriesSince(under, before)).map((body) => JSON.parse(body) as object)
    expect(entries).toMatchObject([
      { action: 'audit.read', list: 'checkpoints', principal: under.admin.principal.token },
      { action: 'audit.read', list: 'prunings' },
    ])
  })
})
