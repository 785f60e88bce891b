/** A client that shares no code with ours, on a TLS library that shares none with Node's: a real Chromium. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { listen } from '../../packages/kms/src/http/listen.ts'
import type { Refusal } from '../../packages/kms/src/http/tls.ts'
import { makeCertificate } from '../../packages/kms/test/support/certificate.ts'
import { findChromium, flags } from './chromium.ts'

const chromium = await findChromium().catch((error: Error) => {
  if (process.env['CI'] === 'true') throw error
  return error
})

test('agrees with the service on X25519MLKEM768, where nothing else is accepted', async ({ skip }) => {
  const browser = chromium instanceof Error ? skip(chromium.message) : chromium
  const asked = Promise.withResolvers<string>()
  const refused: Refusal[] = []
  const app = {
    fetch(request: Request) {
      asked.resolve(request.headers.get('user-agent') ?? '')
      return new Response('ok')
    },
  }
  const listener = await listen(app, {
    host: '127.0.0.1',
    port: 0,
    tls: { ...makeCertificate(), requirePostQuantum: true },
    onRefused: (refusal) => refused.push(refusal),
  })
  const profile = mkdtempSync(join(tmpdir(), 'longhold-chromium-'))
  // Nobody vouches for the certificate, and the group is what is looked at.
  const options = [...flags, '--ignore-certificate-errors', `--user-data-dir=${profile}`]
  const child = spawn(browser.path, [...options, `${listener.url}/livez`], {
    env: { ...process.env, ...browser.env },
    stdio: 'ignore',
  })
  const ended = once(child, 'close')
  void ended.then(() => asked.reject(new Error('the browser ended before it asked')))
  try {
    expect(await asked.promise).toContain('Chrome')
    expect(refused).not.toContain('no_post_quantum_group')
  } finally {
    child.kill('SIGKILL')
    await ended
    await listener.close(0)
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
})
