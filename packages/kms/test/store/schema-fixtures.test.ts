import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { unwrapDataKey } from '@longhold/core'
import { KmsClient, KmsIdentity } from '@longhold/core/kms'
import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { startService } from '../../src/server/start.ts'
import { verifyAudit } from '../../src/server/verify-audit.ts'
import { migrationsOf } from '../../src/store/sql/migrations.ts'
import { temporaryDirectory } from '../support/files.ts'
import { fixturesFolder, keyContext, plaintext, recordContext } from '../support/schema-fixture.ts'
import type { SchemaFixture } from '../support/schema-fixture.ts'

const schema = migrationsOf('sqlite').length
const names = readdirSync(fixturesFolder).filter((name) => /^schema-\d+\.json$/u.test(name))

test('there is a database of every schema', () => {
  const wanted = Array.from({ length: schema }, (_, index) => `schema-${index + 1}.json`)
  // To write the newest, while it was not released: node packages/kms/test/support/schema-fixture.ts
  expect(names.toSorted()).toEqual(wanted.toSorted())
})

describe.each(names)('%s', (name) => {
  test('is opened, brought to the newest schema, and serves what was wrapped for it', async () => {
    // Written by `schema-fixture.ts`.
    const fixture = JSON.parse(readFileSync(join(fixturesFolder, name), 'utf8')) as SchemaFixture
    const dataDir = join(temporaryDirectory(), 'data')
    mkdirSync(dataDir, { mode: 0o700 })
    writeFileSync(join(dataDir, 'root.key'), Buffer.from(fixture.keyFile, 'base64'), { mode: 0o600 })
    writeFileSync(join(dataDir, 'kms.db'), '', { mode: 0o600 })
    const database = new Database(join(dataDir, 'kms.db'))
    database.pragma(`application_id = ${fixture.applicationId}`)
    for (const statement of fixture.statements) database.exec(statement)
    database.close()

    const logged: string[] = []
    const paths = { dataDir, anchor: 'none', adminSocket: 'none' }
    const service = await startService({ ...paths, port: 0, log: ({ message }) => void logged.push(message) })
    onTestFinished(() => service.close())
    const upgrade = `the database was upgraded from schema ${fixture.schema} to ${schema}`
    expect(logged.some((message) => message.startsWith(upgrade))).toBe(fixture.schema < schema)

    const client = new KmsClient({ url: service.url, token: fixture.token })
    const identities = [new KmsIdentity(client, { keys: ['orders'] })]
    const wrappedKey = new Uint8Array(Buffer.from(fixture.wrappedKey, 'base64'))
    const dataKey = await unwrapDataKey(wrappedKey, { identities, keyContext })
    const record = new Uint8Array(Buffer.from(fixture.record, 'base64'))
    expect(new TextDecoder().decode(dataKey.decrypt(record, { recordContext }))).toBe(plaintext)
    expect(await client.listVersions('orders')).toMatchObject([
      { state: 'compromised' },
      { state: 'primary' },
    ])
    expect((await client.access.listPrincipals()).map(({ principal }) => principal)).toEqual(['shop'])
    const lines = (await client.audit.listCheckpoints()).map(({ line }) => line)
    expect(await client.audit.verify(lines)).toMatchObject({ ok: true, faults: [] })
    await service.close()
    expect(await verifyAudit(paths)).toMatchObject({ ok: true })
  })
})
