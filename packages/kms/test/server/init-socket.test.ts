import { readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'

import { KmsClient } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { startService } from '../../src/server/start.ts'
import { temporaryDirectory } from '../support/files.ts'
import { readToken } from '../support/service.ts'

/** A service that was started before there was one. */
async function waiting(more: { unsealAnywhere?: boolean } = {}) {
  const dataDir = join(temporaryDirectory(), 'data')
  const start = () => startService({ dataDir, port: 0, awaitInit: true, ...more })
  const service = await start()
  onTestFinished(() => service.close())
  const ask = async (
    method: string,
    path: string,
    body?: object,
  ): Promise<{ status: number; json: unknown }> =>
    await new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' }
      const socketPath = join(dataDir, 'admin.sock')
      const asked = request({ socketPath, path, method, headers, agent: false }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.once('end', () => {
          resolve({ status: answer.statusCode ?? 0, json: JSON.parse(Buffer.concat(chunks).toString()) })
        })
      })
      asked.once('error', reject)
      asked.end(body && JSON.stringify(body))
    })
  return { dataDir, service, start, ask }
}

describe('a service that waits to be set up', () => {
  test('says so, is set up on its admin socket, and is open then', async () => {
    const { dataDir, service, start, ask } = await waiting()
    expect(service).toMatchObject({ isSealed: true, awaitsInit: true })
    expect(await ask('GET', '/v1/sys/seal-status')).toMatchObject({
      json: { sealed: true, initialised: false, kinds: [] },
    })
    const ready = await fetch(`${service.url}/readyz`)
    expect([ready.status, await ready.text()]).toEqual([
      503,
      expect.stringContaining('initialise it on its admin'),
    ])

    for (const path of ['/v1/sys/unseal', '/v1/sys/accept-rollback']) {
      expect(await ask('POST', path, { passphrase: 'of nothing' })).toMatchObject({
        status: 409,
        json: { code: 'invalid_state', detail: expect.stringContaining('longhold kms init') as string },
      })
    }
    const made = await ask('POST', '/v1/sys/init', { first_key: 'orders' })
    expect(made).toMatchObject({
      status: 201,
      json: {
        min_slots: 1,
        token_file: join(dataDir, 'admin.token'),
        recipient: expect.stringContaining('lhrecipient1-'),
      },
    })
    expect(JSON.stringify(made.json)).not.toContain('lhk_')
    expect(statSync(join(dataDir, 'admin.token')).mode & 0o777).toBe(0o600)
    const token = readToken(join(dataDir, 'admin.token'))
    const keys = await new KmsClient({ url: service.url, token }).listKeys()
    expect(keys.map(({ key }) => key)).toEqual(['orders'])
    expect(await ask('GET', '/v1/sys/seal-status')).toMatchObject({
      json: { sealed: false, initialised: true },
    })

    // Once, and for good.
    expect((await ask('POST', '/v1/sys/init', {})).status).toBe(404)
    await service.close()
    const again = await start()
    onTestFinished(() => again.close())
    expect(again).toMatchObject({ isSealed: false, awaitsInit: false })
  })

  test('for production: no first key, and a token for one use', async () => {
    const { dataDir, ask } = await waiting()
    const asked = { production: true, first_key: 'orders' }
    expect(await ask('POST', '/v1/sys/init', asked)).toMatchObject({
      status: 409,
      json: { code: 'invalid_state', detail: expect.stringContaining('before there are two slots') },
    })
    expect(await ask('POST', '/v1/sys/init', { production: true })).toMatchObject({
      json: { min_slots: 2, token_file: join(dataDir, 'bootstrap.token') },
    })
    expect(readFileSync(join(dataDir, 'bootstrap.token'), 'utf8')).toMatch(/^lhk_/u)
  })

  test('is not set up over the network, where unsealing is served either', async () => {
    const { service, ask } = await waiting({ unsealAnywhere: true })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${service.url}/v1/sys/init`, { method: 'POST', headers, body: '{}' })
    expect(answer.status).toBe(503)
    expect(await ask('POST', '/v1/sys/init', { productoin: true })).toMatchObject({ status: 400 })
    expect(await ask('GET', '/v1/sys/seal-status')).toMatchObject({ json: { initialised: false } })
  })

  test('is an error unless it was started to wait', async () => {
    const dataDir = join(temporaryDirectory(), 'data')
    await expect(startService({ dataDir, port: 0 })).rejects.toMatchObject({ code: 'not_initialised' })
  })
})
