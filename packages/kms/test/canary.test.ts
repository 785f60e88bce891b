import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { DataKey, generateIdentity, unwrapDataKey, wrapDataKey } from '@longhold/core'
import { KmsClient, KmsIdentity, kmsRecipient } from '@longhold/core/kms'
import { expect, test } from 'vitest'

import { KeyFile } from '../src/seal/key-file.ts'
import { Identities } from '../src/service/identities.ts'
import { openRoot } from '../src/service/root.ts'
import { SqliteStore } from '../src/store/sqlite/store.ts'
import { temporaryDirectory } from './support/files.ts'
import { run, serve } from './support/process.ts'
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

test('no secret is in the log, the database or its write-ahead log', async () => {
  const dataDir = join(temporaryDirectory(), 'data')
  const places = new Map<string, Buffer>()
  const secrets = new Map<string, Uint8Array>()
  const initialised = await run('init', '--data-dir', dataDir, '--first-key', 'a')
  places.set('stdout and stderr of init', Buffer.from(initialised.stdout + initialised.stderr))

  const serving = await serve('--data-dir', dataDir)
  const adminText = readToken(join(dataDir, 'admin.token'))
  const admin = new KmsClient({ url: serving.url, token: adminText })
  const { token } = await admin.createToken({ name: 'app', permissions: ['unwrap', 'wrap', 'keys.list'] })
  const client = new KmsClient({ url: serving.url, token })
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
  // While it runs, so that the write-ahead log is there.
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith('kms.db')) places.set(name, readFileSync(join(dataDir, name)))
  }
  expect(places.get('kms.db-wal')?.length).toBeGreaterThan(0)
  await serving.stop('SIGTERM')
  places.set('kms.db, closed', readFileSync(join(dataDir, 'kms.db')))
  places.set('stdout and stderr of serve', Buffer.from(serving.stdout() + serving.stderr()))

  const keyFile = join(dataDir, 'root.key')
  secrets.set('key file', readFileSync(keyFile))
  const store = SqliteStore.open({ path: join(dataDir, 'kms.db') })
  const root = await openRoot(KeyFile.read(keyFile), store)
  const identities = new Identities(root)
  for (const row of await store.rows('versions', { limit: 10 })) {
    const seed = identities.get(row).useSeed((bytes) => new Uint8Array(bytes))
    secrets.set(`seed of version ${row.version}`, seed)
  }
  await store.close()

  expect(secrets.size).toBe(9)
  for (const [what, secret] of secrets) {
    for (const [where, content] of places) {
      const found = spellings(secret).some((spelling) => content.includes(spelling))
      expect(found, `${what} in ${where}`).toBe(false)
    }
  }
  // The search finds what is there.
  const id = adminText.split('_')[1] ?? ''
  expect(places.get('kms.db, closed')?.includes(id)).toBe(true)
  expect(places.get('stdout and stderr of serve')?.includes(id)).toBe(true)
})
