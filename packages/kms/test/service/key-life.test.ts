import {
  DataKey,
  defaultSuite,
  generateIdentity,
  parseRecipient,
  Secret,
  unwrapDataKey,
  wrapDataKey,
} from '@longhold/core'
import { KmsIdentity, kmsRecipient, openKeyPackage, sealKeyPackage } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { offline, takeBackup } from '../support/backups.ts'
import { allBut, hexOf, startTestService, stanzaOf, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const day = 86_400_000
const invalid = { code: 'invalid_state' }
const denied = { code: 'permission_denied' }

async function callerWith(under: TestService, ...wanted: Parameters<TestService['token']>) {
  const principal = await under.service.tokens.authenticate(await under.token(...wanted))
  return { principal, requestId: 'r', permission: null }
}

describe('what is said of a key', () => {
  test('changes in the generation it was read in, and only what is named', async () => {
    const { service, admin } = await startTestService({ keys: ['a', 'b'] })
    const changed = await service.keys.update(admin, 'a', 1, { rewrapTo: ['b', 'b'], labels: { team: 'x' } })
    expect(changed).toMatchObject({
      generation: 2,
      rewrapTo: ['b'],
      labels: { team: 'x' },
      exportable: false,
    })
    await expect(service.keys.update(admin, 'a', 1, { exportable: true })).rejects.toMatchObject({
      code: 'precondition_failed',
    })
    expect(await service.keys.update(admin, 'a', 2, { exportable: true })).toMatchObject({
      labels: { team: 'x' },
    })
    await expect(service.keys.update(admin, 'a', 3, {})).rejects.toMatchObject({ code: 'malformed_request' })
    await expect(service.keys.update(admin, 'a', 3, { rewrapTo: ['none'] })).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  test('labels take a permission of their own, for the labels before and after', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { service } = under
    const without = await callerWith(under, allBut('keys.label'))
    await expect(service.keys.update(without, 'a', 1, { labels: {} })).rejects.toMatchObject(denied)
    await expect(service.keys.create(without, { key: 'b', labels: {} })).rejects.toMatchObject(denied)
    await service.keys.update(without, 'a', 1, { exportable: true })
  })

  test('a destruction waits seven days at least', async () => {
    const { service, admin } = await startTestService({ keys: ['a'] })
    const short = { destroyAfterMs: 7 * day - 1000 }
    await expect(service.keys.update(admin, 'a', 1, short)).rejects.toMatchObject({
      code: 'malformed_request',
    })
    await expect(service.keys.create(admin, { key: 'b', ...short })).rejects.toMatchObject({
      code: 'malformed_request',
    })
    await service.keys.update(admin, 'a', 1, { destroyAfterMs: 7 * day })
  })

  test('a key that is not enabled does nothing', async () => {
    const under = await startTestService({ keys: ['a'] })
    const client = under.client()
    const { dataKey, stanza, wrappedKey } = await wrapFor(client, ['a'])
    await under.service.keys.update(under.admin, 'a', 1, { enabled: false })
    expect(await client.unwrap([{ stanza, keyId: dataKey.keyId }])).toMatchObject([
      { error: { code: 'unavailable' } },
    ])
    expect(await client.rewrap([{ wrappedKey }])).toMatchObject([{ error: { code: 'unavailable' } }])
    await expect(client.publicKey('a')).rejects.toMatchObject({ code: 'bad_input' })
    await under.service.keys.update(under.admin, 'a', 2, { enabled: true })
    expect(await client.unwrap([{ stanza, keyId: dataKey.keyId }])).toMatchObject([{ key: 'a' }])
  })
})

describe('an alias', () => {
  test('leads writers to its key, and readers need it not', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const client = under.client()
    await client.keys.putAlias('now', 'a')
    const { dataKey, stanza } = await wrapFor(client, ['now'])
    expect(await client.keys.putAlias('now', 'b')).toMatchObject({ alias: 'now', key: 'b', generation: 2 })
    expect(await client.publicKey('now')).toMatchObject({ key: 'b' })
    expect(await client.unwrap([{ stanza, keyId: dataKey.keyId }])).toMatchObject([{ key: 'a' }])
    expect(await client.keys.aliases()).toMatchObject([{ alias: 'now', key: 'b' }])
    await client.keys.removeAlias('now')
    await expect(client.publicKey('now')).rejects.toMatchObject({ code: 'bad_input' })
    for (const call of [client.getKey('now'), client.listVersions('now')]) {
      await expect(call).rejects.toMatchObject({ code: 'bad_input' })
    }
  })

  test('has no key’s name, and no key has its', async () => {
    const { service, admin } = await startTestService({ keys: ['a', 'b'] })
    await expect(service.life.aliases.put(admin, 'b', 'a')).rejects.toMatchObject(invalid)
    await service.life.aliases.put(admin, 'now', 'a')
    await expect(service.keys.create(admin, { key: 'now' })).rejects.toMatchObject(invalid)
  })

  test('of a key that is hidden is hidden, and cannot be taken over', async () => {
    const under = await startTestService({ keys: ['a', 'hidden'] })
    const { service, admin } = under
    await service.life.aliases.put(admin, 'now', 'hidden')
    const onlyA = await callerWith(under, allBut(), ['a', 'now', 'new'])
    expect(await service.life.aliases.list(onlyA, { limit: 10 })).toEqual([])
    await expect(service.life.aliases.get(onlyA, 'now')).rejects.toMatchObject({ code: 'not_found' })
    await expect(service.keys.publicKey(onlyA, 'now')).rejects.toMatchObject({ code: 'not_found' })
    await expect(service.life.aliases.put(onlyA, 'now', 'a')).rejects.toMatchObject(denied)
    await expect(service.life.aliases.put(onlyA, 'new', 'hidden')).rejects.toMatchObject({
      code: 'not_found',
    })
  })
})

test('an alias is turned, and ended, only by who may do that with the key it stands for', async () => {
  const under = await startTestService({ keys: ['mine', 'theirs'] })
  const { service, admin } = under
  await service.life.aliases.put(admin, 'now', 'theirs')
  await service.grants.createPrincipal(admin, 'writer', '')
  const rule = { labels: null, context: null, notBefore: null, notAfter: null, networks: null, uses: null }
  const grant = { principal: 'writer', effect: 'allow' as const, ...rule }
  await service.grants.create(admin, { ...grant, permissions: ['wrap'], keys: ['theirs'] })
  const own = ['aliases.list', 'aliases.read', 'aliases.write', 'aliases.remove', 'keys.list'] as const
  await service.grants.create(admin, { ...grant, permissions: own, keys: ['mine', 'now', 'other'] })
  const wanted = { name: 'w', principal: 'writer', permissions: allBut(), keys: null, expiresAt: null }
  const principal = await service.tokens.authenticate((await service.tokens.create(admin, wanted)).text)
  const as = (permission: (typeof own)[number]) => ({ principal, requestId: 'r', permission })
  await expect(service.life.aliases.put(as('aliases.write'), 'now', 'mine')).rejects.toMatchObject(denied)
  await expect(service.life.aliases.remove(as('aliases.remove'), 'now')).rejects.toMatchObject(denied)
  await expect(service.life.aliases.get(as('aliases.read'), 'now')).rejects.toMatchObject(denied)
  expect(await service.keys.publicKey(admin, 'now')).toMatchObject({ key: 'theirs' })
  await service.life.aliases.put(as('aliases.write'), 'other', 'mine')
  const listed = await service.life.aliases.list(as('aliases.list'), { limit: 10 })
  expect(listed.map(({ alias }) => alias)).toEqual(['other'])
  const keys = await service.keys.list(as('keys.list'), { after: undefined, limit: 10 })
  expect(keys.map(({ key }) => key)).toEqual(['mine'])
  await service.life.aliases.remove(as('aliases.remove'), 'other')
})

describe('data keys made by the service', () => {
  test('are wrapped for the primary version, and shown only when asked for', async () => {
    const under = await startTestService({ keys: ['a'] })
    const client = under.client()
    const context = { tenant: 'x' }
    const hidden = await client.keys.createDataKeys('a', { count: 3, keyContext: context })
    expect(hidden.map(({ dataKey }) => dataKey)).toEqual([undefined, undefined, undefined])
    const [shown] = await client.keys.createDataKeys('a', { keyContext: context, plaintext: true })
    const [opened] = await client.unwrap([
      {
        stanza: stanzaOf(shown?.wrappedKey ?? new Uint8Array(0), 0),
        keyId: shown?.keyId ?? new Uint8Array(16),
        keyContext: context,
      },
    ])
    expect(opened).toMatchObject({ key: 'a', version: 1 })
    const secrets = [shown?.dataKey, opened && 'dataKey' in opened ? opened.dataKey : undefined]
    expect(new Set(secrets.map((secret) => secret && hexOf(secret))).size).toBe(1)
    expect(await everyRow(under.store, 'issued_data_keys')).toHaveLength(4)
  })

  test('a thousand at once, and no more', async () => {
    const client = (await startTestService({ keys: ['a'] })).client()
    const made = await client.keys.createDataKeys('a', { count: 1000 })
    expect(new Set(made.map(({ keyId }) => Buffer.from(keyId).toString('hex'))).size).toBe(1000)
    await expect(client.keys.createDataKeys('a', { count: 1001 })).rejects.toMatchObject({
      code: 'bad_input',
    })
  })

  test('are the only ones that an issued-only key opens, or rewraps, or takes', async () => {
    const under = await startTestService({ keys: ['b'] })
    const { service, admin } = under
    const client = under.client()
    await service.keys.create(admin, { key: 'a', issuedOnly: true, rewrapTo: ['b'] })
    const [issued] = await client.keys.createDataKeys('a')
    const { dataKey, stanza, wrappedKey } = await wrapFor(client, ['a'])
    const itself = {
      stanza: stanzaOf(issued?.wrappedKey ?? new Uint8Array(0), 0),
      keyId: issued?.keyId ?? dataKey.keyId,
    }
    expect(await client.unwrap([itself, { stanza, keyId: dataKey.keyId }])).toMatchObject([
      { key: 'a' },
      { error: { code: 'unavailable' } },
    ])
    expect(await client.rewrap([{ wrappedKey, to: ['b'] }])).toMatchObject([
      { error: { code: 'unavailable' } },
    ])
    const elsewhere = await wrapFor(client, ['b'])
    await service.keys.update(admin, 'b', 1, { rewrapTo: ['a'] })
    expect(await client.rewrap([{ wrappedKey: elsewhere.wrappedKey, to: ['a'] }])).toMatchObject([
      { error: { code: 'unavailable' } },
    ])
    // Issued for b is not issued for a.
    const [other] = await client.keys.createDataKeys('b', { plaintext: true })
    const planted = await other?.dataKey?.use(async (bytes) => {
      const chosen = DataKey.from(bytes)
      return await wrapDataKey(chosen, { recipients: [await kmsRecipient(client, 'a')] })
    })
    const stanzaOfPlanted = stanzaOf(planted ?? new Uint8Array(0), 0)
    expect(
      await client.unwrap([{ stanza: stanzaOfPlanted, keyId: other?.keyId ?? new Uint8Array(16) }]),
    ).toMatchObject([{ error: { code: 'unavailable' } }])
  })

  test('what is said of them in the log is their ids', async () => {
    const under = await startTestService({ keys: ['a'] })
    const [made] = await under.client().keys.createDataKeys('a', { plaintext: true })
    const [run] = (await under.store.auditRuns()).slice(-1)
    const entries = await under.store.auditEntries(run ?? '', { limit: 100 })
    const entry = JSON.parse(entries.at(-1)?.body ?? '') as Record<string, unknown>
    const keyId = Buffer.from(made?.keyId ?? []).toString('hex')
    expect(entry).toMatchObject({
      action: 'data-keys.create',
      plaintext: true,
      items: [{ key_ids: [keyId] }],
    })
    expect(JSON.stringify(entry)).not.toContain(made?.dataKey && hexOf(made.dataKey))
  })
})

describe('decapsulation', () => {
  test('gives the shared secret of keys that were made for it', async () => {
    const under = await startTestService()
    const client = under.client()
    await client.createKey({ key: 'raw', purpose: 'raw-kem' })
    await expect(kmsRecipient(client, 'raw')).rejects.toMatchObject({ code: 'bad_input' })
    const bundle = await client.publicKey('raw', 'raw-kem')
    const { publicKey } = parseRecipient(bundle.recipient)
    const { sharedSecret, encapsulatedKey } = defaultSuite.kem.encapsulationKey(publicKey).encapsulate()
    const secret = await client.keys.decapsulate('raw', 1, encapsulatedKey)
    expect(hexOf(secret)).toBe(Buffer.from(sharedSecret).toString('hex'))
    await expect(client.keys.decapsulate('raw', 1, encapsulatedKey.slice(1))).rejects.toMatchObject({
      code: 'bad_input',
    })
    await expect(client.keys.decapsulate('raw', 2, encapsulatedKey)).rejects.toMatchObject({
      code: 'bad_input',
    })
    await under.service.life.versions.rotate(under.admin, 'raw')
    await under.service.life.versions.setState(under.admin, 'raw', 1, 'disabled')
    await expect(client.keys.decapsulate('raw', 1, encapsulatedKey)).rejects.toMatchObject({
      code: 'bad_input',
    })
  })

  test('is never answered by a key that wraps, and a key that decapsulates neither unwraps nor rewraps', async () => {
    const under = await startTestService({ keys: ['a'] })
    const client = under.client()
    const encapsulated = new Uint8Array(defaultSuite.kem.encapsulatedKeyBytes)
    await expect(client.keys.decapsulate('a', 1, encapsulated)).rejects.toMatchObject({ code: 'bad_input' })
    await client.createKey({ key: 'raw', purpose: 'raw-kem' })
    const { recipient } = await under.service.keys.publicKey(under.admin, 'raw', 'raw-kem')
    const dataKey = DataKey.generate()
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [recipient] })
    const stanza = stanzaOf(wrappedKey, 0)
    expect(await client.unwrap([{ stanza, keyId: dataKey.keyId }])).toMatchObject([
      { error: { code: 'unavailable' } },
    ])
    expect(await client.rewrap([{ wrappedKey }])).toMatchObject([{ error: { code: 'unavailable' } }])
    await expect(client.keys.createDataKeys('raw')).rejects.toMatchObject({ code: 'bad_input' })
    const mine = await wrapFor(client, ['a'])
    await under.service.keys.update(under.admin, 'a', 1, { rewrapTo: ['raw'] })
    expect(await client.rewrap([{ wrappedKey: mine.wrappedKey, to: ['raw'] }])).toMatchObject([
      { error: { code: 'unavailable' } },
    ])
  })
})

test('an identity of all keys a token may list is not stopped by those that do not unwrap', async () => {
  const under = await startTestService({ keys: ['a', 'off'] })
  const client = under.client()
  const { dataKey, wrappedKey } = await wrapFor(client, ['a'])
  await client.createKey({ key: 'raw', purpose: 'raw-kem' })
  await client.keys.update('off', 1, { enabled: false })
  const opened = await unwrapDataKey(wrappedKey, { identities: [new KmsIdentity(client)] })
  expect(hexOf(opened)).toBe(hexOf(dataKey))
})

describe('usage', () => {
  test('counts unwraps, rewraps and decapsulations, by version, also after a restart', async () => {
    const under = await startTestService({ keys: ['a'] })
    const client = under.client()
    const { dataKey, stanza, wrappedKey } = await wrapFor(client, ['a'])
    const item = { stanza, keyId: dataKey.keyId }
    await client.unwrap([item, item])
    await client.unwrap([item, { ...item, keyId: new Uint8Array(16) }])
    await client.rewrap([{ wrappedKey }])
    await under.service.life.versions.rotate(under.admin, 'a')
    const used = { version: 1, uses: 4, uses_30_days: 4, uses_90_days: 4 }
    expect(await client.keys.usage('a')).toMatchObject([used, { version: 2, uses: 0, last_used_at: null }])
    // The first use of a day is in the database with its entry, the rest after a while.
    expect(await everyRow(under.store, 'usage')).toMatchObject([{ total: 2 }])
    await under.service.life.upkeep.close()
    expect(await everyRow(under.store, 'usage')).toMatchObject([{ total: 4 }])
    expect(await client.keys.usage('a')).toMatchObject([used, { version: 2 }])
    under.advance(30 * day)
    expect(await client.keys.usage('a')).toMatchObject([{ uses: 4, uses_30_days: 0, uses_90_days: 4 }, {}])
    expect(await under.verifyAudit()).toMatchObject({ ok: true })
  })
})

describe('destroy-check', () => {
  test('becomes safe when all is known and nothing speaks against it', async () => {
    const lifeMs = 400 * day
    const under = await startTestService({
      keys: ['a'],
      backups: { recipients: [offline.recipient], lifeMs },
    })
    const client = under.client()
    const check = async () => {
      const { verdict, reasons } = await client.keys.destroyCheck('a', 1)
      return [verdict, ...reasons.map(({ code }) => code)]
    }
    await client.keys.putCensus('a', 'users', [{ version: 1, wrapped_keys: 2 }])
    const { dataKey, stanza } = await wrapFor(client, ['a'])
    await client.unwrap([{ stanza, keyId: dataKey.keyId }])
    expect(await check()).toEqual([
      'unsafe',
      'still_wraps',
      'used_in_30_days',
      'census_finds_wrapped_keys',
      'no_backup',
    ])
    await client.rotateKey('a')
    expect((await check())[1]).toBe('still_in_use')
    await client.setVersionState('a', 1, 'disabled')
    under.advance(31 * day)
    await client.keys.putCensus('a', 'users', [])
    // One that nobody has said to have is none to go back to.
    const { row } = await takeBackup(under.service)
    expect(await check()).toEqual(['unknown', 'used_in_90_days', 'no_backup'])
    await under.service.backups.confirm(under.admin, row.backup, row.sha256 ?? new Uint8Array())
    expect(await check()).toEqual(['unknown', 'used_in_90_days'])
    under.advance(60 * day)
    expect(await check()).toEqual(['unknown', 'census_too_old'])
    await client.keys.putCensus('a', 'users', [])
    expect(await check()).toEqual(['safe'])
    await client.keys.putCensus('a', 'archive', null)
    expect(await check()).toEqual(['unknown', 'no_census'])
    await client.keys.removeCensus('a', 'archive')
    const { generation } = await client.getKey('a')
    expect(await client.keys.destroyVersion('a', 1, generation)).toMatchObject({
      backups: [{ backup: row.backup }],
    })
  })

  test('a census is of versions there are', async () => {
    const client = (await startTestService({ keys: ['a'] })).client()
    const census = client.keys.putCensus('a', 'users', [{ version: 2, wrapped_keys: 1 }])
    await expect(census).rejects.toMatchObject({ code: 'bad_input' })
    await expect(client.keys.census('a', 'users')).rejects.toMatchObject({ code: 'bad_input' })
  })
})

describe('packages', () => {
  test('carry a key from one service to another, and both say so for ever', async () => {
    const [from, to] = [
      await startTestService({ keys: ['a'] }),
      await startTestService({ keys: ['transport'] }),
    ]
    const [source, target] = [from.client(), to.client()]
    const old = await wrapFor(source, ['a'])
    await source.rotateKey('a')
    const recipient = (await kmsRecipient(target, 'transport')).toString()
    await expect(source.keys.exportKey('a', recipient)).rejects.toMatchObject({ code: 'bad_input' })
    await source.keys.update('a', 2, { exportable: true, enabled: false })
    await expect(source.keys.exportKey('a', recipient)).rejects.toThrow('not enabled')
    await source.keys.update('a', 3, { enabled: true })
    const exported = await source.keys.exportKey('a', recipient)
    expect(exported.versions).toEqual([
      { version: 1, state: 'unwrap_only' },
      { version: 2, state: 'primary' },
    ])
    const bytes = new Uint8Array(Buffer.from(exported.package, 'base64url'))
    const wrongName = target.keys.importKey({ key: 'b', package: bytes })
    await expect(wrongName).rejects.toMatchObject({ code: 'bad_input' })
    const imported = await target.keys.importKey({ key: 'b', package: bytes, packaged_as: 'a' })
    expect(imported).toMatchObject({ key: 'b', imported: true, primary_version: 2, version_count: 2 })
    expect(await target.unwrap([{ stanza: old.stanza, keyId: old.dataKey.keyId }])).toMatchObject([
      { key: 'b', version: 1 },
    ])
    expect(await source.getKey('a')).toMatchObject({ exported_at: expect.any(String) as string })
    const again = target.keys.importKey({ key: 'c', package: bytes, packaged_as: 'a' })
    await expect(again).rejects.toMatchObject({ code: 'bad_input' })
    expect(await to.verifyAudit()).toMatchObject({ ok: true })
  })

  test('open for whom they were sealed', async () => {
    const under = await startTestService()
    const client = under.client()
    await client.createKey({ key: 'a', settings: { exportable: true } })
    const { dataKey, wrappedKey } = await wrapFor(client, ['a'])
    const mine = generateIdentity()
    const exported = await client.keys.exportKey('a', mine.recipient.toString())
    const bytes = new Uint8Array(Buffer.from(exported.package, 'base64url'))
    const [version] = await openKeyPackage(bytes, exported, [mine])
    const { LocalIdentity } = await import('@longhold/core')
    const identity = version?.seed.use((seed) => LocalIdentity.fromSeed(seed))
    const opened = await unwrapDataKey(wrappedKey, { identities: identity === undefined ? [] : [identity] })
    expect(hexOf(opened)).toBe(hexOf(dataKey))
  })

  test('are opened with a key only for who may import with it, not for who sees it', async () => {
    const under = await startTestService({ keys: ['transport'] })
    const { service, admin } = under
    await service.grants.createPrincipal(admin, 'writer', '')
    const rule = { labels: null, context: null, notBefore: null, notAfter: null, networks: null, uses: null }
    const grant = { principal: 'writer', effect: 'allow' as const, ...rule }
    await service.grants.create(admin, { ...grant, permissions: ['wrap'], keys: ['transport'] })
    await service.grants.create(admin, { ...grant, permissions: ['keys.import'], keys: ['mine'] })
    const wanted = { name: 'w', principal: 'writer', permissions: allBut(), keys: null, expiresAt: null }
    const principal = await service.tokens.authenticate((await service.tokens.create(admin, wanted)).text)
    const seed = Secret.take(new Uint8Array(32).fill(7))
    const version = { version: 1, kemId: 0x647a, state: 'primary' as const, createdAt: 0, seed }
    const label = { key: 'payments', purpose: 'wrap' as const }
    const sealed = await sealKeyPackage(label, [version], [await kmsRecipient(under.client(), 'transport')])
    const caller = { principal, requestId: 'r', permission: 'keys.import' as const }
    const taken = { sealed, packagedAs: 'payments' }
    await expect(service.life.importKey(caller, { key: 'mine' }, taken)).rejects.toMatchObject(denied)
    await service.life.importKey(admin, { key: 'payments' }, taken)
  })

  test('a destroyed private key does not come back in one', async () => {
    const under = await startTestService({ keys: ['transport'] })
    const { service, admin } = under
    const client = under.client()
    const seed = Secret.take(new Uint8Array(32).fill(9))
    const version = { version: 1, kemId: 0x647a, state: 'primary' as const, createdAt: 0, seed }
    const label = { key: 'a', purpose: 'wrap' as const }
    const bytes = await sealKeyPackage(label, [version], [await kmsRecipient(client, 'transport')])
    await client.keys.importKey({ key: 'a', package: bytes })
    await client.rotateKey('a')
    await client.setVersionState('a', 1, 'disabled')
    await service.life.versions.destroy(admin, 'a', 1, 3)
    under.advance(31 * day)
    expect(await service.life.upkeep.run()).toMatchObject({ destroyed: [{ key: 'a', version: 1 }] })
    const again = client.keys.importKey({ key: 'b', package: bytes, packaged_as: 'a' })
    await expect(again).rejects.toMatchObject({ code: 'bad_input' })
  })
})

test('two services on one database rotate a key whose tick has come once', async () => {
  const store = new MemoryStore()
  const under = await startTestService({ store, keys: ['a'] })
  const second = await under.second()
  await under.service.keys.update(under.admin, 'a', 1, { rotateEveryMs: 3_600_000 })
  under.advance(3_600_000)
  const rounds = await Promise.all([under.service.life.upkeep.run(), second.life.upkeep.run()])
  expect(rounds.flatMap(({ rotated }) => rotated)).toEqual(['a'])
  expect(rounds.flatMap(({ failures }) => failures)).toEqual([])
  expect(await under.service.keys.get(under.admin, 'a')).toMatchObject({ primaryVersion: 2 })
})
