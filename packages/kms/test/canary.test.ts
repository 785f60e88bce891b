import { createPrivateKey } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { concat, DataKey, decrypt, generateIdentity, unwrapDataKey, wrapDataKey } from '@longhold/core'
import {
  auditExportLine,
  KmsClient,
  KmsIdentity,
  kmsRecipient,
  KmsSysClient,
  tlsFetch,
} from '@longhold/core/kms'
import { expect, test } from 'vitest'

import { KeyFile } from '../src/seal/key-file.ts'
import { backupContext } from '../src/service/backup-format.ts'
import { Identities } from '../src/service/identities.ts'
import { everyRow } from '../src/service/key-store.ts'
import { openRoot } from '../src/service/root-opening.ts'
import { SlotSecret, unwrapRoot } from '../src/service/slot-secret.ts'
import { SqliteStore } from '../src/store/sqlite/store.ts'
import { offline } from './support/backups.ts'
import { writeCertificate } from './support/certificate.ts'
import { temporaryDirectory } from './support/files.ts'
import { run, serveFrom } from './support/process.ts'
import type { Serving } from './support/process.ts'
import { readToken } from './support/service.ts'

/** A secret as it could be written down: raw, hexadecimal in both cases, base64 and base64url without padding. */
function spellings(secret: Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString('hex')
  const texts = [
    hex,
    hex.toUpperCase(),
    bytes.toString('base64').replace(/=+$/u, ''),
    bytes.toString('base64url'),
  ]
  return [bytes, ...texts.map((text) => Buffer.from(text))]
}

/** The 32 bytes of a key of P-256. */
function pemBytes(privateKey: Buffer): Uint8Array {
  const { d = '' } = createPrivateKey(privateKey).export({ format: 'jwk' })
  return Buffer.from(d, 'base64url')
}

function lastBytes(path: string): string {
  const file = openSync(path, 'r')
  const bytes = Buffer.alloc(8)
  readSync(file, bytes, 0, 8, Math.max(0, fstatSync(file).size - 8))
  closeSync(file)
  return bytes.toString()
}

/** Everything that is reachable in the heap of the process, as it writes it down on a signal. */
async function heapSnapshot({ process: { pid = 0 } }: Serving, directory: string): Promise<Buffer> {
  const written = new Promise<string>((resolve) => {
    const watcher = watch(directory, (_, name) => {
      if (name?.endsWith('.heapsnapshot') !== true) return
      const path = join(directory, name)
      // It is JSON, and has its end.
      if (!lastBytes(path).trimEnd().endsWith('}')) return
      watcher.close()
      resolve(path)
    })
  })
  process.kill(pid, 'SIGUSR2')
  return readFileSync(await written)
}

test('no secret is in the log, the metrics, the database, its write-ahead log, an export or a backup, and no key in the heap', async () => {
  const place = temporaryDirectory()
  const dataDir = join(place, 'data')
  const places = new Map<string, Buffer>()
  const secrets = new Map<string, Uint8Array>()
  const initialised = await run('init', '--data-dir', dataDir, '--first-key', 'a')
  places.set('stdout and stderr of init', Buffer.from(initialised.stdout + initialised.stderr))

  const { certFile, keyFile: tlsKeyFile, certificate, privateKey } = writeCertificate(place)
  secrets.set('private key of the certificate', pemBytes(privateKey))
  const tls = ['--tls-cert', certFile, '--tls-key', tlsKeyFile, '--tls-require-pq']
  const recipients = join(place, 'recipients.txt')
  writeFileSync(recipients, `${offline.recipient.toString()}\n`)
  const serving = await serveFrom(
    place,
    ['--heapsnapshot-signal=SIGUSR2'],
    ['--data-dir', dataDir, '--metrics-listen', '127.0.0.1:0', '--backup-recipients', recipients, ...tls],
  )
  const fetch = tlsFetch({ ca: certificate.toString() })
  const adminText = readToken(join(dataDir, 'admin.token'))
  const admin = new KmsClient({ url: serving.url, token: adminText, fetch })
  const { token } = await admin.createToken({ name: 'app', permissions: ['unwrap', 'wrap', 'keys.list'] })
  const client = new KmsClient({ url: serving.url, token, fetch })
  for (const [name, text] of [
    ['admin token', adminText],
    ['token', token],
  ] as const) {
    secrets.set(`${name}, its secret`, Buffer.from(text.slice(-43), 'base64url'))
    secrets.set(`${name}, whole`, Buffer.from(text))
  }

  // Everything that can be asked, and failures too.
  const dataKey = DataKey.generate()
  secrets.set(
    'data key',
    dataKey.use((bytes) => new Uint8Array(bytes)),
  )
  const wrappedKey = await wrapDataKey(dataKey, { recipients: [await kmsRecipient(client, 'a')] })
  await admin.rotateKey('a')
  await unwrapDataKey(wrappedKey, { identities: [new KmsIdentity(client)] })
  await admin.rewrap([{ wrappedKey }, { wrappedKey, keyContext: { wrong: 'context' } }])
  await expect(client.rotateKey('a')).rejects.toMatchObject({ code: 'unavailable' })
  await expect(admin.createKey({ key: 'a' })).rejects.toMatchObject({ code: 'bad_input' })
  const pasted = generateIdentity()
  secrets.set(
    'an identity pasted in the wrong place',
    pasted.useSeed((seed) => new Uint8Array(seed)),
  )
  await fetch(`${serving.url}/v1/keys/${pasted.exportText()}?token=${token}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}x`, 'content-type': 'application/json' },
    body: pasted.exportText(),
  })
  await fetch(`${serving.url}/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminText}`, 'content-type': 'application/json' },
    body: JSON.stringify({ key: pasted.exportText(), [token]: 1 }),
  })
  const taken = await new KmsSysClient({ url: serving.url, token: adminText, fetch }).takeBackup()
  const pieces: Uint8Array[] = []
  for await (const piece of taken.bytes) pieces.push(piece)
  places.set('a backup', Buffer.from(concat(...pieces)))
  const { line } = await admin.audit.checkpoint()
  const exported: string[] = [line]
  for await (const entries of admin.audit.covered(line)) exported.push(...entries.map(auditExportLine))
  places.set('the export of the audit log', Buffer.from(exported.join('')))
  // While it runs, so that the write-ahead log is there.
  for (const name of readdirSync(dataDir)) {
    if (/^kms\.db|^anchor/u.test(name)) places.set(name, readFileSync(join(dataDir, name)))
  }
  expect(places.get('kms.db-wal')?.length).toBeGreaterThan(0)
  const [, metricsUrl = ''] = /^metrics on (\S+)$/mu.exec(serving.stdout()) ?? []
  const metrics = await (await globalThis.fetch(metricsUrl)).text()
  places.set('metrics', Buffer.from(metrics))
  // Data keys and tokens are strings where JSON and HTTP make them so; what opens everything never is.
  const heap = await heapSnapshot(serving, place)
  await serving.stop('SIGTERM')
  places.set('kms.db, closed', readFileSync(join(dataDir, 'kms.db')))
  places.set('stdout and stderr of serve', Buffer.from(serving.stdout() + serving.stderr()))

  const keyFile = join(dataDir, 'root.key')
  secrets.set('key file', readFileSync(keyFile))
  const store = SqliteStore.open({ path: join(dataDir, 'kms.db') })
  const opener = KeyFile.read(keyFile)
  const { root } = await openRoot(opener, store)
  const [slot] = await everyRow(store, 'slots')
  if (slot === undefined) throw new Error('there is no slot')
  const address = { clusterId: root.clusterId, slot: slot.slot, kind: slot.kind }
  const inSlot = await SlotSecret.open(address, opener, slot.sealedSecret)
  if (inSlot === undefined) throw new Error('the slot does not open')
  const keysOfSlot = { identity: inSlot.identity(), authKey: inSlot.authKey() }
  const rootBytes = await unwrapRoot(slot.sealedRoot, address, 1, keysOfSlot)
  secrets.set('root', rootBytes?.use((bytes) => new Uint8Array(bytes)) ?? new Uint8Array())
  const identities = new Identities(root)
  for (const row of await store.rows('versions', { limit: 10 })) {
    const seed = identities.get(row).useSeed((bytes) => new Uint8Array(bytes))
    secrets.set(`seed of version ${row.version}`, seed)
  }
  await store.close()

  expect(secrets.size).toBe(11)
  expect([...secrets.values()].filter(({ length }) => length < 32)).toEqual([])
  for (const [what, secret] of secrets) {
    for (const [where, content] of places) {
      const found = spellings(secret).some((spelling) => content.includes(spelling))
      expect(found, `${what} in ${where}`).toBe(false)
    }
  }
  // To its recipients, a backup is the root key, and everything else as it stands in the database.
  const opened = Buffer.from(
    await decrypt(concat(...pieces), { identities: [offline], context: backupContext }),
  )
  for (const [what, secret] of secrets) {
    const found = spellings(secret).some((spelling) => opened.includes(spelling))
    expect(found, `${what} in the backup, opened`).toBe(what === 'root')
  }
  const id = adminText.split('_')[1] ?? ''
  for (const [what, secret] of secrets) {
    if (!/key file|^root|^seed|private key/u.test(what)) continue
    const found = spellings(secret).some((spelling) => heap.includes(spelling))
    expect(found, `${what} in the heap`).toBe(false)
  }
  // The search finds what is there.
  expect(heap.includes(id)).toBe(true)
  expect(metrics).toContain('longhold_kms_requests_total')
  expect(places.get('kms.db, closed')?.includes(id)).toBe(true)
  expect(places.get('the export of the audit log')?.includes(id)).toBe(true)
  expect(opened.includes(id)).toBe(true)
  expect(places.get('stdout and stderr of serve')?.includes(id)).toBe(true)
})
