/** The client over TLS, against real servers. */

import { createServer } from 'node:https'
import type { ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { KmsClient, tlsFetch } from '@longhold/core/kms'
import type { TlsConnection } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { initService } from '../src/server/init.ts'
import { startService } from '../src/server/start.ts'
import { makeCertificate, writeCertificate } from './support/certificate.ts'
import { temporaryDirectory } from './support/files.ts'
import { readToken } from './support/service.ts'

const { certificate, privateKey } = makeCertificate()
const ca = certificate.toString()
const token = `lhk_${'0'.repeat(24)}_${'A'.repeat(43)}`

/** A server that is not ours, and what it was sent. */
async function elsewhere(options: ServerOptions, status = 200, headers: Record<string, string> = {}) {
  const received: string[] = []
  const server = createServer({ cert: certificate, key: privateKey, ...options }, (request, response) => {
    received.push(request.headers.authorization ?? 'nothing')
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(status === 204 ? undefined : '{"items":[]}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  // It listens on a port.
  const { port } = server.address() as AddressInfo
  return { url: `https://127.0.0.1:${port}`, received }
}

const unavailable = (message: RegExp) => ({
  code: 'unavailable',
  message: expect.stringMatching(message) as string,
})

describe('a client over TLS', () => {
  test('works with the service, on X25519MLKEM768, and says so', async () => {
    const place = temporaryDirectory()
    const { certFile, keyFile, certificate: own } = writeCertificate(place)
    const dataDir = join(place, 'data')
    await initService({ dataDir, firstKey: 'first' })
    const service = await startService({
      dataDir,
      port: 0,
      tls: { certFile, keyFile, requirePostQuantum: true },
    })
    onTestFinished(() => service.close())
    const connections: TlsConnection[] = []
    const client = new KmsClient({
      url: service.url,
      token: readToken(join(dataDir, 'admin.token')),
      fetch: tlsFetch({ ca: own.toString(), onConnection: (connection) => connections.push(connection) }),
    })
    expect(await client.getKey('first')).toMatchObject({ key: 'first' })
    expect((await client.rotateKey('first')).primary_version).toBe(2)
    await expect(client.getKey('other')).rejects.toMatchObject({ code: 'bad_input' })
    // One connection for all of them.
    expect(connections).toEqual([{ protocol: 'TLSv1.3', group: 'X25519MLKEM768' }])
  })

  test('sends nothing to a server with classical groups only, unless they are allowed', async () => {
    const { url, received } = await elsewhere({ ecdhCurve: 'X25519:P-256' })
    const strict = new KmsClient({ url, token, fetch: tlsFetch({ ca }) })
    await expect(strict.listKeys()).rejects.toMatchObject({
      ...unavailable(/does not exchange keys by X25519MLKEM768: it refused the handshake/u),
      hint: expect.stringContaining('allowClassical') as string,
    })
    expect(received).toEqual([])
    const connections: TlsConnection[] = []
    const lenient = tlsFetch({ ca, allowClassical: true, onConnection: (one) => connections.push(one) })
    await new KmsClient({ url, token, fetch: lenient }).listKeys()
    expect(connections).toEqual([{ protocol: 'TLSv1.3', group: 'X25519' }])
    expect(received).toEqual([`Bearer ${token}`])
  })

  test('takes the post-quantum group also where classical ones are allowed', async () => {
    const { url } = await elsewhere({ ecdhCurve: 'X25519:X25519MLKEM768' })
    const connections: TlsConnection[] = []
    const fetch = tlsFetch({
      ca,
      allowClassical: true,
      onConnection: (one) => connections.push(one),
    })
    await new KmsClient({ url, token, fetch }).listKeys()
    expect(connections).toEqual([{ protocol: 'TLSv1.3', group: 'X25519MLKEM768' }])
  })

  test('refuses TLS 1.2, and a certificate that nobody vouches for, before it sends anything', async () => {
    const old = await elsewhere({ maxVersion: 'TLSv1.2' })
    const fetch = tlsFetch({ ca, allowClassical: true })
    await expect(new KmsClient({ url: old.url, token, fetch }).listKeys()).rejects.toMatchObject(
      unavailable(/speaks no TLS 1\.3/u),
    )
    const other = await elsewhere({})
    // What a client does when nothing is said of fetch.
    await expect(new KmsClient({ url: other.url, token }).listKeys()).rejects.toMatchObject(
      unavailable(/certificate of the key service is not accepted \(DEPTH_ZERO_SELF_SIGNED_CERT\)/u),
    )
    expect([...old.received, ...other.received]).toEqual([])
  })

  test('refuses an expired certificate', async () => {
    const expired = makeCertificate({ notAfter: new Date(Date.now() - 3_600_000) })
    const { url, received } = await elsewhere({ cert: expired.certificate, key: expired.privateKey })
    const fetch = tlsFetch({ ca: expired.certificate.toString() })
    await expect(new KmsClient({ url, token, fetch }).listKeys()).rejects.toMatchObject(
      unavailable(/\(CERT_HAS_EXPIRED\)/u),
    )
    expect(received).toEqual([])
  })

  test('follows no redirect', async () => {
    const { url } = await elsewhere({}, 307, { location: 'https://127.0.0.1:1/' })
    const client = new KmsClient({ url, token, fetch: tlsFetch({ ca }) })
    await expect(client.listKeys()).rejects.toMatchObject(unavailable(/elsewhere/u))
  })

  test('gives up when it is told to', async () => {
    const { url } = await elsewhere({})
    const hanging = createServer({ cert: certificate, key: privateKey }, () => undefined)
    await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      hanging.closeAllConnections()
      hanging.close()
    })
    const { port } = hanging.address() as AddressInfo
    const fetch = tlsFetch({ ca })
    const slow = new KmsClient({ url: `https://127.0.0.1:${port}`, token, fetch, timeoutMs: 100 })
    await expect(slow.listKeys()).rejects.toMatchObject(unavailable(/did not answer within 100 ms/u))
    await expect(fetch(url, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  })

  test('reads an answer of nothing, and every answer from its start to its end', async () => {
    const empty = await elsewhere({}, 204)
    const fetch = tlsFetch({ ca })
    const response = await fetch(empty.url)
    expect([response.status, await response.text()]).toEqual([204, ''])
    const whole = await elsewhere({}, 200, { 'x-a': 'b' })
    const answer = await fetch(`${whole.url}/v1/keys?limit=1`, { method: 'POST', body: 'x'.repeat(100_000) })
    expect([answer.headers.get('x-a'), await answer.json()]).toEqual(['b', { items: [] }])
  })

  test('with an option that does not exist is refused', () => {
    expect(() => tlsFetch({ allowClasical: true } as never)).toThrow(/allowClasical/u)
  })
})
