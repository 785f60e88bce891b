/** Old values of many origins in one table, from plan to verify. */

import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'

import Database from 'better-sqlite3'
import { expect, test } from 'vitest'

import { awsEncrypt } from '../support/aws-encrypt.ts'
import { Workspace } from '../support/cli.ts'
import { oldKey, oldPem, sealParts } from '../support/legacy-values.ts'
import { s3v3 } from '../support/s3-encrypt.ts'
import { sealSecret } from '../support/seal-secret.ts'
import { sealSpring } from '../support/seal-spring.ts'
import { runTool } from '../support/tools.ts'

const yaml = `
  table: things
  column: body
  private-keys: [old.pem]
  formats:
    aws:
      type: aws-encryption-sdk
      context: { tenant: { column: name } }
    bucket: { type: s3, metadata: meta }
    sealed: { type: sealed-secrets, scope: strict, namespace: shop, name: { column: name } }
    properties: { type: spring, strong: true }
    enc:
      wrapped-key: { column: wrapped_key, encoding: base64 }
      ciphertext: { encoding: base64 }
      pkcs1: true
      cipher: aes-256-cbc
      password: { kdf: pbkdf2, digest: sha256, iterations: 10000 }
      witness: { starts-with: 'secret of' }
    mac:
      wrapped-key: { column: wrapped_key, encoding: base64 }
      iv: front
      ciphertext: { encoding: base64 }
      pkcs1: true
      cipher: aes-128-cbc
`

interface Row {
  readonly body: string
  readonly name: string
  readonly meta?: string
  readonly wrapped_key?: string
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

async function rowsOf(space: Workspace): Promise<Row[]> {
  const object = s3v3('secret of s3')
  writeFileSync(space.file('public.pem'), createPublicKey(oldKey).export({ type: 'spki', format: 'pem' }))
  space.write('password', 'correct horse\n')
  const key = ['-encrypt', '-pubin', '-inkey', space.file('public.pem'), '-in', space.file('password')]
  const wrapped = runTool('openssl', ['pkeyutl', ...key])
  const enc = ['-aes-256-cbc', '-pbkdf2', '-a', '-pass', `file:${space.file('password')}`]
  const [dataKey, iv] = [randomBytes(16), randomBytes(16)]
  const cipher = createCipheriv('aes-128-cbc', dataKey, iv)
  const bare = Buffer.concat([iv, cipher.update('secret of nobody'), cipher.final()])
  const padding = constants.RSA_PKCS1_PADDING
  return [
    { name: 'aws', body: base64(await awsEncrypt('secret of aws', { context: { tenant: 'aws' } })) },
    { name: 's3', body: base64(object.body), meta: JSON.stringify(object.metadata) },
    { name: 'sealed', body: base64(sealSecret('secret of sealed', 'shop/sealed')) },
    { name: 'spring', body: sealSpring('secret of spring', { isStrong: true }) },
    {
      name: 'enc',
      body: runTool('openssl', ['enc', ...enc], { input: 'secret of enc' }).toString(),
      wrapped_key: base64(wrapped),
    },
    {
      name: 'nobody',
      body: base64(bare),
      wrapped_key: base64(publicEncrypt({ key: createPublicKey(oldKey), padding }, dataKey)),
    },
  ]
}

interface Answer {
  readonly migrated: number
  readonly dead: number
  readonly found: number
}

test('each by its own format; what others read waits for them, and what nothing tells for a word', async () => {
  using space = new Workspace()
  space.write('old.pem', oldPem)
  await space.ok(['keygen', '--output', 'id.txt'])
  const recipient = /lhrecipient1-\S+/.exec(space.read('id.txt'))?.[0] ?? ''
  space.write('longhold.yaml', `recipient: ${recipient}\nidentity: id.txt\nreencrypt:${yaml}`)
  const rows = await rowsOf(space)
  const database = new Database(space.file('things.db'))
  database.exec(
    'CREATE TABLE things (id INTEGER PRIMARY KEY, body TEXT, name TEXT, meta TEXT, wrapped_key TEXT)',
  )
  const insert = database.prepare('INSERT INTO things (body, name, meta, wrapped_key) VALUES (?, ?, ?, ?)')
  for (const { body, name, meta = null, wrapped_key = null } of rows)
    insert.run(body, name, meta, wrapped_key)

  const plan = await space.cli(['reencrypt', 'plan', 'things.db'])
  for (const format of ['aws', 'bucket', 'sealed', 'properties', 'enc', 'mac'])
    expect(plan.stdout).toMatch(new RegExp(`format +${format}\\n`))
  for (const reader of ['the S3 encryption clients', 'the Sealed Secrets controller', 'Spring Cloud Config'])
    expect(plan.stdout).toContain(reader)

  const run = async (...args: string[]) => {
    const result = await space.cli([
      'reencrypt',
      'run',
      'things.db',
      '--execute',
      '--workers',
      '1',
      '--json',
      ...args,
    ])
    if (result.stdout === '') throw new Error(result.stderr)
    return JSON.parse(result.stdout) as Answer
  }
  await expect(run()).rejects.toThrow(/format mac: nothing would tell a wrong key/)
  const accepted = ['--accept-unauthenticated']
  expect(await run(...accepted)).toMatchObject({ found: 6, migrated: 3, dead: 3 })
  expect(await run(...accepted, '--consumer-ready')).toMatchObject({ found: 6, migrated: 3, dead: 0 })
  const verified = await space.ok(['reencrypt', 'verify', 'things.db', '--json'])
  expect(JSON.parse(verified.stdout)).toMatchObject({ values: 6, opened: 6, failed: 0, not_reencrypted: 0 })
  const after = database.prepare('SELECT meta, wrapped_key FROM things ORDER BY id').all()
  expect(after.map((row) => Object.values(row as object))).toEqual([
    [null, null],
    [rows[1]?.meta, null],
    [null, null],
    [null, null],
    [null, null],
    [null, null],
  ])
  database.close()
})

test('a file of lines: metadata as an object, several recipients in one object', async () => {
  using space = new Workspace()
  space.write('old.pem', oldPem)
  await space.ok(['keygen', '--output', 'id.txt'])
  const recipient = /lhrecipient1-\S+/.exec(space.read('id.txt'))?.[0] ?? ''
  space.write(
    'longhold.yaml',
    `recipient: ${recipient}
identity: id.txt
reencrypt:
  id: id
  column: body
  private-keys: [{ file: old.pem, key-ids: [old] }]
  formats:
    bucket: { type: s3, metadata: headers, key-id: kid }
    shared:
      wrapped-key: { by-key-id: { column: keys, encoding: base64 } }
      oaep: { hash: sha256, mgf1-hash: sha1 }
      iv: { column: iv, encoding: base64 }
      tag: { column: tag, encoding: base64 }
      ciphertext: { encoding: base64 }
      cipher: aes-256-gcm
`,
  )
  const { metadata, body } = s3v3('secret of s3', { description: '{"kid":"old"}' })
  const { wrappedKey, iv, tag, ciphertext } = sealParts('secret of many', '')
  const keys = { old: base64(wrappedKey), other: base64(randomBytes(256)) }
  const lines = [
    { id: 1, headers: metadata, body: base64(body) },
    { id: 2, keys, iv: base64(iv), tag: base64(tag), body: base64(ciphertext) },
  ]
  space.write('lines.ndjson', `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
  const run = [
    'reencrypt',
    'run',
    'lines.ndjson',
    '--execute',
    '--workers',
    '1',
    '--consumer-ready',
    '--json',
  ]
  // What --json answers.
  expect(JSON.parse((await space.ok(run)).stdout) as Answer).toMatchObject({ found: 2, migrated: 2, dead: 0 })
  const verified = await space.ok(['reencrypt', 'verify', 'lines.ndjson', '--json'])
  expect(JSON.parse(verified.stdout)).toMatchObject({ values: 2, opened: 2, failed: 0 })
})
