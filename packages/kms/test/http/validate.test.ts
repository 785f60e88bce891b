import { OpenAPIHono, createRoute } from '@hono/zod-openapi'
import { describe, expect, test } from 'vitest'

import { commonHeaders, jsonNow } from '../../src/http/answers.ts'
import { jsonRequest } from '../../src/http/documents.ts'
import type { Env } from '../../src/http/env.ts'
import { jsonBody } from '../../src/http/json-body.ts'
import { answerError } from '../../src/http/problems.ts'
import { refuseInvalid } from '../../src/http/refuse-invalid.ts'
import { validatorOf } from '../../src/http/validate.ts'
import { keyParams } from '../../src/wire-keys.ts'
import { pageQuery, unwrapRequest } from '../../src/wire.ts'

const route = createRoute({
  method: 'post',
  path: '/v1/keys/{key}',
  request: { params: keyParams, query: pageQuery, body: jsonRequest(unwrapRequest) },
  responses: { 200: { description: 'what was valid' } },
})

/** The same route twice: checked as here, and by the validators of the library. */
function both() {
  const apps = [true, false].map((isOurs) => {
    const app = new OpenAPIHono<Env>({ defaultHook: refuseInvalid })
    app.onError((error, c) => answerError(error, c, () => undefined))
    const validate = validatorOf(route)
    if (isOurs) {
      app.post(route.getRoutingPath(), jsonBody(100_000), (c) => {
        validate(c)
        const valid = (target: string) => c.req.valid(target as never)
        return c.json([valid('param'), valid('query'), valid('json')])
      })
    } else {
      app.openapi({ ...route, middleware: [jsonBody(100_000)] }, (c) =>
        c.json([c.req.valid('param'), c.req.valid('query'), c.req.valid('json')]),
      )
    }
    return app
  })
  return async (path: string, body: string | undefined, type: string | undefined) => {
    const headers = type === undefined ? {} : { 'Content-Type': type }
    const init = { method: 'POST', headers, ...(body === undefined ? {} : { body: Buffer.from(body) }) }
    const answers = await Promise.all(apps.map(async (app) => await app.request(path, init)))
    return await Promise.all(answers.map(async (one) => ({ status: one.status, body: await one.json() })))
  }
}

const item = { id: '1', key_id: 'A'.repeat(22), stanza: 'BBBB', context: { tenant: 'acme' } }
const json = 'application/json'
const bodies = {
  right: { items: [item] },
  'with a context that has odd names': {
    items: [{ ...item, context: { ['__proto__']: 'a', constructor: 'b' } }],
  },
  'without an item': { items: [] },
  'with too many items': { items: Array.from({ length: 1001 }, () => item) },
  'with a field too many': { items: [{ ...item, more: 1 }] },
  'with another field too many': { items: [item], more: 1 },
  'with a number for text': { items: [{ ...item, id: 1 }] },
  'with a long id': { items: [{ ...item, id: 'i'.repeat(129) }] },
  'with bytes that are none': { items: [{ ...item, stanza: 'B B' }] },
  'with a context of numbers': { items: [{ ...item, context: { a: 1 } }] },
  'that is a list': [item],
  'that is null': null,
} as const

describe('what is refused, in which words, and what is given to a handler is what the library says', () => {
  test.each(Object.entries(bodies))('for a body %s', async (_, body) => {
    const [ours, theirs] = await both()('/v1/keys/a?limit=7', JSON.stringify(body), json)
    expect(ours).toEqual(theirs)
  })

  test.each([
    ['/v1/keys/a', json],
    ['/v1/keys/a?limit=0', json],
    ['/v1/keys/a?limit=1&limit=2', json],
    ['/v1/keys/a?cursor=x', json],
    ['/v1/keys/A', json],
    ['/v1/keys/a', 'application/json; charset=utf-8'],
    ['/v1/keys/a', 'APPLICATION/JSON'],
    ['/v1/keys/a', 'application/problem+json'],
    ['/v1/keys/a', 'text/plain'],
    ['/v1/keys/a', 'application/jsonp'],
  ])('for %s as %s', async (path, type) => {
    const [ours, theirs] = await both()(path, JSON.stringify(bodies.right), type)
    expect(ours).toEqual(theirs)
  })

  test.each(['{', '', '{"items":[]} x', 'null'])('for the text %j', async (text) => {
    const [ours, theirs] = await both()('/v1/keys/a', text, json)
    expect(ours).toEqual(theirs)
  })

  test('for a body that is not said to be JSON', async () => {
    const [ours, theirs] = await both()('/v1/keys/a', JSON.stringify(bodies.right), undefined)
    expect(ours).toEqual(theirs)
    expect(ours).toMatchObject({ status: 400, body: { code: 'malformed_request' } })
  })
})

test('an answer that is made at once has what the one of the library has, and the common headers', async () => {
  const app = new OpenAPIHono<Env>()
  app.use(async (c, next) => {
    c.set('requestId', 'r-1')
    await next()
  })
  app.get('/now', (c) => jsonNow(c, { items: [{ text: 'ä' }] }))
  app.get('/library', (c) => c.json({ items: [{ text: 'ä' }] }, 200))
  const [now, library] = await Promise.all([app.request('/now'), app.request('/library')])
  expect(now.status).toBe(library.status)
  expect(await now.text()).toBe(await library.text())
  const lower = Object.entries(commonHeaders('r-1')).map(
    ([name, value]) => [name.toLowerCase(), value] as const,
  )
  expect(Object.fromEntries(now.headers)).toEqual({
    ...Object.fromEntries(library.headers),
    ...Object.fromEntries(lower),
  })
})
