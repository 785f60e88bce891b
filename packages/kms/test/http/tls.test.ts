import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'

import { OpenAPIHono } from '@hono/zod-openapi'
import { describe, expect, onTestFinished, test } from 'vitest'

import type { Env } from '../../src/http/env.ts'
import { defaultLimits } from '../../src/http/limits.ts'
import { listen } from '../../src/http/listen.ts'
import type { Refusal } from '../../src/http/tls.ts'
import { makeCertificate } from '../support/certificate.ts'
import { temporaryDirectory } from '../support/files.ts'
import { allOf, answerTo, open } from '../support/sockets.ts'

const { certificate, privateKey } = makeCertificate()

async function startTls({
  requirePostQuantum = false,
  headersTimeoutMs = 10_000,
}: {
  requirePostQuantum?: boolean
  headersTimeoutMs?: number
}) {
  const app = new OpenAPIHono<Env>()
  app.get('/livez', (c) => c.json({ status: 'ok' }))
  const refused: Refusal[] = []
  const listener = await listen(app, {
    host: '127.0.0.1',
    port: 0,
    tls: { certificate, privateKey, requirePostQuantum },
    limits: { ...defaultLimits, headersTimeoutMs },
    onRefused: (refusal) => refused.push(refusal),
  })
  onTestFinished(() => listener.close(0))
  return { url: listener.url, refused, listener }
}

/** The group of a handshake, as the peer sees it. */
async function shakeHands(url: string, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', ca: certificate, ...options })
  try {
    await once(socket, 'secureConnect')
    return JSON.stringify(socket.getEphemeralKeyInfo())
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'failed'
  } finally {
    socket.destroy()
  }
}

/** `openssl s_client` of the system: another implementation, often one without ML-KEM. */
async function openssl(url: string, group: string): Promise<string> {
  const authority = join(temporaryDirectory(), 'ca.pem')
  writeFileSync(authority, certificate)
  const options = ['-connect', new URL(url).host, '-CAfile', authority, '-groups', group]
  const child = spawn('openssl', ['s_client', ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  await once(child, 'close')
  return said
}

type Peer = (url: string, group: string) => Promise<string>
const peers: [string, Peer][] = [['node', (url, group) => shakeHands(url, { ecdhCurve: group })]]
if (existsSync('/usr/bin/openssl')) peers.push(['openssl', openssl])

describe('TLS', () => {
  test('agrees on X25519MLKEM768 with whoever has it, whatever share he sent', async () => {
    const { url, refused } = await startTls({ requirePostQuantum: false })
    for (const options of [
      {},
      { ecdhCurve: 'X25519MLKEM768' },
      { ecdhCurve: 'X25519MLKEM768:X25519' },
      { ecdhCurve: 'X25519:X25519MLKEM768' },
      { ecdhCurve: 'P-256:X25519:X25519MLKEM768' },
    ]) {
      expect(await shakeHands(url, options), JSON.stringify(options)).toContain('"X25519MLKEM768"')
    }
    expect(refused).toEqual([])
  })

  test.each(peers)(
    'agrees with %s on X25519, P-256 or P-384, where they are not refused',
    async (_, peer) => {
      const { url, refused } = await startTls({ requirePostQuantum: false })
      expect(await peer(url, 'X25519')).toMatch(/"X25519"|Temp Key: X25519|group: X25519/iu)
      expect(await peer(url, 'P-256')).toMatch(/prime256v1|P-256|secp256r1/u)
      expect(await peer(url, 'P-384')).toMatch(/secp384r1|P-384/u)
      expect(refused).toEqual([])
    },
  )

  test.each(peers)('refuses %s without a post-quantum group where one is required', async (_, peer) => {
    const { url, refused } = await startTls({ requirePostQuantum: true })
    for (const group of ['X25519', 'P-256', 'P-384:X25519']) {
      expect(await peer(url, group), group).toMatch(/HANDSHAKE_FAILURE|handshake failure/u)
    }
    expect(refused).toEqual(Array.from({ length: 3 }, () => 'no_post_quantum_group'))
    expect(await shakeHands(url)).toContain('"X25519MLKEM768"')
    expect(refused).toHaveLength(3)
  })

  test('is version 1.3 and nothing before', async () => {
    const { url, refused } = await startTls({ requirePostQuantum: false })
    expect(await shakeHands(url, { maxVersion: 'TLSv1.2' })).toMatch(/PROTOCOL_VERSION/u)
    expect(refused).toEqual(['old_tls'])
  })

  test('does not answer plain HTTP', async () => {
    const { url, refused } = await startTls({ requirePostQuantum: false })
    expect(await answerTo(url, 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')).not.toContain('ok')
    expect(refused).toEqual(['plain_http'])
  })

  test('cuts off whoever does not finish his handshake, and says so', async () => {
    const { url, refused } = await startTls({ headersTimeoutMs: 50 })
    // The beginning of a record, and no more.
    expect(await answerTo(url, Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]))).toBe('')
    expect(refused).toEqual(['slow_handshake'])
  })

  test('is not held up at its end by a handshake', async () => {
    const { url, listener } = await startTls({})
    const silent = open(url)
    await once(silent, 'connect')
    while (listener.connections() === 0) await new Promise((resolve) => setImmediate(resolve))
    const ended = allOf(silent)
    await listener.close(20)
    expect(await ended).toBe('')
  })

  test('counts clients that do not trust the certificate', async () => {
    const { url, refused } = await startTls({ requirePostQuantum: false })
    const { certificate: other } = makeCertificate()
    expect(await shakeHands(url, { ca: other })).toMatch(/SELF_SIGNED|UNABLE_TO/u)
    // It says so once the handshake is over on our side: the next one is refused after it.
    await shakeHands(url, { maxVersion: 'TLSv1.2' })
    expect(refused.at(-1)).toBe('old_tls')
  })
})
