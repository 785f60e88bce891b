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
