import { describe, expect, test } from 'vitest'

import type { NewToken } from '../../src/service/tokens.ts'
import { allBut, startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const page = { after: undefined, limit: 100 }
const noEnd: NewToken = {
  name: 'test',
  principal: null,
  permissions: ['unwrap'],
  keys: null,
  expiresAt: null,
}

async function callerWith(under: TestService, wanted: Partial<NewToken>) {
  const { row, text } = await under.service.tokens.create(under.admin, { ...noEnd, ...wanted })
  const principal = await under.service.tokens.authenticate(text)
  return { caller: { principal, requestId: 'r', permission: null }, row, text }
}

describe('a token', () => {
  test('says what its holder may do', async () => {
    const under = await startTestService()
    const { caller, row, text } = await callerWith(under, {
      permissions: ['unwrap', 'wrap', 'wrap'],
      keys: ['a'],
    })
    expect(text).toMatch(/^lhk_[0-9a-f]{24}_[\w-]{43}$/u)
    expect(caller.principal).toMatchObject({
      token: row.token,
      name: null,
      authority: [[{ effect: 'allow', permissions: ['unwrap', 'wrap'], keys: ['a'], notAfter: null }]],
      expiresAt: null,
    })
  })

  test('is not in the store: only its HMAC', async () => {
    const under = await startTestService()
    const { row, text } = await callerWith(under, {})
    const stored = await under.store.row('tokens', { token: row.token })
    const secret = text.slice('lhk_'.length + 25)
    expect(JSON.stringify(stored)).not.toContain(secret)
    expect(stored?.secretMac).toHaveLength(32)
    expect(Buffer.from(stored?.secretMac ?? []).equals(Buffer.from(secret, 'base64url'))).toBe(false)
  })

  test('that is missing, malformed, unknown, wrong, revoked or over gets one and the same answer', async () => {
    const under = await startTestService()
    const { caller, row, text } = await callerWith(under, {})
    const revoked = await callerWith(under, {})
    await under.service.tokens.revoke(under.admin, revoked.row.token)
    const ending = await callerWith(under, { expiresAt: Date.now() + 60_000 })
    under.advance(60_001)
    const last = text.at(-1) === 'A' ? 'B' : 'A'
    const bad = [
      undefined,
      '',
      'lhk_',
      text.slice(0, -1),
      `${text}A`,
      ` ${text}`,
      text.toUpperCase(),
      text.slice(0, -1) + last,
      text.replace(row.token, '0'.repeat(24)),
      text.replace(row.token, caller.principal.token === '1'.repeat(24) ? '2'.repeat(24) : '1'.repeat(24)),
      text.replace(row.token, revoked.row.token),
      revoked.text,
      ending.text,
      under.adminToken.slice(0, -43) + text.slice(-43),
    ]
    const answers = await Promise.all(
      bad.map((one) => under.service.tokens.authenticate(one).catch((error: unknown) => error)),
    )
    for (const [index, answer] of answers.entries()) {
      expect(answer, `${index}`).toMatchObject({ code: 'unauthenticated' })
      expect(answer).toEqual(answers[0])
    }
    await expect(under.service.tokens.authenticate(text)).resolves.toBeDefined()
  })

  test('hands on only what it holds, and for no longer', async () => {
    const under = await startTestService()
    const end = Date.now() + 60_000
    const { caller } = await callerWith(under, {
      permissions: ['tokens.create', 'unwrap'],
      keys: ['a', 'b'],
      expiresAt: end,
    })
    const create = (wanted: Partial<NewToken>) =>
      under.service.tokens.create(caller, { ...noEnd, keys: ['a'], expiresAt: end, ...wanted })
    for (const wanted of [
      { permissions: ['wrap' as const] },
      { permissions: ['unwrap' as const, 'rewrap' as const] },
      { keys: null },
      { keys: ['a', 'c'] },
      { expiresAt: null },
      { expiresAt: end + 1 },
    ]) {
      await expect(create(wanted), JSON.stringify(wanted)).rejects.toMatchObject({
        code: 'permission_denied',
      })
    }
    await expect(create({ expiresAt: Date.now() - 1 })).rejects.toMatchObject({ code: 'malformed_request' })
    await expect(create({})).resolves.toBeDefined()
    await expect(create({ keys: [] })).resolves.toBeDefined()
  })

  test('for some keys does nothing that is about the whole service', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { caller } = await callerWith(under, { permissions: allBut(), keys: ['a'] })
    await under.service.authorise(caller, 'keys.read')
    for (const permission of ['audit.read', 'slots.create', 'sys.seal', 'grants.delete'] as const) {
      await expect(under.service.authorise(caller, permission), permission).rejects.toMatchObject({
        code: 'permission_denied',
      })
    }
  })

  test('sees and ends only tokens with no rights beyond its own', async () => {
    const under = await startTestService()
    const wide = await callerWith(under, { permissions: ['unwrap', 'rewrap'] })
    const narrow = await callerWith(under, { keys: ['a'] })
    const { caller, row } = await callerWith(under, {
      permissions: ['tokens.list', 'tokens.revoke', 'unwrap'],
      keys: ['a', 'b'],
    })
    const listed = await under.service.tokens.list(caller, page)
    expect(new Set(listed.map(({ token }) => token))).toEqual(new Set([narrow.row.token, row.token]))
    const admin = under.admin.principal.token
    for (const token of [wide.row.token, admin, '0'.repeat(24)]) {
      await expect(under.service.tokens.revoke(caller, token)).rejects.toMatchObject({ code: 'not_found' })
    }
    await under.service.tokens.revoke(caller, narrow.row.token)
    await expect(under.service.tokens.revoke(caller, narrow.row.token)).rejects.toMatchObject({
      code: 'invalid_state',
    })
  })

  test('lists fill their pages past tokens that are not shown', async () => {
    const under = await startTestService()
    for (let i = 0; i < 10; i++) await callerWith(under, { permissions: ['rewrap'] })
    for (let i = 0; i < 5; i++) await callerWith(under, { keys: ['a'] })
    const { caller } = await callerWith(under, { permissions: ['tokens.list', 'unwrap'], keys: ['a'] })
    const seen: string[] = []
    for (let after: string | undefined; ;) {
      const rows = await under.service.tokens.list(caller, { after, limit: 2 })
      seen.push(...rows.map(({ token }) => token))
      after = rows.at(-1)?.token
      if (rows.length < 2) break
    }
    expect(seen).toHaveLength(6)
    expect(seen).toEqual(seen.toSorted((a, b) => (a < b ? -1 : 1)))
  })
})
