/** The service as it is run: TLS, metrics and configuration of a real process. */

import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { initService } from '../src/server/init.ts'
import { startService } from '../src/server/start.ts'
import { writeCertificate } from './support/certificate.ts'
import { temporaryDirectory } from './support/files.ts'
import { run, serve } from './support/process.ts'

async function initialised() {
  const place = temporaryDirectory()
  const dataDir = join(place, 'data')
  await initService({ dataDir, firstKey: 'first' })
  return { place, dataDir, ...writeCertificate(place) }
}

/** The status of /livez, or how the handshake ended. */
async function livez(url: string, ca: Buffer, ecdhCurve: string): Promise<number | string | undefined> {
  return await new Promise((resolve) => {
    const asked = request(
      `${url}/livez`,
      { ca, ecdhCurve, minVersion: 'TLSv1.3', agent: false },
      (response) => {
        response.resume()
        resolve(response.statusCode)
      },
    )
    asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    asked.end()
  })
}

describe('serve', () => {
  test('with certificate and key speaks TLS, and counts and logs whom it refuses', async () => {
    const { place, dataDir, certFile, keyFile, certificate } = await initialised()
    const config = join(place, 'kms.yaml')
    writeFileSync(
      config,
      `data-dir: ${dataDir}\ntls-cert: tls.crt\ntls-key: tls.key\ntls-require-pq: true\nmetrics-listen: 127.0.0.1:0\n`,
    )
    const checked = await run('serve', '--config', config, '--check-config')
    expect(checked.code).toBe(0)
    expect(checked.stdout).toContain(`tls-cert             ${certFile}  (tls-cert of ${config})`)
    expect(checked.stdout).toContain(keyFile)

    const serving = await serve('--config', config)
    expect(serving.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/u)
    expect(await livez(serving.url, certificate, 'X25519MLKEM768')).toBe(200)
    expect(await livez(serving.url, certificate, 'X25519')).toBe('EPROTO')
    const [, metricsUrl = ''] = /^metrics on (\S+)$/mu.exec(serving.stdout()) ?? []
    const metrics = (await (await fetch(metricsUrl)).text()).split('\n')
    expect(metrics).toContain('longhold_kms_connections_refused_total{reason="no_post_quantum_group"} 1')
    expect(metrics).toContain('longhold_kms_requests_total{method="GET",route="/livez",status="200"} 1')
    expect(metrics).toContain('longhold_kms_sealed 0')
    expect(await serving.stop('SIGTERM')).toEqual({ code: 0, signal: null })
    const lines = serving.stderr().trim().split('\n')
    const refused = lines.map((line) => JSON.parse(line) as { code?: string; msg: string })
    expect(refused.find(({ code }) => code === 'no_post_quantum_group')?.msg).toContain('X25519MLKEM768')
  })

  test('listens beyond this machine with TLS, and in plain HTTP only where told', async () => {
    const { dataDir, certFile, keyFile } = await initialised()
    const anywhere = { dataDir, host: '0.0.0.0', port: 0 }
    const refusal = { code: 'not_loopback' }
    await expect(startService(anywhere)).rejects.toMatchObject(refusal)
    const tls = { certFile, keyFile }
    const metrics = { host: '0.0.0.0', port: 0 }
    await expect(startService({ ...anywhere, tls, metrics })).rejects.toMatchObject(refusal)
    await (await startService({ ...anywhere, tls })).close()
    await (await startService({ ...anywhere, tls, metrics, plainHttpAnywhere: true })).close()
  })

  test('with files that cannot serve ends before it begins', async () => {
    const { dataDir, certFile } = await initialised()
    for (const more of [['--check-config'], []]) {
      const files = ['--tls-cert', certFile, '--tls-key', certFile]
      const ran = await run('serve', '--data-dir', dataDir, ...files, ...more)
      expect([ran.code, ran.stdout]).toEqual([2, ''])
      expect(ran.stderr).toMatch(/^longhold-kms: error: .*tls\.crt (may be read|is no private key)/u)
    }
  })

  test('with a configuration that is wrong says all of it, each with its hint', async () => {
    const { place, dataDir } = await initialised()
    const config = join(place, 'kms.yaml')
    writeFileSync(config, `data-dir: ${dataDir}\ntls-requir-pq: true\nlog: loud\n`)
    const { code, stdout, stderr } = await run('serve', '--config', config)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr.split('\n')).toEqual([
      `longhold-kms: error: ${config}: there is no entry tls-requir-pq; did you mean tls-require-pq?`,
      `longhold-kms: error: log of ${config} is one of info, error, silent, not "loud"`,
      'longhold-kms: hint: longhold-kms help lists commands and options',
      '',
    ])
  })

  test('says that it stops before it refuses connections, for as long as configured', async () => {
    const { dataDir } = await initialised()
    const serving = await startService({ dataDir, port: 0, drainDelayMs: 60_000 })
    expect((await fetch(`${serving.url}/readyz`)).status).toBe(200)
    const closed = serving.close()
    const answers = await Promise.all(
      ['/readyz', '/livez', '/v1/keys'].map((path) => fetch(serving.url + path)),
    )
    expect(answers.map(({ status }) => status)).toEqual([503, 200, 503])
    // Somebody is in a hurry.
    await serving.close()
    await closed
    await expect(fetch(`${serving.url}/livez`)).rejects.toThrow()
  })
})
