import { existsSync, readFileSync, rmSync } from 'node:fs'

import { KmsClient, KmsSysClient } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import type { ServiceConfig } from '../../src/server/start.ts'
import { temporaryDirectory } from '../support/files.ts'

async function start(config: ServiceConfig) {
  const service = await startService({ port: 0, adminSocket: 'none', ...config })
  onTestFinished(() => service.close())
  return service
}

/** A service that was set up, and how to start it. */
async function setUp() {
  const dataDir = temporaryDirectory()
  const { tokenFile, keyFile } = await initService({ dataDir, firstKey: 'seal' })
  return { dataDir, keyFile, token: readFileSync(tokenFile, 'utf8').trim() }
}

/** Adds a slot and removes the key file's. */
async function moveTo(url: string, token: string, request: Parameters<KmsSysClient['addSlot']>[0]) {
  const sys = new KmsSysClient({ url, token })
  const [keyFile] = await sys.listSlots()
  const added = await sys.addSlot(request)
  await sys.removeSlot(keyFile?.slot ?? '')
  return added
}

describe('the start of a service', () => {
  test('is sealed where only people hold slots, and nothing is served but that', async () => {
    const { dataDir, token } = await setUp()
    const first = await start({ dataDir })
    expect(first.isSealed).toBe(false)
    const passphrase = 'correct horse battery'
    await moveTo(first.url, token, { kind: 'passphrase', label: '', passphrase })
    await first.close()
    // The key file is there, and there is no slot for it.
    const second = await start({ dataDir, unsealAnywhere: true })
    expect(second.isSealed).toBe(true)
    expect((await fetch(`${second.url}/readyz`)).status).toBe(503)
    const anonymous = new KmsSysClient({ url: second.url })
    expect(await anonymous.unseal({ passphrase })).toMatchObject({ sealed: false })
    expect(await new KmsClient({ url: second.url, token }).listKeys()).toHaveLength(1)
  })

  test('without the key file says what is missing, where nothing else opens, and makes none', async () => {
    const { dataDir, keyFile } = await setUp()
    rmSync(keyFile)
    await expect(start({ dataDir })).rejects.toMatchObject({ code: 'wrong_key_file' })
    expect(existsSync(keyFile)).toBe(false)
  })

  test('is opened by another key service, as long as that answers', async () => {
    const [one, other] = [await setUp(), await setUp()]
    const holder = await start({ dataDir: other.dataDir })
    const client = new KmsClient({ url: holder.url, token: other.token })
    const sealService = { client, key: 'seal' }
    const first = await start({ dataDir: one.dataDir, sealService })
    await moveTo(first.url, one.token, { kind: 'key-service', label: 'the other house' })
    await first.close()
    rmSync(one.keyFile)

    const second = await start({ dataDir: one.dataDir, sealService })
    expect(second.isSealed).toBe(false)
    expect(await new KmsClient({ url: second.url, token: one.token }).listKeys()).toHaveLength(1)
    await second.close()

    await expect(start({ dataDir: one.dataDir })).rejects.toMatchObject({ code: 'slot_unavailable' })
    await holder.close()
    await expect(start({ dataDir: one.dataDir, sealService })).rejects.toMatchObject({
      code: 'slot_unavailable',
    })
  })

  test('goes on with a rotation of the root key', async () => {
    const { dataDir, token } = await setUp()
    const first = await start({ dataDir })
    const sys = new KmsSysClient({ url: first.url, token })
    const begun = await sys.rotateRoot()
    expect(begun.root_version + (begun.next_root_version ?? 0)).toBeGreaterThanOrEqual(2)
    await first.close()
    const second = await start({ dataDir })
    const again = new KmsSysClient({ url: second.url, token })
    let state = await again.rootRotation()
    while (state.next_root_version !== null) state = await again.rootRotation()
    expect(state).toEqual({ root_version: 2, next_root_version: null, rows_left: 0 })
    expect(await new KmsClient({ url: second.url, token }).listKeys()).toHaveLength(1)
  })
})
