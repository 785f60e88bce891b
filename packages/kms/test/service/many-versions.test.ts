import { join } from 'node:path'

import { LocalIdentity, Secret, wrapDataKey, DataKey } from '@longhold/core'
import { kmsRecipient, sealKeyPackage } from '@longhold/core/kms'
import type { PackagedVersion } from '@longhold/core/kms'
import { expect, test } from 'vitest'

import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService, stanzaOf } from '../support/service.ts'

const count = 10_000

function version(number: number): PackagedVersion {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, number)
  const state = number === count ? 'primary' : 'unwrap_only'
  return { version: number, kemId: 0x647a, state, createdAt: number, seed: Secret.take(seed) }
}

test('a key of ten thousand versions opens with its first, and rotates', async () => {
  const store = SqliteStore.open({ path: join(temporaryDirectory(), 'kms.db') })
  const under = await startTestService({
    store,
    keys: ['transport'],
    auditDeadlineMs: 60_000,
    onEnd: () => undefined,
  })
  const { service, admin } = under
  const client = under.client()
  const versions = Array.from({ length: count }, (_, index) => version(index + 1))
  const label = { key: 'a', purpose: 'wrap' as const }
  const sealed = await sealKeyPackage(label, versions, [await kmsRecipient(client, 'transport')])
  await service.life.importKey(admin, { key: 'a' }, { sealed, packagedAs: 'a' })

  expect(await service.life.versions.rotate(admin, 'a')).toMatchObject({ primaryVersion: count + 1 })
  expect((await service.keys.publicKey(admin, 'a')).recipientIds).toHaveLength(count + 1)
  const listed = await client.listVersions('a')
  expect(listed.map((one) => one.version)).toEqual(Array.from({ length: count + 1 }, (_, index) => index + 1))
  const first = versions[0]?.seed.use((seed) => LocalIdentity.fromSeed(seed))
  const dataKey = DataKey.generate()
  const wrappedKey = await wrapDataKey(dataKey, { recipients: first === undefined ? [] : [first.recipient] })
  const item = { stanza: stanzaOf(wrappedKey, 0), keyId: dataKey.keyId }
  expect(await client.unwrap([item])).toMatchObject([{ key: 'a', version: 1 }])
  await service.close()
  await store.close()
})
