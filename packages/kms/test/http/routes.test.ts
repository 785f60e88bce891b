import { generateIdentity } from '@longhold/core'
import { permissions } from '@longhold/core/kms'
import type { Permission } from '@longhold/core/kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { publicRoutes, routeTable } from '../../src/http/route-table.ts'
import type { RouteName } from '../../src/http/route-table.ts'
import { auditHeads } from '../../src/service/audit-heads.ts'
import { requests, requestsBeside } from '../support/requests.ts'
import type { Sent } from '../support/requests.ts'
import { allBut, startTestService } from '../support/service.ts'
import type { TestService, TestServiceOptions } from '../support/service.ts'

async function start(options: TestServiceOptions = {}): Promise<TestService> {
  const under = await startTestService({ keys: ['a'], ...options })
  await under.service.life.versions.rotate(under.admin, 'a')
  return under
}

async function send(under: TestService, name: RouteName, token: string | undefined) {
  return await sendThis(under, await requests[name](under), token)
}

async function sendThis(under: TestService, [path, init]: Sent, token: string | undefined) {
  const headers = new Headers(init.headers)
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
  const response = await under.app.request(path, { ...init, headers })
  const text = await response.text()
  return { status: response.status, text, headers: response.headers }
}

const names = Object.keys(routeTable) as RouteName[]
/** Of no route: taken beside that of a route, for some of what it does. */
const additional = Object.keys(requestsBeside) as (keyof typeof requestsBeside)[]

describe('the table of routes', () => {
  test('names every route of the app, and no other', async () => {
    const { app } = await startTestService()
    const served = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/gu, '{$1}')}`)
    expect(new Set(served)).toEqual(new Set([...names, ...publicRoutes]))
  })

  test('uses every permission', () => {
    const used = new Set<Permission>(Object.values(routeTable).map(({ permission }) => permission))
    expect(used).toEqual(new Set(permissions.filter((one) => !(additional as Permission[]).includes(one))))
  })
})

describe.each(names)('%s', (name) => {
  const { permission } = routeTable[name]

  test('without a token: 401, before anything is read', async () => {
    const under = await start()
    const [path, init] = await requests[name](under)
    expect(await sendThis(under, [path, init], undefined)).toMatchObject({ status: 401 })
    const { body: _, ...bare } = init
    const response = await under.app.request(path, { ...bare, body: init.body === undefined ? null : '{' })
    expect(response.status).toBe(401)
  })

  test(`with ${permission} alone it answers`, async () => {
    const under = await start()
    // The target of a rewrap takes `wrap` as well.
    const wanted: Permission[] = name === 'POST /v1/rewrap' ? ['rewrap', 'wrap'] : [permission]
    const { status, text } = await send(under, name, await under.token(wanted))
    expect(status, text).toBeLessThan(300)
    expect(text).not.toContain('"problem"')
  })

  test(`with everything but ${permission}: 403, and that is in the log`, async () => {
    const under = await start()
    const { status, text } = await send(under, name, await under.token(allBut(permission)))
    expect(status).toBe(403)
    expect(JSON.parse(text)).toMatchObject({ code: 'permission_denied' })
    const head = (await auditHeads(under.store)).at(-1)
    const [entry] = await under.store.auditEntries(head?.run ?? '', { after: (head?.seq ?? 0) - 1, limit: 1 })
    expect(JSON.parse(entry?.body ?? '')).toMatchObject({ action: 'request.denied', permission })
  })

  describe('alone', () => {
    // One service for all: none of them changes anything.
    let under: TestService
    let request: Sent
    beforeAll(async () => {
      under = await start({ onEnd: afterAll })
      request = await requests[name](under)
    })

    test.each(permissions.filter((other) => other !== permission))('%s: 403', async (other) => {
      const { status } = await sendThis(under, request, await under.token([other]))
      expect(status).toBe(403)
    })
  })
})

describe.each(additional)('%s, beside the permission of a route', (permission) => {
  const { route, request } = requestsBeside[permission]
  const wasDone = async (...held: readonly Permission[]) => {
    const under = await start()
    const { status, text } = await sendThis(under, await request(under), await under.token(held))
    // Of a batch, each item has its own answer.
    return status < 300 && !text.includes('permission_denied')
  }

  test('is enough with it', async () => {
    expect(await wasDone(route, permission)).toBe(true)
  })

  test('is needed: with the other alone, or with all others, it is refused', async () => {
    expect(await wasDone(route)).toBe(false)
    expect(await wasDone(permission)).toBe(false)
    expect(await wasDone(...allBut(permission))).toBe(false)
    expect(await wasDone(...allBut(route))).toBe(false)
  })
})

describe('keys that a token may not see', () => {
  /** Method, path, and a body that is taken when the key is there. */
  const paths: readonly (readonly [string, string, unknown?])[] = [
    ['GET', '/v1/keys/KEY'],
    ['PATCH', '/v1/keys/KEY', { exportable: true }],
    ['PATCH', '/v1/keys/KEY', { enabled: false }],
    ['POST', '/v1/keys/KEY/rotate'],
    ['GET', '/v1/keys/KEY/usage'],
    ['POST', '/v1/keys/KEY/export', { recipient: generateIdentity().recipient.toString() }],
    ['POST', '/v1/keys/KEY/data-keys', { context: {} }],
    ['POST', '/v1/keys/KEY/decapsulate', { version: 1, encapsulated_key: 'AAAA' }],
    ['GET', '/v1/keys/KEY/versions'],
    ['GET', '/v1/keys/KEY/versions/1'],
    ['PATCH', '/v1/keys/KEY/versions/1', { state: 'disabled' }],
    ['POST', '/v1/keys/KEY/versions/1/destroy'],
    ['POST', '/v1/keys/KEY/versions/1/restore'],
    ['GET', '/v1/keys/KEY/versions/1/destroy-check'],
    ['PUT', '/v1/keys/KEY/census/users', { counts: [] }],
    ['GET', '/v1/keys/KEY/public-key'],
  ]
  const needsTag: readonly string[] = ['PATCH /v1/keys/KEY', 'POST /v1/keys/KEY/versions/1/destroy']

  test.each(paths)('%s %s answers for them as for keys that do not exist', async (...request) => {
    const [method, path, body] = request as unknown as (typeof paths)[number] // one of the table
    const under = await startTestService({ keys: ['a', 'hidden'] })
    const token = await under.token(permissions, ['a'])
    const ask = async (key: string) => {
      const response = await under.app.request(path.replace('KEY', key), {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'x-request-id': 'r',
          ...(needsTag.includes(`${method} ${path}`) ? { 'if-match': '"1"' } : {}),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: response.status, text: (await response.text()).replaceAll(key, 'KEY') }
    }
    const [hidden, missing] = [await ask('hidden'), await ask('absent')]
    expect(hidden.status).toBe(404)
    expect(hidden).toEqual(missing)
    expect((await ask('a')).status).not.toBe(404)
  })

  test('are not listed, and cannot be made', async () => {
    const under = await startTestService({ keys: ['a', 'hidden'] })
    const client = under.client(await under.token(permissions, ['a', 'absent']))
    expect((await client.listKeys()).map(({ key }) => key)).toEqual(['a'])
    await expect(client.createKey({ key: 'b' })).rejects.toMatchObject({ code: 'unavailable' })
    expect(await client.createKey({ key: 'absent' })).toMatchObject({ key: 'absent' })
  })
})
