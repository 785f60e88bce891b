/** A disk that is full, for a service that runs, and has room again. */

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { toBase64url } from '@longhold/core'
import { KmsClient } from '@longhold/core/kms'
import { expect, test } from 'vitest'

import { initService } from '../../src/server/init.ts'
import { verifyAudit } from '../../src/server/verify-audit.ts'
import { temporaryDirectory } from '../support/files.ts'
import { serveUnder } from '../support/process.ts'
import type { Serving } from '../support/process.ts'
import { encodeStanza, readToken, wrapFor } from '../support/service.ts'

async function initialised(): Promise<string> {
  const dataDir = join(temporaryDirectory(), 'data')
  await initService({ dataDir, firstKey: 'first' })
  return dataDir
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** A service, and somebody who unwraps one data key again and again. */
async function unwrapping({ url }: Serving, token: string) {
  const client = new KmsClient({ url, token })
  const { stanza, dataKey } = await wrapFor(client, ['first'])
  const item = { id: '1', key_id: toBase64url(dataKey.keyId), stanza: toBase64url(encodeStanza(stanza)) }
  const body = JSON.stringify({ items: [{ ...item, context: {} }] })
  const secret = dataKey.use((bytes) => toBase64url(bytes))
  const ask = async (): Promise<Answer> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const response = await fetch(`${url}/v1/unwrap`, { method: 'POST', headers, body })
    return { status: response.status, text: await response.text() }
  }
  return { client, ask, secret }
}

/** Until the disk is full; answers hold the data key until then, and nothing afterwards. */
async function fill({ ask, secret }: Awaited<ReturnType<typeof unwrapping>>): Promise<number> {
  for (let answered = 0; answered < 20_000; answered++) {
    const { status, text } = await ask()
    if (status === 200) {
      expect(text).toContain(secret)
      continue
    }
    expect(status).toBe(503)
    expect(JSON.parse(text)).toMatchObject({ code: 'audit_unavailable' })
    expect(text).not.toContain(secret)
    expect(text).not.toContain('data_key')
    return answered
  }
  throw new Error('the disk was never full')
}

async function expectFullThenWhole(
  serving: Serving,
  token: string,
  makeRoom: () => void,
): Promise<{ answered: number }> {
  const under = await unwrapping(serving, token)
  const answered = await fill(under)
  expect(answered).toBeGreaterThan(0)
  for (let attempt = 0; attempt < 3; attempt++) {
    expect(await under.ask()).toMatchObject({ status: 503 })
    await expect(under.client.rotateKey('first')).rejects.toMatchObject({ code: 'unavailable' })
  }
  // What needs no entry is answered.
  expect(await under.client.getKey('first')).toMatchObject({ primary_version: 1 })
  makeRoom()
  // Nobody started anything anew.
  expect((await under.ask()).text).toContain(under.secret)
  expect(await under.client.rotateKey('first')).toMatchObject({ primary_version: 2 })
  expect(await under.client.audit.verify()).toMatchObject({ ok: true, faults: [] })
  return { answered }
}

const cannotRaise = spawnSync('prlimit', ['--version']).status !== 0

test('no file may grow (EFBIG): nothing is answered without its entry, and everything is once it may', async ({
  skip,
}) => {
  skip(cannotRaise, 'prlimit is not installed')
  const dataDir = await initialised()
  const token = readToken(join(dataDir, 'admin.token'))
  // The soft limit: the hard one could not be raised again.
  const limited = ['sh', '-c', 'ulimit -S -f 400 && exec "$@"', 'sh']
  const serving = await serveUnder(limited, '--data-dir', dataDir)
  await expectFullThenWhole(serving, token, () => {
    execFileSync('prlimit', [`--pid=${serving.process.pid}`, '--fsize=unlimited'])
  })
  await serving.stop('SIGTERM')
  expect(await verifyAudit({ dataDir })).toMatchObject({ ok: true })
})

const cannotMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status !== 0

test('no space is left (ENOSPC): nothing is answered without its entry, and everything is once there is', async ({
  skip,
}) => {
  skip(cannotMount, 'a file system of its own cannot be mounted here')
  const made = await initialised()
  const token = readToken(join(made, 'admin.token'))
  const place = temporaryDirectory()
  const copied = join(temporaryDirectory(), 'data')
  cpSync(made, copied, { recursive: true })
  const script = [
    'mount -t tmpfs -o size=1m tmpfs "$0"',
    `cp -R '${copied}' "$0"`,
    // What is deleted later.
    'head -c 400000 /dev/zero > "$0/filler"',
    'exec "$@"',
  ].join(' && ')
  const serving = await serveUnder(
    ['unshare', '-rm', 'sh', '-c', script, place],
    '--data-dir',
    join(place, 'data'),
  )
  // The files as this process sees them are others: only its children have the mount.
  const inside = join(`/proc/${serving.process.pid}/root`, place)
  await expectFullThenWhole(serving, token, () => rmSync(join(inside, 'filler')))
  const after = join(temporaryDirectory(), 'data')
  cpSync(join(inside, 'data'), after, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  await serving.stop('SIGTERM')
  expect(await verifyAudit({ dataDir: after })).toMatchObject({ ok: true })
})
