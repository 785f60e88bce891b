import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'

import { DataKey, unwrapDataKey, wrapDataKey } from '@longhold/core'
import { KmsClient, KmsIdentity, kmsRecipient } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { initService } from '../src/server/init.ts'
import { startService } from '../src/server/start.ts'
import { verifyAudit } from '../src/server/verify-audit.ts'
import { temporaryDirectory } from './support/files.ts'
import { run, serve, serveOnFullDisk, serveWithFullLog } from './support/process.ts'
import type { Serving } from './support/process.ts'
import { hexOf, readToken } from './support/service.ts'

async function initialised(): Promise<string> {
  const dataDir = join(temporaryDirectory(), 'data')
  await initService({ dataDir, firstKey: 'first' })
  return dataDir
}

function clientOf({ url }: Serving, dataDir: string): KmsClient {
  return new KmsClient({ url, token: readToken(join(dataDir, 'admin.token')) })
}

describe('init', () => {
  test('makes database, key file and token for their owner only, and says where, never what', async () => {
    const dataDir = join(temporaryDirectory(), 'data')
    const { code, stdout, stderr } = await run('init', '--data-dir', dataDir, '--first-key', 'first')
    expect([code, stderr]).toEqual([0, ''])
    expect(readdirSync(dataDir).toSorted()).toEqual([
      'admin.token',
      'anchor.json',
      'kms.db',
      'kms.db.lock',
      'root.key',
    ])
    for (const file of [dataDir, ...readdirSync(dataDir).map((name) => join(dataDir, name))]) {
      expect(statSync(file).mode & 0o077, file).toBe(0)
    }
    expect(stdout).toContain(join(dataDir, 'root.key'))
    expect(stdout).toMatch(/^key {8}first lhrecipient1-/mu)
    expect(stdout).not.toContain('lhk_')
  })

  test('a second time changes nothing', async () => {
    const dataDir = await initialised()
    const contents = () =>
      ['kms.db', 'root.key', 'admin.token'].map((name) => readFileSync(join(dataDir, name)))
    const before = contents()
    const again = await run('init', '--data-dir', dataDir)
    expect(again).toMatchObject({ code: 2, stdout: '' })
    expect(again.stderr).toMatch(/error: there is a key service in this database already/u)
    expect(contents()).toEqual(before)
  })

  test('uses a key file that is there, and overwrites no token file', async () => {
    const place = temporaryDirectory()
    const [keyFile, tokenFile] = [join(place, 'my.key'), join(place, 'my.token')]
    writeFileSync(keyFile, Buffer.alloc(32, 7), { mode: 0o600 })
    writeFileSync(tokenFile, 'precious')
    const options = { dataDir: join(place, 'data'), keyFile }
    await expect(initService({ ...options, tokenFile })).rejects.toMatchObject({ code: 'bad_config' })
    expect(readFileSync(tokenFile, 'utf8')).toBe('precious')
    const made = await initService({ ...options, tokenFile: join(place, 'other.token') })
    expect(made).toMatchObject({ keyFile, keyFileIsNew: false })
    expect(readFileSync(keyFile)).toEqual(Buffer.alloc(32, 7))
  })

  test('a wrong call is exit 2 with a hint', async () => {
    const { code, stderr } = await run('init', '--data-dri', '/x')
    expect(code).toBe(2)
    expect(stderr).toMatch(/^longhold-kms: error: .*--data-dri/u)
    expect(stderr).toMatch(/^longhold-kms: hint: /mu)
    const dataDir = join(temporaryDirectory(), 'd')
    await expect(initService({ dataDir, firstKey: 'No' })).rejects.toMatchObject({
      code: 'bad_config',
      message: expect.stringContaining('cannot be the name of a key') as string,
    })
    expect(existsSync(dataDir)).toBe(false)
  })
})

describe('serve', () => {
  test('answers, ends with 0 on a signal, and its keys and log are there afterwards', async () => {
    const dataDir = await initialised()
    const first = await serve('--data-dir', dataDir)
    const client = clientOf(first, dataDir)
    const dataKey = DataKey.generate()
    const recipients = [await kmsRecipient(client, 'first')]
    const wrappedKey = await wrapDataKey(dataKey, { recipients, keyContext: { tenant: 'acme' } })
    await client.rotateKey('first')
    expect(await first.stop('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(first.stderr()).toContain('"msg":"stopped"')

    const second = await serve('--data-dir', dataDir)
    const identity = new KmsIdentity(clientOf(second, dataDir))
    const opened = await unwrapDataKey(wrappedKey, { identities: [identity], keyContext: { tenant: 'acme' } })
    expect(hexOf(opened)).toBe(hexOf(dataKey))
    expect(await second.stop('SIGINT')).toEqual({ code: 0, signal: null })
    expect(await run('verify-audit', '--data-dir', dataDir)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^7 entries in 3 chains: whole and unaltered\nnewest chain [0-9a-f]{32} ends at 3, [0-9a-f]{64}\n$/u,
      ) as string,
    })
  })

  test('killed while it rotates: what was answered is there, the log is whole, one primary', async () => {
    const dataDir = await initialised()
    const serving = await serve('--data-dir', dataDir)
    const client = clientOf(serving, dataDir)
    let answered = 1
    const rotating = Array.from({ length: 8 }, async () => {
      for (;;) {
        const { primary_version: version } = await client.rotateKey('first')
        answered = Math.max(answered, version)
        if (version === 40) serving.process.kill('SIGKILL')
      }
    })
    await Promise.allSettled(rotating)
    expect(answered).toBeGreaterThanOrEqual(39)

    const again = await serve('--data-dir', dataDir)
    const after = await clientOf(again, dataDir).getKey('first')
    expect(after.primary_version).toBeGreaterThanOrEqual(answered)
    expect(after).toMatchObject({ version_count: after.primary_version, generation: after.primary_version })
    const versions = await clientOf(again, dataDir).listVersions('first')
    expect(versions.filter(({ state }) => state === 'primary')).toHaveLength(1)
    await again.stop('SIGTERM')
    expect(await verifyAudit({ dataDir })).toMatchObject({ ok: true })
  })

  test('on a full disk changes nothing, goes on reading, and is whole when there is room again', async () => {
    const dataDir = await initialised()
    const serving = await serveOnFullDisk(400, '--data-dir', dataDir)
    const client = clientOf(serving, dataDir)
    let answered = 1
    let failure: unknown
    while (failure === undefined && answered < 1000) {
      try {
        answered = (await client.rotateKey('first')).primary_version
      } catch (error) {
        failure = error
      }
    }
    expect(failure).toMatchObject({ code: 'unavailable', hint: expect.stringContaining('disk') as string })
    expect(await client.getKey('first')).toMatchObject({ primary_version: answered, generation: answered })
    await expect(client.createKey({ key: 'second' })).rejects.toMatchObject({ code: 'unavailable' })
    expect(await serving.stop('SIGTERM')).toMatchObject({ code: 0 })

    const again = await serve('--data-dir', dataDir)
    expect(await clientOf(again, dataDir).rotateKey('first')).toMatchObject({ primary_version: answered + 1 })
    await again.stop('SIGTERM')
    expect(await verifyAudit({ dataDir })).toMatchObject({ ok: true })
  })

  test('a log that cannot be written ends nothing, and does not hold up the end', async () => {
    const dataDir = await initialised()
    const serving = await serveWithFullLog(join(dataDir, 'log'), '--data-dir', dataDir)
    const client = clientOf(serving, dataDir)
    for (let i = 0; i < 20; i++) expect(await client.getKey('first')).toMatchObject({ key: 'first' })
    expect(await serving.stop('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  test('refuses a second service on the same data, and a missing or wrong key file', async () => {
    const dataDir = await initialised()
    const serving = await serve('--data-dir', dataDir)
    const second = await run('serve', '--data-dir', dataDir, '--listen', '127.0.0.1:0')
    expect(second.code).toBe(4)
    expect(second.stderr).toContain('another key service is using')
    await serving.stop('SIGTERM')

    const keyFile = join(dataDir, 'root.key')
    copyFileSync(keyFile, join(dataDir, 'kept.key'))
    const before = readFileSync(join(dataDir, 'kms.db'))
    unlinkSync(keyFile)
    await expect(startService({ dataDir, port: 0 })).rejects.toMatchObject({
      code: 'wrong_key_file',
      message: `there is no key file ${keyFile}`,
    })
    expect(readdirSync(dataDir)).not.toContain('root.key')
    writeFileSync(keyFile, Buffer.alloc(32, 7), { mode: 0o600 })
    const wrong = await run('serve', '--data-dir', dataDir)
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain(`${keyFile} is not the key file of this database`)
    await expect(initService({ dataDir })).rejects.toMatchObject({ code: 'already_initialised' })
    expect(readFileSync(join(dataDir, 'kms.db'))).toEqual(before)

    copyFileSync(join(dataDir, 'kept.key'), keyFile)
    const restored = await startService({ dataDir, port: 0 })
    onTestFinished(() => restored.close())
    const client = new KmsClient({ url: restored.url, token: readToken(join(dataDir, 'admin.token')) })
    expect(await client.getKey('first')).toMatchObject({ primary_version: 1 })
  })

  test('refuses what was never initialised, and another machine’s address', async () => {
    const nothing = await run('serve', '--data-dir', temporaryDirectory())
    expect(nothing).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no key service in') as string,
    })
    const dataDir = await initialised()
    for (const host of ['0.0.0.0', '::', '192.0.2.1', '127.0.0.1.example']) {
      await expect(startService({ dataDir, host, port: 0 }), host).rejects.toMatchObject({
        code: 'not_loopback',
      })
    }
    const { code, stderr } = await run('serve', '--data-dir', dataDir, '--listen', '0.0.0.0:0')
    expect(code).toBe(2)
    expect(stderr).toContain('is not this machine alone, and this is plain HTTP')
  })

  test('refuses an address that is taken', async () => {
    const [dataDir, other] = [await initialised(), await initialised()]
    const serving = await startService({ dataDir, port: 0 })
    onTestFinished(() => serving.close())
    const address = serving.url.replace('http://', '')
    const taken = await run('serve', '--data-dir', other, '--listen', address)
    expect(taken).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(`something else listens on ${address}`) as string,
    })
  })

  test('ends what is not HTTP, or has headers without end', async () => {
    const dataDir = await initialised()
    const serving = await serve('--data-dir', dataDir)
    const { port } = new URL(serving.url)
    const answerTo = (bytes: string) =>
      new Promise<string>((resolve) => {
        let answer = ''
        const socket = createConnection({ port: Number(port), host: '127.0.0.1' })
        socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
        socket.on('close', () => resolve(answer))
        socket.on('error', () => resolve(answer))
        socket.write(bytes)
      })
    const line = 'POST /v1/unwrap HTTP/1.1\r\nHost: x\r\n'
    expect(await answerTo('nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /u)
    expect(await answerTo(`${line}${'a: b\r\n'.repeat(10_000)}\r\n`)).toMatch(/^HTTP\/1\.1 431 /u)
    // Two lengths, and a length beside chunks: what request smuggling is made of.
    expect(await answerTo(`${line}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`)).toMatch(
      /^HTTP\/1\.1 400 /u,
    )
    expect(await answerTo(`${line}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 400 /u,
    )
    expect(await clientOf(serving, dataDir).getKey('first')).toMatchObject({ key: 'first' })
    await serving.stop('SIGTERM')
  })
})
