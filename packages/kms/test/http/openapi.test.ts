import { z } from '@hono/zod-openapi'
import { problemCodes } from '@longhold/core/kms'
import { afterAll, describe, expect, test } from 'vitest'

import type { Schema } from '../../src/http/openapi-examples.ts'
import { describeApi } from '../../src/http/openapi.ts'
import type { Answer, Document, Operation } from '../../src/http/openapi.ts'
import { routeTable } from '../../src/http/route-table.ts'
import type { RouteName } from '../../src/http/route-table.ts'
import { requests } from '../support/requests.ts'
import { startTestService } from '../support/service.ts'

const { app } = await startTestService({ onEnd: afterAll })
const document = describeApi(app)
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(
    ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
  ),
)
const byName = new Map(operations)

/** A schema of the document as a check, with all that it refers to. */
function checkOf(schema: Schema): z.ZodType {
  const text = JSON.stringify({ ...schema, $defs: document.components.schemas })
  // The library's own type for it is wider than ours.
  return z.fromJSONSchema(JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')) as never)
}

/** What is wrong with a value; a schema that is not there is wrong too. */
function faultsOf(schema: Schema | undefined, value: unknown): unknown[] {
  return schema === undefined ? ['no schema'] : (checkOf(schema).safeParse(value).error?.issues ?? [])
}

function answerOf({ responses }: Operation, status: number): Answer {
  const answer = responses[status]
  if (answer === undefined) throw new Error(`status ${status} is not described`)
  const { $ref } = answer as { $ref?: string }
  if ($ref === undefined) return answer
  // A reference to a component of this kind.
  return document.components['responses']?.[$ref.split('/').at(-1) ?? ''] as Answer
}

describe('the document', () => {
  test('has every route of the app, and no other', () => {
    const served = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/gu, '{$1}')}`)
    expect(new Set(byName.keys())).toEqual(new Set(served))
  })

  test('has every code, under its status', () => {
    const responses = Object.values(document.components['responses'] ?? {}) as Answer[]
    const text = responses.map(({ description }) => description).join('; ')
    expect(
      text
        .match(/`(\w+)`/gu)
        ?.map((code) => code.slice(1, -1))
        .toSorted(),
    ).toEqual([...problemCodes].toSorted())
    const used = new Set(operations.flatMap(([, { responses: each }]) => Object.keys(each)))
    for (const name of Object.keys(document.components['responses'] ?? {})) {
      expect(used).toContain(name.replace('Problem', ''))
    }
  })

  test('names each operation once, and says what it is', () => {
    expect(new Set(operations.map(([, { operationId }]) => operationId)).size).toBe(operations.length)
    for (const [name, { summary }] of operations) expect(summary, name).toMatch(/^[A-Z].{5,}[^.]$/u)
  })

  test('asks for a token exactly where one is needed', () => {
    for (const [name, { security, description = '' }] of operations) {
      const rule = name in routeTable ? routeTable[name as RouteName] : undefined
      expect(security, name).toEqual(rule === undefined ? [] : [{ token: [] }])
      expect(description, name).toContain(rule === undefined ? '' : `\`${rule.permission}\``)
    }
    expect(document.components['securitySchemes']).toMatchObject({
      token: { type: 'http', scheme: 'bearer' },
    })
  })

  test('refers to nothing that is not there, and has patterns that are some', () => {
    const references: string[] = []
    const patterns: string[] = []
    JSON.stringify(document, (name, value: unknown) => {
      if (name === '$ref' && typeof value === 'string') references.push(value)
      if (name === 'pattern' && typeof value === 'string') patterns.push(value)
      return value
    })
    for (const reference of references) {
      const [, kind = '', part = ''] = /^#\/components\/(\w+)\/(\w+)$/u.exec(reference) ?? []
      expect(document.components[kind]?.[part], reference).toBeDefined()
    }
    for (const pattern of patterns) {
      expect(pattern).toMatch(/^\^.*\$$/u)
      expect(() => new RegExp(pattern, 'u')).not.toThrow()
    }
  })

  test('is served as it is, to everybody', async () => {
    const response = await app.request('/openapi.json')
    expect(response.headers.get('content-type')).toBe('application/json')
    expect((await response.json()) as Document).toEqual(JSON.parse(JSON.stringify(document)))
  })
})

describe.each(operations)('%s', (name, operation) => {
  test('has examples that its own schemas take', () => {
    const contents = [
      operation.requestBody?.content,
      ...Object.values(operation.responses).map(({ content }) => content),
    ]
    const checked = contents.flatMap((content) => content?.['application/json'] ?? [])
    expect(checked.map(({ schema, example }) => faultsOf(schema, example))).toEqual(checked.map(() => []))
  })

  test('answers without a token as it says', async () => {
    const [method = '', path = ''] = name.split(' ')
    const response = await app.request(path.replaceAll(/\{\w+\}/gu, '1'), { method })
    const { content, headers } = answerOf(operation, response.status)
    for (const header of Object.keys(headers ?? {})) expect(response.headers.has(header), header).toBe(true)
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
    expect(Object.keys(content ?? {})).toContain(type)
    const isJson = type.endsWith('json')
    expect(isJson ? faultsOf(content?.[type]?.schema, await response.json()) : []).toEqual([])
  })
})

describe.each(Object.keys(routeTable) as RouteName[])('%s', (name) => {
  test('answers as its schema says, and with the content type it says', async () => {
    const under = await startTestService({ keys: ['a'] })
    await under.client().rotateKey('a')
    const [path, init] = await requests[name](under)
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${under.adminToken}`)
    const response = await under.app.request(path, { ...init, headers })
    expect(response.status).toBeLessThan(300)
    const operation = byName.get(name)
    if (operation === undefined) throw new Error('not described')
    const { content } = answerOf(operation, response.status)
    const text = await response.text()
    const [type = ''] = (response.headers.get('content-type') ?? 'application/json').split(';')
    const schema = content?.[type]?.schema
    const isBytes = type === 'application/octet-stream'
    expect(isBytes ? schema : undefined).toEqual(isBytes ? { type: 'string', format: 'binary' } : undefined)
    expect(isBytes || schema === undefined ? [] : faultsOf(schema, JSON.parse(text))).toEqual([])
    expect(text === '').toBe(content === undefined)
  })

  test('and in a dry run, if it changes something, as that schema says', async () => {
    const under = await startTestService({ keys: ['a'] })
    await under.client().rotateKey('a')
    const [path, init] = await requests[name](under)
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${under.adminToken}`)
    const before = await under.verifyAudit()
    const response = await under.app.request(`${path}?dry_run=true`, { ...init, headers })
    const operation = byName.get(name)
    if (operation === undefined) throw new Error('not described')
    const takesIt = operation.parameters?.some((one) => one.name === 'dry_run') === true
    expect(response.status).toBe(takesIt ? 200 : 400)
    const [type = ''] = Object.keys(answerOf(operation, response.status).content ?? {})
    expect(
      faultsOf(answerOf(operation, response.status).content?.[type]?.schema, await response.json()),
    ).toEqual([])
    // Nothing was changed, and nothing recorded.
    expect((await under.verifyAudit()).entries).toBe(before.entries)
  })
})

test.each([400, 404, 409, 413, 422, 428, 429, 503])('a problem %i is as described', (status) => {
  const { content } = answerOf(byName.get('PATCH /v1/keys/{key}') ?? { responses: {} }, status)
  const { schema, example } = content?.['application/problem+json'] ?? {}
  expect(faultsOf(schema, example)).toEqual([])
  expect(checkOf(schema ?? {}).safeParse({ ...(example as object), code: 'made_up' }).success).toBe(false)
})
