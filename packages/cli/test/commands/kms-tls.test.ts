/** Commands that ask a key service over TLS. */

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { expect, onTestFinished, test } from 'vitest'

import { writeCertificate } from '../../../kms/test/support/certificate.ts'
import { ServiceWorkspace } from '../support/service.ts'

/** A service with TLS, as longhold.yaml says. */
async function withTls(): Promise<ServiceWorkspace> {
  const space = new ServiceWorkspace()
  await space.ok(['init'])
  writeCertificate(space.file('.'))
  const config = space.read('longhold.yaml')
  const tls = 'kms:\n  tls-cert: tls.crt\n  tls-key: tls.key\n  tls-require-pq: true\n'
  space.write('longhold.yaml', `kms-ca-file: tls.crt\n${config.replace(/^kms:\n/mu, tls)}`)
  await space.start()
  return space
}

test('with its certificate as authority, and keys exchanged by X25519MLKEM768', async () => {
  await using space = await withTls()
  expect(space.url).toMatch(/^https:/u)
  const sealed = await space.ask(['encrypt'], { stdin: 'hello' })
  expect([sealed.code, sealed.stderr]).toEqual([0, ''])
  expect((await space.ask(['decrypt'], { stdin: sealed.stdoutBytes })).stdout).toBe('hello')
})

test('without an authority, or with another one, nothing is asked', async () => {
  await using space = await withTls()
  space.write('longhold.yaml', space.read('longhold.yaml').replace('kms-ca-file: tls.crt\n', ''))
  const { code, stderr } = await space.ask(['kms', 'keys'])
  expect([code, stderr]).toEqual([4, expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT')])
  const env = { LONGHOLD_KMS_CA_FILE: 'tls.crt' }
  expect((await space.ask(['kms', 'keys'], { env })).code).toBe(0)
  const gone = await space.ask(['kms', 'keys'], { env: { LONGHOLD_KMS_CA_FILE: 'gone.crt' } })
  expect([gone.code, gone.stderr]).toEqual([2, expect.stringContaining('gone.crt: no such file')])
})

test('a service with classical groups is refused; where that is allowed, it is said', async () => {
  await using space = await withTls()
  const classical = createServer(
    {
      cert: readFileSync(space.file('tls.crt')),
      key: readFileSync(space.file('tls.key')),
      ecdhCurve: 'X25519',
    },
    (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"items":[]}'),
  )
  await new Promise<void>((resolve) => classical.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    classical.closeAllConnections()
    classical.close()
  })
  // It listens on a port.
  const { port } = classical.address() as AddressInfo
  const url = ['--kms-url', `https://127.0.0.1:${port}`]
  const refused = await space.cli(['kms', 'keys', ...url])
  expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('by X25519MLKEM768')])
  const env = { LONGHOLD_KMS_ALLOW_CLASSICAL: 'true' }
  const allowed = await space.cli(['kms', 'keys', ...url], { env })
  expect([allowed.code, allowed.stderr]).toEqual([0, expect.stringContaining('warning: the connection')])
  const wrong = await space.cli(['kms', 'keys', ...url], { env: { LONGHOLD_KMS_ALLOW_CLASSICAL: 'yes' } })
  expect(wrong.code).toBe(2)
})
