/** The configuration that is shipped, installed as the operator's guide says, with a folder in the place of the root. */

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { KmsClient, tlsFetch } from '@longhold/core/kms'
import { expect, test } from 'vitest'

import { writeCertificate } from './support/certificate.ts'
import { temporaryDirectory } from './support/files.ts'
import { run, serveFrom } from './support/process.ts'
import { readToken } from './support/service.ts'

const shipped = readFileSync(join(import.meta.dirname, '..', 'deploy', 'kms.yaml'), 'utf8')

test('is initialised, served, asked and looked at by the doctor', async () => {
  const root = temporaryDirectory()
  for (const path of ['etc/longhold/keys', 'var/lib/longhold', 'var/lib/longhold-anchor', 'run/longhold']) {
    mkdirSync(join(root, path), { recursive: true, mode: 0o700 })
  }
  const { certificate } = writeCertificate(join(root, 'etc/longhold'))
  const config = join(root, 'etc/longhold/kms.yaml')
  // Ports that are free on this machine, and no wait at the end.
  const text = shipped
    .replaceAll(/ (\/(?:etc|var|run)\/)/gu, ` ${root}$1`)
    .replaceAll(/:(8420|9464)$/gmu, ':0')
    .replace('drain-delay: 5s', 'drain-delay: 0s')
  writeFileSync(config, text, { mode: 0o600 })

  const initialised = await run('init', '--production', '--config', config)
  expect([initialised.code, initialised.stderr]).toEqual([0, ''])
  const tokenFile = join(root, 'var/lib/longhold/bootstrap.token')
  const checked = await run('serve', '--config', config, '--check-config')
  expect([checked.code, checked.stderr]).toEqual([0, ''])

  // As the unit starts it, on this machine alone.
  const serving = await serveFrom(root, ['--disable-sigusr1'], ['--config', config])
  const { port } = new URL(serving.url)
  const fetch = tlsFetch({ ca: certificate.toString() })
  const client = new KmsClient({ url: `https://127.0.0.1:${port}`, token: readToken(tokenFile), fetch })
  const { token } = await client.createToken({ name: 'operator', permissions: ['keys.list'] })
  const operator = new KmsClient({ url: client.url, token, fetch })
  expect(await operator.listKeys()).toEqual([])
  // One use.
  await expect(client.createToken({ name: 'x', permissions: ['keys.list'] })).rejects.toMatchObject({
    code: 'unavailable',
  })
  expect(statSync(join(root, 'run/longhold/admin.sock')).mode & 0o777).toBe(0o600)

  const doctor = await run('doctor', '--config', config)
  const found = doctor.stdout.split('\n').filter((line) => /^(?:warning|error)/u.test(line))
  const told = (about: string) => found.filter((line) => line.includes(about)).length
  expect(told('bootstrap.token') + told('one slot') + told('no backup'), doctor.stdout).toBe(3)
  for (const about of ['files', 'inspector', 'tls', 'anchor']) {
    const lines = found.filter(
      (line) => new RegExp(`^\\w+ +${about} `, 'u').test(line) && !line.includes('bootstrap.token'),
    )
    expect(lines).toEqual([])
  }
  expect(await serving.stop('SIGTERM')).toEqual({ code: 0, signal: null })
})
