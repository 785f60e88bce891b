import { permissions } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { startTestService } from '../support/service.ts'

const forEver = { principal: null, permissions, keys: null, expiresAt: null }

/** A service in production, and who holds its first token. */
async function begin() {
  const under = await startTestService({ isBootstrap: true })
  const principal = await under.service.tokens.authenticate(under.adminToken)
  return { ...under, caller: { principal, requestId: 'first', permission: null } }
}

describe('a bootstrap token', () => {
  test('makes one token of any rights, without an end, and ends with that', async () => {
    const { service, caller, adminToken } = await begin()
    const { text } = await service.tokens.create(caller, { ...forEver, name: 'admin' })
    const admin = await service.tokens.authenticate(text)
    await service.authorise({ principal: admin, requestId: 'x', permission: 'root.rotate' }, 'root.rotate')
    expect(admin.expiresAt).toBeNull()
    await expect(service.tokens.authenticate(adminToken)).rejects.toMatchObject({ code: 'unauthenticated' })
    // Also for a request that was on its way.
    await expect(service.tokens.confirm(caller.principal)).rejects.toMatchObject({ code: 'unauthenticated' })
    await expect(service.tokens.create(caller, { ...forEver, name: 'another' })).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })

  test('used twice at once makes one', async () => {
    const { service, caller } = await begin()
    const made = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        service.tokens.create(caller, { ...forEver, name: `${index}` }),
      ),
    )
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('does nothing else', async () => {
    const { service, caller } = await begin()
    for (const permission of permissions.filter((one) => one !== 'tokens.create')) {
      await expect(service.authorise(caller, permission), permission).rejects.toMatchObject({
        code: 'permission_denied',
      })
    }
    await service.authorise(caller, 'tokens.create')
  })

  test('lasts for an hour', async () => {
    const under = await begin()
    const { service, adminToken } = under
    under.advance(59 * 60 * 1000)
    await service.tokens.authenticate(adminToken)
    under.advance(60 * 1000)
    await expect(service.tokens.authenticate(adminToken)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('is not spent by a dry run, nor by what is refused', async () => {
    const { service, caller } = await begin()
    await service.tokens.create({ ...caller, isDryRun: true }, { ...forEver, name: 'try' })
    const past = { ...forEver, name: 'late', expiresAt: 1000 }
    await expect(service.tokens.create(caller, past)).rejects.toMatchObject({ code: 'malformed_request' })
    await service.tokens.create(caller, { ...forEver, name: 'admin' })
  })

  test('is no pattern for others: a token with an end that another one made is as every token', async () => {
    const under = await startTestService()
    const { text } = await under.service.tokens.create(under.admin, {
      ...forEver,
      name: 'ends',
      expiresAt: Date.now() + 60_000,
    })
    const principal = await under.service.tokens.authenticate(text)
    const caller = { principal, requestId: 'x', permission: null }
    await under.service.authorise(caller, 'keys.list')
    await expect(under.service.tokens.create(caller, { ...forEver, name: 'longer' })).rejects.toMatchObject({
      code: 'permission_denied',
    })
    await under.service.tokens.authenticate(text)
  })
})
