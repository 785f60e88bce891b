import { decrypt, encrypt, generateIdentity } from '@longhold/core'
import { permissions } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { backupContext, frameHeadBytes } from '../../src/service/backup-format.ts'
import { ServiceError } from '../../src/service/errors.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { everyRow } from '../../src/service/key-store.ts'
import type { Caller } from '../../src/service/policy.ts'
import { checkBackup, restoreBackup } from '../../src/service/restore.ts'
import type { BackupCheck, RestoreReport, RestoreTarget } from '../../src/service/restore.ts'
import { Service } from '../../src/service/service.ts'
import { fingerprint } from '../../src/service/signing.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { fileOf, makeBackup, offline, takeBackup } from '../support/backups.ts'
import { MemoryOpener } from '../support/memory-opener.ts'
import { encodeStanza, hexOf, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

type Given = Partial<BackupCheck & Pick<RestoreTarget, 'store' | 'keepToken'>>

interface Restored extends RestoreReport {
  readonly store: KeyStore
  readonly token: string
  open(): Promise<Service>
}

async function restored(
  under: TestService,
  bytes: Uint8Array,
  { store = new MemoryStore(), keepToken, ...more }: Given = {},
): Promise<Restored> {
  const opener = new MemoryOpener()
  let token = ''
  const report = await restoreBackup({
    file: fileOf(bytes),
    fingerprint: fingerprint(under.service.signer.publicKey),
    target: async () => ({ store, opener, keepToken: keepToken ?? ((text) => void (token = text)) }),
    ...more,
  })
  const open = async (): Promise<Service> => {
    const service = await Service.open({ store, opener })
    onTestFinished(() => service.close())
    return service
  }
  return { ...report, store, token, open }
}

/** Whoever makes a token that may do everything with the one there is. */
async function adminOf(service: Service, bootstrap: string): Promise<Caller> {
  const principal = await service.tokens.authenticate(bootstrap)
  const caller = { principal, requestId: 'test', permission: null }
  const made = await service.tokens.create(caller, {
    name: 'admin',
    principal: null,
    permissions,
    keys: null,
    expiresAt: null,
  })
  return { principal: await service.tokens.authenticate(made.text), requestId: 'test', permission: null }
}

/** The data key, in hexadecimal, as the service unwraps it. */
async function openedBy(
  service: Service,
  caller: Caller,
  { dataKey, stanza }: Awaited<ReturnType<typeof wrapFor>>,
  context: Record<string, string> = {},
): Promise<string> {
  const item = {
    id: '1',
    keyId: dataKey.keyId,
    stanza: encodeStanza(stanza),
    context: Object.entries(context),
  }
  const [result] = await service.unwrap(caller, [item])
  if (result === undefined || result.answer instanceof ServiceError) throw new Error('it does not open')
  return hexOf(result.answer.dataKey)
}

describe('a restored service', () => {
  test('unwraps what was wrapped before, and its log is whole', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const old = await wrapFor(under.client(), ['a'], { context: { tenant: 'acme' } })
    await under.client().rotateKey('a')
    const { bytes, row } = await makeBackup(under.service, under.admin)
    const again = await restored(under, bytes)
    expect(again).toMatchObject({ backup: row.backup, keys: 2, versions: 3, tokensEnded: 1, merged: [] })

    const service = await again.open()
    expect(service.fault).toBeUndefined()
    await service.verifyRows()
    const admin = await adminOf(service, again.token)
    expect(await openedBy(service, admin, old, { tenant: 'acme' })).toBe(hexOf(old.dataKey))
    expect(await service.verifyAudit(admin, [])).toMatchObject({ ok: true, faults: [] })
    const { entries } = await service.readAudit(
      admin,
      { action: 'service.restore' },
      { after: undefined, limit: 5 },
    )
    expect(entries.map(({ seq }) => seq)).toEqual([1])
    expect(JSON.parse(entries[0]?.body ?? '')).toMatchObject({ backup: row.backup, epoch: again.epoch })
  })

  test('knows no token of before, and no slot', async () => {
    const under = await startTestService({ keys: ['a'] })
    const token = await under.token(['unwrap'])
    const { bytes } = await makeBackup(under.service)
    const again = await restored(under, bytes)
    expect(again.tokensEnded).toBe(2)
    const service = await again.open()
    for (const text of [token, under.adminToken]) {
      await expect(service.tokens.authenticate(text)).rejects.toMatchObject({ code: 'unauthenticated' })
    }
    expect(await everyRow(again.store, 'slots')).toMatchObject([{ label: 'restored' }])
    await expect(Service.open({ store: again.store, opener: under.opener })).rejects.toMatchObject({
      code: 'wrong_secret',
    })
    // One use: then only what was made with it is left.
    await adminOf(service, again.token)
    await expect(service.tokens.authenticate(again.token)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('goes on above every epoch and generation there was', async () => {
    const under = await startTestService({ keys: ['a'] })
    const client = under.client()
    const { bytes } = await makeBackup(under.service)
    for (let time = 0; time < 5; time++) await client.rotateKey('a')
    const before = await client.getKey('a')
    const lostHead = await under.store.head()
    const again = await restored(under, bytes)
    expect(again.newEpoch).toBeGreaterThan((lostHead?.epoch ?? 0) + 1_000_000)
    const [key] = await everyRow(again.store, 'keys')
    expect(key?.generation).toBeGreaterThan(before.generation)
    expect((await again.store.head())?.epoch).toBe(again.newEpoch)
  })

  test('knows the backup it came from', async () => {
    const under = await startTestService({ keys: ['a'] })
    const first = await makeBackup(under.service)
    const again = await restored(under, first.bytes)
    const [row] = await everyRow(again.store, 'backups')
    expect(row).toMatchObject({
      backup: first.row.backup,
      epoch: again.epoch,
      byteLength: first.bytes.length,
    })
    expect(row?.confirmedAt).not.toBeNull()
  })

  test('counts uses from then on: what was used between was not counted', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(under.service)
    const again = await restored(under, bytes)
    expect((await everyRow(again.store, 'cluster'))[0]?.restoredAt).toBeGreaterThan(0)
    const service = await again.open()
    const admin = await adminOf(service, again.token)
    const { reasons } = await service.life.checkDestroy(admin, 'a', 1)
    expect(reasons.map(({ code }) => code)).toContain('watched_too_short')
  })

  test('goes on with a root that is being replaced', async () => {
    const under = await startTestService({ keys: ['a'] })
    const old = await wrapFor(under.client(), ['a'])
    await under.service.rootRotation.begin(under.admin)
    const { bytes } = await makeBackup(under.service)
    const again = await restored(under, bytes)
    const service = await again.open()
    await service.rootRotation.run()
    expect(await service.rootRotation.state()).toMatchObject({ rootVersion: 2, nextRootVersion: null })
    const admin = await adminOf(service, again.token)
    expect(await openedBy(service, admin, old)).toBe(hexOf(old.dataKey))
  })
})

describe('what a checkpoint knows', () => {
  test('stays compromised and destroyed, and no number is given twice', async () => {
    const under = await startTestService({ keys: ['a', 'b', 'c'] })
    const { versions } = under.service.life
    await versions.rotate(under.admin, 'a')
    await versions.rotate(under.admin, 'b')
    const { bytes } = await makeBackup(under.service)

    await versions.setState(under.admin, 'a', 1, 'compromised')
    await versions.setState(under.admin, 'b', 2, 'compromised')
    await versions.setState(under.admin, 'b', 1, 'disabled')
    await versions.destroy(under.admin, 'b', 1, 4)
    under.advance(31 * 86_400_000)
    await under.service.life.upkeep.run()
    await under.service.keys.create(under.admin, { key: 'd' })
    await versions.rotate(under.admin, 'c')
    const { line } = await under.service.checkpoints.create(under.admin)

    await expect(restored(under, bytes, { checkpoints: [line] })).rejects.toMatchObject({
      code: 'rollback_detected',
      hint: expect.stringMatching(/--epochs \d+:\d+$/u) as string,
    })
    const again = await restored(under, bytes, { checkpoints: [line], epochs: 'any' })
    expect(again.merged).toEqual([
      { key: 'a', version: 1, state: 'compromised' },
      { key: 'b', version: 1, state: 'destroyed' },
      { key: 'b', version: 2, state: 'compromised' },
    ])
    expect(again.lost).toEqual([
      { key: 'b', from: 3, to: 3 },
      { key: 'c', from: 2, to: 2 },
    ])
    expect(again.lostKeys).toEqual(['d'])
    const rows = (await everyRow(again.store, 'versions')).map(({ key, version, state, sealedSeed }) => [
      `${key} ${version} ${state}`,
      sealedSeed.length > 0,
    ])
    expect(rows).toEqual([
      ['a 1 compromised', true],
      ['a 2 primary', true],
      ['b 1 destroyed', false],
      ['b 2 compromised', true],
      // The number that was lost is not given again.
      ['b 4 primary', true],
      ['c 1 primary', true],
    ])
    const service = await again.open()
    await service.verifyRows()
    const admin = await adminOf(service, again.token)
    await service.life.versions.rotate(admin, 'c')
    expect((await everyRow(again.store, 'versions')).at(-1)).toMatchObject({ key: 'c', version: 3 })
    expect((await service.checkpoints.newest())?.line).toBe(line)
  })

  test('names the backup that is newer than the one given', async () => {
    const under = await startTestService({ keys: ['a'] })
    const old = await makeBackup(under.service)
    const newer = await makeBackup(under.service)
    await takeBackup(under.service)
    const { line } = await under.service.checkpoints.create(under.admin)
    const sha256 = Buffer.from(newer.row.sha256 ?? []).toString('hex')
    await expect(restored(under, old.bytes, { checkpoints: [line] })).rejects.toMatchObject({
      hint: expect.stringContaining(`${newer.row.backup}, SHA-256 ${sha256}`) as string,
    })
    await expect(restored(under, newer.bytes, { checkpoints: [line] })).rejects.toMatchObject({
      hint: expect.stringContaining('give a newer backup') as string,
    })
  })

  test('of another service is refused', async () => {
    const under = await startTestService({ keys: ['a'] })
    const other = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(under.service)
    const { line } = await other.service.checkpoints.create(other.admin)
    await expect(restored(under, bytes, { checkpoints: [line] })).rejects.toMatchObject({
      code: 'bad_config',
    })
    await expect(restored(under, bytes, { checkpoints: ['{}'] })).rejects.toMatchObject({
      code: 'bad_config',
    })
  })
})

describe('refused, and nothing written', () => {
  async function refused(under: TestService, bytes: Uint8Array, more: Given = {}) {
    const store = new MemoryStore()
    const outcome = await restored(under, bytes, { store, ...more }).then(
      () => 'restored',
      (error: unknown) => error,
    )
    expect(await store.head()).toBeUndefined()
    return outcome
  }

  test('a backup of another service', async () => {
    const under = await startTestService({ keys: ['a'] })
    const other = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(other.service)
    expect(await refused(under, bytes)).toMatchObject({ code: 'wrong_service' })
  })

  test('a backup for somebody else', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(under.service)
    const file = fileOf(bytes, generateIdentity())
    expect(await refused(under, bytes, { file })).toMatchObject({ code: 'wrong_identity' })
  })

  test('a backup that is older than the anchor, which is that of this cluster', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(under.service)
    await under.client().rotateKey('a')
    const head = await under.store.head()
    const { clusterId } = under.service.signer
    const anchored = { clusterId, epoch: head?.epoch ?? 0, rowCount: 1, mac: new Uint8Array(32) }
    expect(await refused(under, bytes, { anchored })).toMatchObject({ code: 'rollback_detected' })
    const other = { ...anchored, clusterId: new Uint8Array(16) }
    expect(await refused(under, bytes, { anchored: other })).toMatchObject({ code: 'wrong_service' })
    const { epoch } = await checkBackup({
      file: fileOf(bytes),
      fingerprint: fingerprint(under.service.signer.publicKey),
    })
    const right = await restored(under, bytes, { anchored, epochs: `${epoch}:${anchored.epoch}` })
    expect(right.newEpoch).toBeGreaterThan(anchored.epoch)
  })

  test('a backup that was altered anywhere, or cut anywhere', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await takeBackup(under.service)
    const codes = new Set<string | undefined>()
    // Every byte of the header takes a decapsulation: some of each part, and the last.
    const places = [0, 3, 4, 30, 60, 300, 1200, 1300, 2000, 5000, bytes.length - 40, bytes.length - 1]
    for (const place of places) {
      const altered = bytes.slice()
      altered[place] = (altered[place] ?? 0) ^ 1
      const outcome = (await refused(under, altered)) as { code?: string }
      codes.add(outcome.code)
    }
    for (const length of [0, 10, 100, 1400, 3000, bytes.length - 1]) {
      codes.add(((await refused(under, bytes.slice(0, length))) as { code?: string }).code)
    }
    codes.add(((await refused(under, Buffer.concat([bytes, Buffer.from([0])]))) as { code?: string }).code)
    expect(codes).toEqual(new Set(['bad_backup', 'wrong_identity']))
  })

  test('an envelope that is no backup, or a backup made by somebody who knows the recipient', async () => {
    const under = await startTestService({ keys: ['a'] })
    const recipients = [offline.recipient]
    const other = await encrypt(Buffer.from('something else'), { recipients })
    expect(await refused(under, other)).toMatchObject({ code: 'bad_backup' })
    const empty = await encrypt(new Uint8Array(), { recipients, context: backupContext })
    expect(await refused(under, empty)).toMatchObject({ code: 'bad_backup' })
    const junk = await encrypt(Buffer.from([1, 0, 0, 0, 2, 123, 125]), { recipients, context: backupContext })
    expect(await refused(under, junk)).toMatchObject({ code: 'bad_backup' })
  })

  test('one whose parts were taken away, doubled or made anew by somebody who opened it', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(under.service)
    const plain = Buffer.from(await decrypt(bytes, { identities: [offline], context: backupContext }))
    const parts: Buffer[] = []
    for (let at = 0; at < plain.length;) {
      const next = at + frameHeadBytes + plain.readUInt32BE(at + 1)
      parts.push(plain.subarray(at, next))
      at = next
    }
    const code = async (others: readonly Buffer[]) => {
      const sealed = await encrypt(Buffer.concat(others), {
        recipients: [offline.recipient],
        context: backupContext,
      })
      return await refused(under, sealed)
    }
    for (const index of parts.keys()) {
      expect(await code(parts.toSpliced(index, 1))).toMatchObject({ code: 'bad_backup' })
      expect(await code(parts.toSpliced(index, 0, parts[index] ?? plain))).toMatchObject({
        code: 'bad_backup',
      })
    }
    const deep = parts.map((part) => {
      const text = part
        .subarray(frameHeadBytes)
        .toString()
        .replace('{}', '['.repeat(20_000) + ']'.repeat(20_000))
      if (!part.includes('"table":"keys"')) return part
      const head = Buffer.from(part.subarray(0, frameHeadBytes))
      head.writeUInt32BE(text.length, 1)
      return Buffer.concat([head, Buffer.from(text)])
    })
    expect(await code(deep)).toMatchObject({ code: 'bad_backup' })
  })

  test('into a database that is not empty', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(under.service)
    const there = await startTestService({ keys: ['b'] })
    const before = await there.store.head()
    await expect(restored(under, bytes, { store: there.store })).rejects.toMatchObject({
      code: 'already_initialised',
    })
    expect(await there.store.head()).toEqual(before)
  })

  test('a token that could not be kept', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { bytes } = await makeBackup(under.service)
    const keepToken = () => {
      throw new Error('no room')
    }
    expect(await refused(under, bytes, { keepToken })).toMatchObject({ message: 'no room' })
  })
})
