import { describe, expect, test } from 'vitest'

import { startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

async function ask(under: TestService, path: string, init: RequestInit = {}, token = under.adminToken) {
  const headers = new Headers(init.headers)
  headers.set('authorization', `Bearer ${token}`)
  const response = await under.app.request(path, { ...init, headers })
  const body = (await response.json()) as { code?: string; items: { key?: string }[]; next_cursor?: string }
  return { status: response.status, body, code: body.code, etag: response.headers.get('etag') }
}

describe('cursors', () => {
  test('are good for their list and their token alone, whatever the size of the page', async () => {
    const under = await startTestService({ keys: ['a', 'b', 'c'] })
    const cursor = (await ask(under, '/v1/keys?limit=1')).body.next_cursor ?? ''
    const names = async (path: string) => (await ask(under, path)).body.items.map(({ key }) => key)
    expect(await names(`/v1/keys?limit=2&cursor=${cursor}`)).toEqual(['b', 'c'])
    expect(await names(`/v1/keys?cursor=${cursor}&limit=1`)).toEqual(['b'])
    const refused = { status: 400, code: 'malformed_request' }
    expect(await ask(under, `/v1/tokens?cursor=${cursor}`)).toMatchObject(refused)
    expect(await ask(under, `/v1/keys/a/versions?cursor=${cursor}`)).toMatchObject(refused)
    const other = await under.token(['keys.list'])
    expect(await ask(under, `/v1/keys?cursor=${cursor}`, {}, other)).toMatchObject(refused)
  })

  test('of the versions of one key are no good for another', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    for (const key of ['a', 'b']) await under.client().rotateKey(key)
    const cursor = (await ask(under, '/v1/keys/a/versions?limit=1')).body.next_cursor ?? ''
    expect(await ask(under, `/v1/keys/a/versions?cursor=${cursor}`)).toMatchObject({ status: 200 })
    expect(await ask(under, `/v1/keys/b/versions?cursor=${cursor}`)).toMatchObject({ status: 400 })
  })
})

test('the ETag of a key is its generation', async () => {
  const under = await startTestService({ keys: ['a'] })
  expect(await ask(under, '/v1/keys/a')).toMatchObject({ etag: '"1"' })
  expect(await ask(under, '/v1/keys/a/rotate', { method: 'POST' })).toMatchObject({ etag: '"2"' })
  expect(await ask(under, '/v1/keys/a')).toMatchObject({ etag: '"2"' })
})

describe('a name in the address that is not known', () => {
  test.each([
    ['GET', '/v1/keys/a?x=1'],
    ['POST', '/v1/keys/a/rotate?dryrun=true'],
    ['POST', '/v1/keys/a/rotate?dry-run=true'],
    ['GET', '/v1/keys/a/public-key?version=1'],
    ['GET', '/v1/keys?dry_run=true'],
  ])('is refused: %s %s', async (method, path) => {
    const under = await startTestService({ keys: ['a'] })
    expect(await ask(under, path, { method })).toMatchObject({ status: 400, code: 'unknown_field' })
    expect(await under.client().getKey('a')).toMatchObject({ generation: 1 })
  })
})

describe('a dry run', () => {
  test('says that the change would be made, and makes none', async () => {
    const under = await startTestService({ keys: ['a'] })
    const before = await under.verifyAudit()
    const rotation = await ask(under, '/v1/keys/a/rotate?dry_run=true', { method: 'POST' })
    expect(rotation.body).toEqual({ dry_run: true, would_answer: 200 })
    const body = JSON.stringify({ name: 'x', permissions: ['wrap'] })
    const headers = { 'content-type': 'application/json' }
    const token = await ask(under, '/v1/tokens?dry_run=true', { method: 'POST', headers, body })
    expect(token.body).toEqual({ dry_run: true, would_answer: 201 })
    expect(await under.client().getKey('a')).toMatchObject({ generation: 1 })
    expect(await under.client().listTokens()).toHaveLength(1)
    expect((await under.verifyAudit()).entries).toBe(before.entries)
    expect(await ask(under, '/v1/keys/a/rotate?dry_run=false', { method: 'POST' })).toMatchObject({
      etag: '"2"',
    })
  })

  test('of revoking a token leaves it as good as it was', async () => {
    const under = await startTestService({ keys: ['a'] })
    const token = await under.token(['keys.read'])
    const path = `/v1/tokens/${token.split('_')[1] ?? ''}?dry_run=true`
    expect(await ask(under, path, { method: 'DELETE' })).toMatchObject({ status: 200 })
    expect(await ask(under, '/v1/keys/a', {}, token)).toMatchObject({ status: 200 })
  })

  test('finds what the change would fail at', async () => {
    const under = await startTestService({ keys: ['a'] })
    const headers = { 'content-type': 'application/json' }
    const make = (key: string) =>
      ask(under, '/v1/keys?dry_run=true', { method: 'POST', headers, body: JSON.stringify({ key }) })
    expect(await make('a')).toMatchObject({ status: 409, code: 'invalid_state' })
    expect(await make('b')).toMatchObject({ status: 200 })
    expect(await make('B')).toMatchObject({ status: 400 })
    expect(await ask(under, '/v1/keys/b/rotate?dry_run=true', { method: 'POST' })).toMatchObject({
      status: 404,
    })
    const token = await under.token(['keys.read'])
    const refused = await ask(under, '/v1/keys/a/rotate?dry_run=true', { method: 'POST' }, token)
    expect(refused).toMatchObject({ status: 403 })
  })

  test.each(['', '=', '=1', '=yes', '=TRUE', '=true&dry_run=true', '=true&dry_run=false'])(
    'is not asked for by dry_run%s',
    async (value) => {
      const under = await startTestService({ keys: ['a'] })
      const answer = await ask(under, `/v1/keys/a/rotate?dry_run${value}`, { method: 'POST' })
      expect(answer).toMatchObject({ status: 400, code: 'malformed_request' })
      expect(await under.client().getKey('a')).toMatchObject({ generation: 1 })
    },
  )
})

describe('If-Match', () => {
  const rotate = (under: TestService, tag: string) =>
    ask(under, '/v1/keys/a/rotate', { method: 'POST', headers: { 'if-match': tag } })

  test('makes a change in that state only', async () => {
    const under = await startTestService({ keys: ['a'] })
    expect(await rotate(under, '"2"')).toMatchObject({ status: 412, code: 'precondition_failed' })
    expect(await rotate(under, '"1"')).toMatchObject({ status: 200, etag: '"2"' })
    expect(await rotate(under, '"1"')).toMatchObject({ status: 412, code: 'precondition_failed' })
    expect(await rotate(under, '*')).toMatchObject({ status: 200, etag: '"3"' })
  })

  test('of several at once, one is made', async () => {
    const under = await startTestService({ keys: ['a'] })
    const answers = await Promise.all(Array.from({ length: 8 }, () => rotate(under, '"1"')))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200,
      ...Array(7).fill(412),
    ])
  })

  test.each([
    ['W/"1"', 412],
    ['1', 412],
    ['"01"', 412],
    ['"1e0"', 412],
    ['""', 412],
    ['"1", "2"', 400],
  ])('with the tag %s is refused', async (tag, status) => {
    const under = await startTestService({ keys: ['a'] })
    expect(await rotate(under, tag)).toMatchObject({ status })
    expect(await under.client().getKey('a')).toMatchObject({ generation: 1 })
  })

  test.each([undefined, '*'])('is required for edits, and is not %s', async (tag) => {
    const under = await startTestService({ keys: ['a'] })
    const headers = { 'content-type': 'application/json', ...(tag === undefined ? {} : { 'if-match': tag }) }
    const body = JSON.stringify({ exportable: true })
    expect(await ask(under, '/v1/keys/a', { method: 'PATCH', headers, body })).toMatchObject({
      status: 428,
      code: 'precondition_required',
    })
  })

  test('is refused where nobody would look at it', async () => {
    const under = await startTestService()
    const headers = { 'content-type': 'application/json', 'if-match': '"1"' }
    const made = await ask(under, '/v1/keys', { method: 'POST', headers, body: '{"key":"a"}' })
    expect(made).toMatchObject({ status: 400, code: 'malformed_request' })
  })
})
