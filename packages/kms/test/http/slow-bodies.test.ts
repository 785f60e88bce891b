import { describe, expect, test } from 'vitest'

import type { Service } from '../../src/service/service.ts'
import { startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

describe('a body that takes its time', () => {
  /** The answer to a request whose body ends once `meanwhile` is done. */
  async function slowly(under: TestService, token: string, meanwhile: () => Promise<unknown>) {
    let isFirst = true
    const body = new ReadableStream({
      async pull(controller) {
        // Only once the token was accepted is the body read.
        if (!isFirst) await meanwhile()
        controller.enqueue(Buffer.from(isFirst ? '{"key":' : `"b"}`))
        if (!isFirst) controller.close()
        isFirst = false
      },
    })
    const response = await under.app.request('/v1/keys', {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body,
      duplex: 'half',
    } as RequestInit)
    return response.status
  }

  async function begin() {
    const under = await startTestService()
    const { grants, tokens } = under.service
    await grants.createPrincipal(under.admin, 'app', '')
    const none = { labels: null, context: null, notBefore: null, notAfter: null, networks: null, uses: null }
    const rule = { principal: 'app', permissions: ['keys.create' as const], keys: null, ...none }
    const grant = await grants.create(under.admin, { ...rule, effect: 'allow' })
    const { row, text } = await tokens.create(under.admin, {
      name: 'x',
      principal: 'app',
      permissions: ['keys.create'],
      keys: null,
      expiresAt: Date.now() + 60_000,
    })
    return { under, row, text, rule, grant }
  }

  type Begun = Awaited<ReturnType<typeof begin>>
  const later = async (under: TestService): Promise<Service> => {
    under.advance(1000)
    return await under.second()
  }

  test.each<[string, number, (begun: Begun) => Promise<unknown>]>([
    ['its token is revoked', 401, ({ under, row }) => under.service.tokens.revoke(under.admin, row.token)],
    ['its token is over', 401, async ({ under }) => under.advance(61_000)],
    [
      'its principal is switched off',
      401,
      ({ under }) => under.service.grants.setDisabled(under.admin, 'app', true),
    ],
    [
      'its token is revoked on another node',
      401,
      async ({ under, row }) => (await later(under)).tokens.revoke(under.admin, row.token),
    ],
    [
      'its principal is switched off on another node',
      401,
      async ({ under }) => (await later(under)).grants.setDisabled(under.admin, 'app', true),
    ],
    [
      'its grant is taken away',
      403,
      async ({ under, grant }) => (await later(under)).grants.remove(under.admin, 'app', grant.grant),
    ],
    [
      'it is denied',
      403,
      async ({ under, rule }) =>
        (await later(under)).grants.create(under.admin, { ...rule, effect: 'deny', keys: ['b'] }),
    ],
  ])('is too late when %s meanwhile: %i', async (_, status, meanwhile) => {
    const begun = await begin()
    const { under, text } = begun
    expect(await slowly(under, text, () => meanwhile(begun))).toBe(status)
    expect(await under.client().listKeys()).toEqual([])
  })

  test('is in time when nothing happens', async () => {
    const { under, text } = await begin()
    expect(await slowly(under, text, async () => under.advance(1000))).toBe(201)
  })

  test('is in time when its principal was switched off and on again', async () => {
    const { under, text } = await begin()
    const { grants } = under.service
    await grants.setDisabled(under.admin, 'app', true)
    await grants.setDisabled(under.admin, 'app', false)
    expect(await slowly(under, text, async () => undefined)).toBe(201)
  })
})
