import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { KmsClient, KmsSysClient, permissions } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import { temporaryDirectory } from '../support/files.ts'

async function start(dataDir: string) {
  const service = await startService({ dataDir, port: 0, adminSocket: 'none' })
  onTestFinished(() => service.close())
  return service
}

describe('a service that is set up', () => {
  test('to try it out: one slot, a first key, a token that does everything', async () => {
    const dataDir = temporaryDirectory()
    const made = await initService({ dataDir, firstKey: 'first' })
    expect(made).toMatchObject({ minSlots: 1, tokenFile: join(dataDir, 'admin.token') })
    const { url } = await start(dataDir)
    const token = readFileSync(made.tokenFile, 'utf8').trim()
    const client = new KmsClient({ url, token })
    await client.createKey({ key: 'second' })
    expect(await new KmsSysClient({ url, token }).listSlots()).toMatchObject([{ kind: 'key-file' }])
    const answer = await fetch(`${url}/v1/sys/identity`)
    expect(await answer.json()).toMatchObject({ fingerprint: made.fingerprint })
  })

  test('for production: no key before two slots, and a first token for one use', async () => {
    const dataDir = temporaryDirectory()
    const made = await initService({ dataDir, production: true })
    expect(made).toMatchObject({ minSlots: 2, tokenFile: join(dataDir, 'bootstrap.token') })
    expect(statSync(made.tokenFile).mode & 0o777).toBe(0o600)
    const { url } = await start(dataDir)
    const bootstrap = new KmsClient({ url, token: readFileSync(made.tokenFile, 'utf8').trim() })
    await expect(bootstrap.listKeys()).rejects.toMatchObject({ code: 'unavailable' })
    const { token } = await bootstrap.createToken({ name: 'admin', permissions })
    await expect(bootstrap.createToken({ name: 'again', permissions })).rejects.toThrow(/does not accept/u)
    const client = new KmsClient({ url, token })
    await expect(client.createKey({ key: 'first' })).rejects.toThrow(/1 slot of the 2/u)
    const sys = new KmsSysClient({ url, token })
    await expect(sys.addSlot({ kind: 'passphrase', label: '', passphrase: 'too short' })).rejects.toThrow(
      /at least 12 characters/u,
    )
    await sys.addSlot({ kind: 'passphrase', label: 'the safe', passphrase: 'correct horse battery' })
    await client.createKey({ key: 'first' })
    const [slot] = await sys.listSlots()
    await expect(sys.removeSlot(slot?.slot ?? '')).rejects.toThrow(/at least 2/u)
  })

  test('for production with a single slot, where that is said', async () => {
    const dataDir = temporaryDirectory()
    const made = await initService({ dataDir, production: true, singleSlot: true, firstKey: 'first' })
    expect(made).toMatchObject({ minSlots: 1, firstKey: { key: 'first' } })
  })

  test('for production with a first key and one slot: not at all', async () => {
    const dataDir = join(temporaryDirectory(), 'kms')
    await expect(initService({ dataDir, production: true, firstKey: 'first' })).rejects.toMatchObject({
      code: 'bad_config',
    })
    expect(() => statSync(dataDir)).toThrow(/ENOENT/u)
  })
})
