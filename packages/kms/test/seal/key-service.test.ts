import { KmsClient } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { OtherKeyService } from '../../src/seal/key-service.ts'
import { slotOpenerContract } from '../contracts/slot-opener.ts'
import { startTestService } from '../support/service.ts'

const bound = new Uint8Array(3)
const root = new Uint8Array(32).fill(7)

slotOpenerContract(
  'another key service',
  async () => new OtherKeyService((await startTestService({ keys: ['seal'] })).client(), 'seal'),
  23,
)

describe('another key service', () => {
  test('opens after it rotated, and says in its log what for', async () => {
    const other = await startTestService({ keys: ['seal'] })
    const slot = new OtherKeyService(other.client(), 'seal')
    const sealed = await slot.seal(root, bound)
    await other.client().rotateKey('seal')
    const opened = await slot.open(sealed, bound)
    expect(opened.use((bytes) => new Uint8Array(bytes))).toEqual(root)
    const runs = await other.store.auditRuns()
    const entries = await Promise.all(
      runs.map((run) => other.store.auditEntries(run, { after: undefined, limit: 1000 })),
    )
    const unwraps = entries.flat().filter(({ body }) => body.includes('"action":"unwrap"'))
    expect(unwraps.map(({ body }) => body).join('\n')).toContain('longhold-kms-slot')
  })

  test('is needed each time: a token that was revoked opens nothing', async () => {
    const other = await startTestService({ keys: ['seal'] })
    const token = await other.token(['wrap', 'unwrap'], ['seal'])
    const slot = new OtherKeyService(other.client(token), 'seal')
    const sealed = await slot.seal(root, bound)
    expect((await slot.open(sealed, bound)).length).toBe(32)
    await other.client().revokeToken(token.slice(4, 28))
    await expect(slot.open(sealed, bound)).rejects.toMatchObject({
      code: 'slot_unavailable',
      message: expect.stringContaining('does not accept the token') as string,
    })
  })

  test('that cannot be reached, or has no such key, says so', async () => {
    const other = await startTestService({ keys: ['seal'] })
    const sealed = await new OtherKeyService(other.client(), 'seal').seal(root, bound)
    const gone = new KmsClient({
      url: 'http://127.0.0.1:1',
      token: other.adminToken,
      fetch: async () => await Promise.reject(new TypeError('fetch failed')),
    })
    const unreachable = { code: 'slot_unavailable' }
    await expect(new OtherKeyService(gone, 'seal').open(sealed, bound)).rejects.toMatchObject(unreachable)
    const nameless = new OtherKeyService(other.client(), 'other')
    await expect(nameless.seal(root, bound)).rejects.toThrow(/has no key other/u)
  })

  test('with another key does not open', async () => {
    const other = await startTestService({ keys: ['seal', 'spare'] })
    const sealed = await new OtherKeyService(other.client(), 'seal').seal(root, bound)
    await expect(new OtherKeyService(other.client(), 'spare').open(sealed, bound)).rejects.toMatchObject({
      code: 'wrong_secret',
    })
  })
})
