import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { createConnection } from 'node:net'
import { join } from 'node:path'

import { toBase64url } from '@longhold/core'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'

import { listen } from '../../src/http/listen.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { encodeStanza, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

/** Holds back entries and changes until released; says when the first is there. */
function heldBack(inner: KeyStore) {
  let isHolding = false
  let release = (): void => undefined
  let reached = (): void => undefined
  const released = new Promise<void>((resolve) => (release = resolve))
  const held = new Promise<void>((resolve) => (reached = resolve))
  const store = new Proxy(inner, {
    get(target, name: keyof KeyStore) {
      const method = target[name] as (...args: unknown[]) => Promise<unknown>
      return async (...args: unknown[]) => {
        if (isHolding && name === 'commit') {
          reached()
          await released
        }
        return await method.apply(target, args)
      }
    },
  })
  return { store, held, release, hold: () => void (isHolding = true) }
}

async function unwrapBody(under: TestService): Promise<{ body: string; secret: string }> {
  const { stanza, dataKey } = await wrapFor(under.client(), ['a'])
  const item = {
    id: '1',
    key_id: toBase64url(dataKey.keyId),
    stanza: toBase64url(encodeStanza(stanza)),
    context: {},
  }
  return { body: JSON.stringify({ items: [item] }), secret: dataKey.use((bytes) => toBase64url(bytes)) }
}

async function listening(under: TestService) {
  const listener = await listen(under.app, { host: '127.0.0.1', port: 0 })
  onTestFinished(() => listener.close(0))
  return { listener, port: Number(new URL(listener.url).port) }
}

/** A whole request on a connection of its own, and all bytes that come back. */
function rawRequest(port: number, under: TestService, path: string, body: string) {
  const socket = createConnection({ port, host: '127.0.0.1' })
  onTestFinished(() => void socket.destroy())
  const received: Buffer[] = []
  socket.on('data', (bytes: Buffer) => received.push(bytes))
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${under.adminToken}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  return { bytes: () => Buffer.concat(received), ended: once(socket, 'close') }
}

async function get(port: number, path: string): Promise<number | undefined> {
  const [response] = (await once(request({ port, path, host: '127.0.0.1' }).end(), 'response')) as [
    IncomingMessage,
  ]
  response.resume()
  await once(response, 'end')
  return response.statusCode
}

test.each(['/v1/unwrap', '/v1/keys/a/rotate'])(
  'no byte of the answer to %s leaves before its entry is durable',
  async (path) => {
    const holding = heldBack(new MemoryStore())
    const under = await startTestService({ store: holding.store, keys: ['a'] })
    const { body, secret } = await unwrapBody(under)
    const { port } = await listening(under)
    holding.hold()
    const asked = rawRequest(port, under, path, path === '/v1/unwrap' ? body : '')
    await holding.held
    // Everything else is done: whole round trips through the same process, and still nothing came.
    for (let i = 0; i < 3; i++) expect(await get(port, '/readyz')).toBe(200)
    expect(asked.bytes()).toHaveLength(0)
    holding.release()
    await asked.ended
    const answer = asked.bytes().toString()
    expect(answer).toMatch(/^HTTP\/1\.1 200 /u)
    expect(answer.includes(secret)).toBe(path === '/v1/unwrap')
  },
)

test('an entry that cannot be written in time is a 503 with nothing in it', async () => {
  const holding = heldBack(new MemoryStore())
  const under = await startTestService({ store: holding.store, keys: ['a'], auditDeadlineMs: 30 })
  const { body, secret } = await unwrapBody(under)
  const { port } = await listening(under)
  holding.hold()
  const asked = rawRequest(port, under, '/v1/unwrap', body)
  await asked.ended
  const answer = asked.bytes().toString()
  expect(answer).toMatch(/^HTTP\/1\.1 503 /u)
  expect(answer).toContain('audit_unavailable')
  expect(answer).not.toContain('data_key')
  expect(answer).not.toContain(secret)
  holding.release()
})

test('closing answers what is under way and takes nothing new', async () => {
  const holding = heldBack(new MemoryStore())
  const under = await startTestService({ store: holding.store, keys: ['a'] })
  const { body, secret } = await unwrapBody(under)
  const { listener, port } = await listening(under)
  holding.hold()
  const asked = rawRequest(port, under, '/v1/unwrap', body)
  await holding.held
  under.drain()
  const closed = listener.close(60_000)
  await expect(get(port, '/livez')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  holding.release()
  await closed
  await asked.ended
  expect(asked.bytes().toString()).toContain(secret)
})

test('closing does not wait for ever', async () => {
  const holding = heldBack(new MemoryStore())
  const under = await startTestService({ store: holding.store, keys: ['a'], auditDeadlineMs: 1000 })
  const { body } = await unwrapBody(under)
  const { listener, port } = await listening(under)
  holding.hold()
  const asked = rawRequest(port, under, '/v1/unwrap', body)
  await holding.held
  await listener.close(10)
  await asked.ended
  expect(asked.bytes()).toHaveLength(0)
  holding.release()
})

test('a locked database: changes are storage_unavailable, unwraps that or audit_unavailable, and then it works', async () => {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path, busyTimeoutMs: 20 })
  onTestFinished(() => store.close())
  const under = await startTestService({ store, keys: ['a'] })
  const { body } = await unwrapBody(under)
  const post = async (route: string, sent?: string) => {
    const response = await under.app.request(route, {
      method: 'POST',
      headers: { authorization: `Bearer ${under.adminToken}`, 'content-type': 'application/json' },
      body: sent ?? null,
    })
    return `${response.status} ${await response.text()}`
  }
  const other = new Database(path)
  onTestFinished(() => void other.close())
  other.exec('begin immediate')
  expect(await post('/v1/keys/a/rotate')).toMatch(/^503 .*"storage_unavailable"/u)
  // An unwrap that counts as a new use is a change too.
  expect(await post('/v1/unwrap', body)).toMatch(/^503 .*"(?:storage|audit)_unavailable"/u)
  other.exec('rollback')
  expect(await post('/v1/keys/a/rotate')).toMatch(/^200 .*"primary_version":2/u)
  expect(await post('/v1/unwrap', body)).toMatch(/^200 .*"data_key"/u)
  expect(await under.verifyAudit()).toMatchObject({ ok: true })
})
