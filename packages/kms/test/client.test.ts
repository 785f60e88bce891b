/** The client of `@longhold/core/kms` against the service as its own process. */

import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { DataKey, unwrapDataKey, wrapDataKey } from '@longhold/core'
import { KmsClient, KmsIdentity, kmsRecipient } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { initService } from '../src/server/init.ts'
import { temporaryDirectory } from './support/files.ts'
import { serve } from './support/process.ts'
import { hexOf, readToken } from './support/service.ts'

async function initialised(): Promise<{ dataDir: string; token: string }> {
  const dataDir = join(temporaryDirectory(), 'data')
  await initService({ dataDir, firstKey: 'first' })
  return { dataDir, token: readToken(join(dataDir, 'admin.token')) }
}

/** Something in between, which the client asks in the service's place. */
async function between(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  // A TCP server has one.
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}

/** The service's own answer to a request that came to somebody else. */
async function passOn(url: string, request: IncomingMessage): Promise<Response> {
  const chunks: Uint8Array[] = []
  for await (const chunk of request) chunks.push(chunk as Uint8Array)
  const {
    host: _,
    connection: __,
    'content-length': ___,
    'transfer-encoding': ____,
    ...headers
  } = request.headers
  return await fetch(url + (request.url ?? ''), {
    method: request.method ?? 'GET',
    // Of one request, whose headers stand once each.
    headers: headers as Record<string, string>,
    body: chunks.length === 0 ? null : Buffer.concat(chunks),
  })
}

describe('an answer that is lost on its way', () => {
  test('does not make a change happen twice', async () => {
    const { dataDir, token } = await initialised()
    const serving = await serve('--data-dir', dataDir)
    let lost = 0
    const url = await between((request, response) => {
      void passOn(serving.url, request).then(async (answer) => {
        const body = await answer.text()
        // Made, and nobody hears of it.
        if (request.method === 'POST' && lost++ === 0) return response.destroy()
        return response.writeHead(answer.status, { 'content-type': 'application/json' }).end(body)
      })
    })
    const client = new KmsClient({ url, token })
    expect(await client.rotateKey('first')).toMatchObject({ primary_version: 2 })
    expect(lost).toBe(2)
    expect(await client.getKey('first')).toMatchObject({ primary_version: 2, version_count: 2 })
    lost = 0
    const error: unknown = await client
      .createToken({ name: 'x', permissions: ['wrap'] })
      .catch((one: unknown) => one)
    expect(error).toMatchObject({ code: 'bad_input', message: expect.stringContaining('was done') as string })
    expect((await client.listTokens()).filter(({ name }) => name === 'x')).toHaveLength(1)
  })

  test('or a service that starts again meanwhile, is waited for', async () => {
    const { dataDir, token } = await initialised()
    const first = await serve('--data-dir', dataDir)
    let isFirst = true
    let current = first.url
    const url = await between((request, response) => {
      void (async () => {
        if (isFirst) {
          isFirst = false
          await first.stop('SIGTERM')
          current = (await serve('--data-dir', dataDir)).url
          return response.destroy()
        }
        const answer = await passOn(current, request)
        return response
          .writeHead(answer.status, { 'content-type': 'application/json' })
          .end(await answer.text())
      })()
    })
    expect(await new KmsClient({ url, token }).getKey('first')).toMatchObject({ primary_version: 1 })
  })
})

describe('pinning', () => {
  test('a service that is the pinned one is believed; what it signs outlives a restart', async () => {
    const { dataDir, token } = await initialised()
    const first = await serve('--data-dir', dataDir)
    const { fingerprint } = await new KmsClient({ url: first.url, token }).signingIdentity()
    await first.stop('SIGTERM')
    const second = await serve('--data-dir', dataDir)
    const client = new KmsClient({ url: second.url, token, pin: fingerprint })
    const recipient = await kmsRecipient(client, 'first')
    await client.keys.putAlias('now', 'first')
    expect((await kmsRecipient(client, 'now')).toString()).toBe(recipient.toString())
    const dataKey = DataKey.generate()
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [recipient], keyContext: { tenant: 'acme' } })
    const identities = [new KmsIdentity(client, { keys: ['first'] })]
    const opened = await unwrapDataKey(wrappedKey, { identities, keyContext: { tenant: 'acme' } })
    expect(hexOf(opened)).toBe(hexOf(dataKey))
  })

  test('another service in its place is not, nor an old answer of its own', async () => {
    const [ours, theirs] = [await initialised(), await initialised()]
    const [service, other] = [
      await serve('--data-dir', ours.dataDir),
      await serve('--data-dir', theirs.dataDir),
    ]
    const { fingerprint: pin } = await new KmsClient({
      url: service.url,
      token: ours.token,
    }).signingIdentity()
    const impostor = new KmsClient({ url: other.url, token: theirs.token, pin })
    await expect(kmsRecipient(impostor, 'first')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('whose fingerprint was given') as string,
    })

    const bundles: string[] = []
    let replayed: string | undefined
    const url = await between((request, response) => {
      void passOn(service.url, request).then(async (answer) => {
        let body = await answer.text()
        if (request.url?.endsWith('/public-key') === true) {
          bundles.push(body)
          body = replayed ?? body
        }
        return response.writeHead(answer.status, { 'content-type': 'application/json' }).end(body)
      })
    })
    const client = new KmsClient({ url, token: ours.token, pin })
    await kmsRecipient(client, 'first')
    await client.rotateKey('first')
    expect(await client.publicKey('first')).toMatchObject({ version: 2 })
    replayed = bundles[0]
    await expect(client.publicKey('first')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('an older public key of first') as string,
    })
    replayed = undefined
    expect(await client.publicKey('first')).toMatchObject({ version: 2 })
  })
})

test('a caller who gives up waits no longer', async () => {
  const { dataDir, token } = await initialised()
  const serving = await serve('--data-dir', dataDir)
  const controller = new AbortController()
  const url = await between(() => controller.abort())
  const client = new KmsClient({ url, token }).with({ signal: controller.signal })
  await expect(client.getKey('first')).rejects.toMatchObject({
    message: expect.stringContaining('given up') as string,
  })
  expect(await new KmsClient({ url: serving.url, token }).getKey('first')).toMatchObject({ key: 'first' })
})

test('a service that was told how often a token may ask says when to come back, and the client does', async () => {
  const { dataDir, token } = await initialised()
  const serving = await serve('--data-dir', dataDir, '--requests-per-second', '1')
  const client = new KmsClient({ url: serving.url, token })
  const answers = await Promise.all(Array.from({ length: 3 }, () => client.getKey('first')))
  expect(answers.map(({ key }) => key)).toEqual(['first', 'first', 'first'])
  // Two at once, and the third only after a 429.
  expect(serving.stderr()).toContain('"code":"rate_limited"')
  const error: unknown = await Promise.all(
    Array.from({ length: 4 }, () => client.with({ attempts: 1 }).getKey('first')),
  ).catch((one: unknown) => one)
  expect(error).toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('asked too often') as string,
  })
})
