import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

import { concat, DataKey, unwrapDataKey, wrapDataKey } from '@longhold/core'
import { KmsClient, KmsIdentity, kmsRecipient, KmsSysClient, permissions } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { examine } from '../../src/server/doctor/doctor.ts'
import { initService } from '../../src/server/init.ts'
import { checkBackupFile, restoreService } from '../../src/server/restore.ts'
import type { RestoreServiceOptions } from '../../src/server/restore.ts'
import { startService } from '../../src/server/start.ts'
import type { RunningService } from '../../src/server/start.ts'
import { AnchorFile } from '../../src/store/anchor-file.ts'
import { inspectPostgres } from '../../src/store/postgres/inspect.ts'
import { offline } from '../support/backups.ts'
import { temporaryDirectory } from '../support/files.ts'
import { describePostgres } from '../support/postgres.ts'
import { hexOf, readToken } from '../support/service.ts'

interface Original {
  readonly fingerprint: string
  readonly file: string
  readonly place: string
  readonly dataDir: string
  readonly dataKey: DataKey
  readonly wrappedKey: Uint8Array
  readonly checkpoint: string
}

const recipients = (place: string): string => {
  const path = join(place, 'recipients.txt')
  writeFileSync(path, `# the safe\n${offline.recipient.toString()}\n`)
  return path
}

/** A service that had one backup taken over HTTP and confirmed, and then went on. */
async function original(database?: string): Promise<Original> {
  const place = temporaryDirectory()
  const dataDir = join(place, 'data')
  const config = { dataDir, database, adminSocket: 'none' }
  const { fingerprint, tokenFile } = await initService({ ...config, firstKey: 'a' })
  const service = await startService({
    ...config,
    port: 0,
    backups: { recipientsFile: recipients(place) },
  })
  try {
    const { url } = service
    const token = readToken(tokenFile)
    const client = new KmsClient({ url, token })
    const dataKey = DataKey.generate()
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [await kmsRecipient(client, 'a')] })
    const sys = new KmsSysClient({ url, token })
    const { backup, bytes } = await sys.takeBackup()
    const pieces: Uint8Array[] = []
    for await (const piece of bytes) pieces.push(piece)
    const content = concat(...pieces)
    await sys.confirmBackup(backup, createHash('sha256').update(content).digest('hex'))
    expect(await sys.listBackups()).toMatchObject([{ backup, bytes: content.length }])
    const file = join(place, 'backup.lhb')
    writeFileSync(file, content)
    await client.rotateKey('a')
    await client.setVersionState('a', 1, 'compromised')
    const checkpoint = join(place, 'checkpoint.json')
    writeFileSync(checkpoint, (await client.audit.checkpoint()).line)
    return { fingerprint, file, place, dataDir, dataKey, wrappedKey, checkpoint }
  } finally {
    await service.close()
  }
}

function optionsFor(
  { fingerprint, file }: Original,
  dataDir: string,
  more: Partial<RestoreServiceOptions> = {},
): RestoreServiceOptions {
  return { backup: file, identities: [offline], fingerprint, dataDir, epochs: 'any', ...more }
}

/** Makes the token of a person with the one for one use. */
async function personOf({ url }: RunningService, tokenFile: string): Promise<KmsClient> {
  const bootstrap = new KmsClient({ url, token: readToken(tokenFile) })
  const { token } = await bootstrap.createToken({ name: 'person', permissions: [...permissions] })
  return new KmsClient({ url, token })
}

/** The data key, in hexadecimal, as the restored service unwraps it. */
async function readAgain({ wrappedKey }: Original, options: RestoreServiceOptions): Promise<string> {
  const { tokenFile, report } = await restoreService(options)
  expect(report).toMatchObject({ keys: 1, versions: 1 })
  expect(statSync(tokenFile).mode & 0o777).toBe(0o600)
  const service = await startService({ ...options, adminSocket: 'none', port: 0 })
  try {
    const client = await personOf(service, tokenFile)
    const opened = await unwrapDataKey(wrappedKey, { identities: [new KmsIdentity(client)] })
    expect(await client.audit.verify()).toMatchObject({ ok: true, faults: [] })
    return hexOf(opened)
  } finally {
    await service.close()
  }
}

describe('restoring into an empty directory', () => {
  test('gives a service that unwraps what was wrapped before', async () => {
    const from = await original()
    const options = optionsFor(from, join(temporaryDirectory(), 'new'))
    expect(await readAgain(from, options)).toBe(hexOf(from.dataKey))
  })

  test('with a checkpoint keeps compromised what was, and says what is lost', async () => {
    const from = await original()
    const dataDir = join(temporaryDirectory(), 'new')
    const options = optionsFor(from, dataDir, { checkpoints: [from.checkpoint] })
    await expect(restoreService({ ...options, epochs: undefined })).rejects.toMatchObject({
      code: 'rollback_detected',
    })
    expect(existsSync(dataDir)).toBe(false)
    const { report } = await restoreService(options)
    expect(report).toMatchObject({
      merged: [{ key: 'a', version: 1, state: 'compromised' }],
      lost: [{ key: 'a', from: 2, to: 2 }],
    })
  })

  test('beside an anchor of before goes on above it, and an anchor is there', async () => {
    const from = await original()
    const dataDir = temporaryDirectory()
    const anchor = new AnchorFile(join(dataDir, 'anchor.json'))
    const old = await new AnchorFile(join(from.dataDir, 'anchor.json')).read()
    if (old === undefined) throw new Error('there was no anchor')
    await anchor.write(old)
    const options = optionsFor(from, dataDir)
    await expect(restoreService({ ...options, epochs: undefined })).rejects.toMatchObject({
      code: 'rollback_detected',
    })
    const { report } = await restoreService(options)
    expect((await anchor.read())?.epoch).toBe(report?.newEpoch)
    expect(report?.newEpoch).toBeGreaterThan(old.epoch)
    const service = await startService({ dataDir, adminSocket: 'none', port: 0 })
    expect((await fetch(`${service.url}/readyz`)).status).toBe(200)
    await service.close()
  })

  test('with a passphrase in place of a key file', async () => {
    const from = await original()
    const dataDir = join(temporaryDirectory(), 'new')
    const { keyFile } = await restoreService(
      optionsFor(from, dataDir, { slotPassphrase: 'five words that nobody knows' }),
    )
    expect(keyFile).toBeUndefined()
    expect(existsSync(join(dataDir, 'root.key'))).toBe(false)
    const service = await startService({ dataDir, adminSocket: 'none', port: 0 })
    expect(service.isSealed).toBe(true)
    await service.close()
  })

  test('is refused where a service is, which stays as it is', async () => {
    const from = await original()
    const before = readFileSync(join(from.dataDir, 'kms.db'))
    await expect(restoreService(optionsFor(from, from.dataDir))).rejects.toMatchObject({
      code: 'already_initialised',
      message: expect.stringMatching(/cluster [0-9a-f]{32}/u) as string,
    })
    expect(readFileSync(join(from.dataDir, 'kms.db')).equals(before)).toBe(true)
  })

  test('is refused where a token is in the way, and without a fingerprint', async () => {
    const from = await original()
    const dataDir = temporaryDirectory()
    writeFileSync(join(dataDir, 'bootstrap.token'), 'something')
    await expect(restoreService(optionsFor(from, dataDir))).rejects.toMatchObject({ code: 'bad_config' })
    const blank = optionsFor(from, join(dataDir, 'new'), { fingerprint: '' })
    await expect(restoreService(blank)).rejects.toMatchObject({ code: 'bad_config' })
    const absent = optionsFor({ ...from, file: join(dataDir, 'nothing.lhb') }, join(dataDir, 'new'))
    await expect(restoreService(absent)).rejects.toMatchObject({ code: 'bad_config' })
    expect(existsSync(join(dataDir, 'new'))).toBe(false)
  })

  test('is only checked when that is all that is asked', async () => {
    const from = await original()
    let read = 0
    const report = await checkBackupFile({
      ...optionsFor(from, ''),
      onRead: (bytes) => void (read += bytes),
    })
    expect(report).toMatchObject({ keys: 1, versions: 1, fingerprint: from.fingerprint, byteLength: read })
  })
})

describe('backups that the service writes itself', () => {
  test('are files for their owner, one a time, and go when they are over', async () => {
    const place = temporaryDirectory()
    const dataDir = join(place, 'data')
    const folder = join(place, 'backups')
    mkdirSync(folder)
    const config = { dataDir, adminSocket: 'none' }
    const { tokenFile, fingerprint } = await initService({ ...config, firstKey: 'a' })
    const backups = { recipientsFile: recipients(place), folder }
    const service = await startService({ ...config, port: 0, backups })
    const sys = new KmsSysClient({ url: service.url, token: readToken(tokenFile) })
    const { backup, file_name: name, sha256 } = await sys.writeBackup()
    const file = join(folder, name ?? '')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const report = await checkBackupFile({ backup: file, identities: [offline], fingerprint })
    expect(report).toMatchObject({ backup, sha256 })
    expect(await sys.listBackups()).toMatchObject([{ backup, confirmed_at: expect.any(String) as string }])
    const said = await examine({ config: { ...config, backups } })
    expect(said.filter(({ check }) => check === 'backups')).toMatchObject([{ level: 'ok' }])
    chmodSync(folder, 0o777)
    chmodSync(backups.recipientsFile, 0o666)
    const open = await examine({ config: { ...config, backups } })
    const changeable = open.filter(({ message }) => message.includes('may be changed by others'))
    expect(changeable.map(({ level }) => level)).toEqual(['error', 'error'])
    await sys.removeBackup(backup)
    expect(existsSync(file)).toBe(false)
    expect(await sys.listBackups()).toEqual([])
    await service.close()
  })

  test('without a folder, or recipients that are some, are refused', async () => {
    const place = temporaryDirectory()
    const config = { dataDir: join(place, 'data'), adminSocket: 'none', port: 0 }
    const { tokenFile } = await initService(config)
    const service = await startService(config)
    const sys = new KmsSysClient({ url: service.url, token: readToken(tokenFile) })
    await expect(sys.takeBackup()).rejects.toThrow('no recipients of backups are configured')
    await expect(sys.writeBackup()).rejects.toThrow('no folder for backups is configured')
    await service.close()
    const recipientsFile = join(place, 'wrong.txt')
    for (const text of ['', '# nobody\n', 'lhrecipient1-nothing\n', offline.exportText()]) {
      writeFileSync(recipientsFile, text)
      const started = startService({ ...config, backups: { recipientsFile } })
      await expect(started).rejects.toMatchObject({
        code: 'bad_config',
        message: expect.not.stringContaining(offline.exportText()) as string,
      })
    }
  })

  test('are not written through a link, or over a file', async () => {
    const { BackupFolder } = await import('../../src/store/backup-folder.ts')
    const place = temporaryDirectory()
    const folder = new BackupFolder(place)
    const name = 'longhold-kms-1-a.lhb'
    const pieces = async function* () {
      yield new Uint8Array(3)
    }
    writeFileSync(join(place, 'elsewhere'), 'kept')
    symlinkSync(join(place, 'elsewhere'), join(place, `.${name}.new`))
    await expect(folder.write(name, pieces())).rejects.toMatchObject({ code: 'storage_unavailable' })
    expect(readFileSync(join(place, 'elsewhere'), 'utf8')).toBe('kept')
    const other = 'longhold-kms-1-b.lhb'
    await folder.write(other, pieces())
    await expect(folder.write(other, pieces())).rejects.toMatchObject({ code: 'storage_unavailable' })
    expect(readFileSync(join(place, other))).toHaveLength(3)
    await folder.remove(other)
    await folder.remove(other)
    expect(existsSync(join(place, other))).toBe(false)
  })
})

await describePostgres('backups on PostgreSQL', (makeDatabase) => {
  test('go from there to SQLite, and back', async () => {
    const [from, there] = [await makeDatabase(), await makeDatabase()]
    const first = await original(from.url)
    const facts = await inspectPostgres(from.url)
    expect(facts.newestBackupMs).toBeLessThan(facts.newestVersionMs ?? 0)
    const dataDir = join(temporaryDirectory(), 'sqlite')
    expect(await readAgain(first, optionsFor(first, dataDir))).toBe(hexOf(first.dataKey))

    const second = await original()
    const to = { database: there.url, anchor: 'none' }
    const options = optionsFor(second, join(temporaryDirectory(), 'postgres'), to)
    expect(await readAgain(second, options)).toBe(hexOf(second.dataKey))
    await expect(
      restoreService(optionsFor(second, join(temporaryDirectory(), 'other'), to)),
    ).rejects.toMatchObject({ code: 'already_initialised' })
  })

  test('when the answer to the commit is lost, the same command again has the token', async () => {
    const there = await makeDatabase()
    const from = await original()
    await using cut = await cuttingProxy(there.url)
    const to = { database: cut.url, anchor: 'none' }
    const options = optionsFor(from, join(temporaryDirectory(), 'cut'), to)
    await expect(restoreService(options)).rejects.toMatchObject({ code: 'storage_unavailable' })
    const again = { ...options, database: there.url }
    const { report, tokenFile } = await restoreService(again)
    expect(report).toBeUndefined()
    const service = await startService({ ...again, adminSocket: 'none', port: 0 })
    await expect(personOf(service, tokenFile)).resolves.toBeInstanceOf(KmsClient)
    await service.close()
  })
})

/** In front of a database: passes a restoration's commit on, and hangs up when it is answered. */
async function cuttingProxy(url: string) {
  const proxied = new URL(url)
  const socket = '.s.PGSQL.5432'
  const upstreamPath = join(proxied.searchParams.get('host') ?? '', socket)
  const folder = temporaryDirectory()
  proxied.searchParams.set('host', folder)
  const server = createServer((client) => {
    const upstream = connect(upstreamPath)
    let isFilling = false
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
    upstream.pipe(client)
    client.on('data', (bytes) => {
      isFilling ||= bytes.includes('in exclusive mode')
      if (isFilling && bytes.includes('commit\0')) {
        server.close()
        upstream
          .unpipe(client)
          .once('data', () => client.destroy())
          .resume()
      }
      upstream.write(bytes)
    })
  })
  await new Promise<void>((resolve) => server.listen(join(folder, socket), resolve))
  return { url: proxied.toString(), [Symbol.asyncDispose]: async () => void server.close() }
}
