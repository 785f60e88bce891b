import { describe, expect, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import type { Caller } from '../../src/service/policy.ts'
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

describe('a token that is revoked takes along what was made with it', () => {
  const making = { permissions: ['unwrap', 'tokens.create', 'tokens.revoke'] as const }

  /** `a` made `b` and `c`, and `b` made `d`; `other` was made beside. */
  async function family() {
    const under = await startTestService()
    const { tokens } = under.service
    const make = async (maker: Caller) => {
      const wanted = { name: 'x', principal: null, ...making, keys: null, expiresAt: null }
      const { row, text } = await tokens.create(maker, wanted)
      const caller = { principal: await tokens.authenticate(text), requestId: 'r', permission: null }
      return { row, text, caller }
    }
    const a = await make(under.admin)
    const b = await make(a.caller)
    const [c, d, other] = [await make(a.caller), await make(b.caller), await make(under.admin)]
    const isLive = async ({ text }: { text: string }) =>
      await tokens.authenticate(text).then(
        () => true,
        () => false,
      )
    return { under, tokens, make, isLive, a, b, c, d, other }
  }

  test('and that made, in one transaction, said in the log', async () => {
    const { under, tokens, isLive, a, b, c, d, other } = await family()
    const { descendants } = await tokens.revoke(under.admin, a.row.token)
    expect(new Set(descendants)).toEqual(new Set([b, c, d].map(({ row }) => row.token)))
    expect(descendants.at(-1)).toBe(d.row.token)
    for (const one of [a, b, c, d]) expect(await isLive(one)).toBe(false)
    expect(await isLive(other)).toBe(true)
    const { entries } = await under.service.readAudit(
      under.admin,
      { action: 'token.revoke' },
      { after: undefined, limit: 10 },
    )
    expect(entries).toHaveLength(1)
    expect(JSON.stringify(entries)).toContain(d.row.token)
  })

  test('unless it is to go alone; they can follow later', async () => {
    const { under, tokens, isLive, a, b, c, d } = await family()
    expect(await tokens.revoke(under.admin, a.row.token, { isAlone: true })).toEqual({ descendants: [] })
    expect(await isLive(b)).toBe(true)
    expect((await tokens.revoke(under.admin, a.row.token)).descendants).toHaveLength(3)
    for (const one of [b, c, d]) expect(await isLive(one)).toBe(false)
    await expect(tokens.revoke(under.admin, a.row.token)).rejects.toMatchObject({ code: 'invalid_state' })
  })

  test('but neither who asks for it nor what he made', async () => {
    const { tokens, isLive, a, b, c, d } = await family()
    expect(await tokens.revoke(b.caller, a.row.token)).toEqual({ descendants: [c.row.token] })
    expect(await Promise.all([a, b, c, d].map(isLive))).toEqual([false, true, false, true])
    // Of itself, all.
    expect(await tokens.revoke(b.caller, b.row.token)).toEqual({ descendants: [d.row.token] })
    expect(await Promise.all([b, d].map(isLive))).toEqual([false, false])
  })

  test('also those that are being made at that moment', async () => {
    const { under, tokens, make, isLive, a } = await family()
    const making64 = Array.from({ length: 64 }, () => make(a.caller).catch(() => undefined))
    const revoked = tokens.revoke(under.admin, a.row.token)
    const made = await Promise.all(making64)
    await revoked
    const live = await Promise.all(made.map(async (one) => one !== undefined && (await isLive(one))))
    expect(live).not.toContain(true)
    await expect(make(a.caller)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('also when one of them makes some on another node', async () => {
    const { under, tokens, isLive, a, b } = await family()
    const second = await under.second()
    const there = { ...b.caller, principal: await second.tokens.authenticate(b.text) }
    const wanted = { name: 'x', principal: null, ...making, keys: null, expiresAt: null }
    const [revoked, made] = await Promise.allSettled([
      tokens.revoke(under.admin, a.row.token),
      second.tokens.create(there, wanted),
    ])
    expect(revoked.status).toBe('fulfilled')
    expect(made.status === 'fulfilled' && (await isLive(made.value))).toBe(false)
  })

  test('more than fit into one transaction', async () => {
    const { under, tokens, make, a } = await family()
    for (let i = 0; i < 510; i++) await make(a.caller)
    const dry = await tokens.revoke({ ...under.admin, isDryRun: true }, a.row.token)
    expect(dry.descendants.length).toBeGreaterThan(400)
    expect(await tokens.authenticate(a.text)).toMatchObject({ token: a.row.token })
    const { descendants } = await tokens.revoke(under.admin, a.row.token)
    expect(new Set(descendants).size).toBe(513)
    const rows = await everyRow(under.store, 'tokens')
    expect(rows.filter(({ revokedAt }) => revokedAt === null)).toHaveLength(2)
  })

  test('over HTTP', async () => {
    const { under, a, b, c, d } = await family()
    const { id, descendants } = await under.client().revokeToken(b.row.token)
    expect({ id, descendants }).toEqual({ id: b.row.token, descendants: [d.row.token] })
    const alone = await under.client().revokeToken(a.row.token, { keepDescendants: true })
    expect(alone).toEqual({ id: a.row.token, descendants: [] })
    await expect(under.client(c.text).revokeToken(c.row.token)).resolves.toMatchObject({ descendants: [] })
  })
})
