/**
 * A database as a release left it, written down as SQL, with what opens it and something that was wrapped for it. Run
 * this file to write one for the schema there is; one of a schema that was released is never written again.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DataKey, wrapDataKey } from '@longhold/core'
import { KmsClient, kmsRecipient } from '@longhold/core/kms'
import Database from 'better-sqlite3'

import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import { migrationsOf } from '../../src/store/sql/migrations.ts'

export const fixturesFolder = join(import.meta.dirname, '../fixtures')
export const keyContext = { tenant: 'acme' }
export const recordContext = { table: 'orders' }
export const plaintext = 'twelve chairs'

export interface SchemaFixture {
  readonly schema: number
  readonly applicationId: number
  readonly statements: readonly string[]
  /** Base64. It opens this database and no other. */
  readonly keyFile: string
  readonly token: string
  /** Base64: a data key wrapped for version 1 of `orders`, and a record under it. */
  readonly wrappedKey: string
  readonly record: string
}

if (import.meta.main) await writeFixture()

async function writeFixture(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'longhold-fixture-'))
  try {
    const dataDir = join(directory, 'data')
    const made = await initService({ dataDir, anchor: 'none', firstKey: 'orders' })
    const service = await startService({ dataDir, port: 0, anchor: 'none', adminSocket: 'none' })
    const token = readFileSync(made.tokenFile, 'utf8').trim()
    const client = new KmsClient({ url: service.url, token })
    const dataKey = DataKey.generate()
    const recipients = [await kmsRecipient(client, 'orders')]
    const wrappedKey = await wrapDataKey(dataKey, { recipients, keyContext })
    await client.rotateKey('orders')
    await client.keys.putAlias('newest', 'orders')
    await client.keys.putCensus('orders', 'shop', [{ version: 1, wrapped_keys: 1 }])
    await client.access.createPrincipal('shop', 'the web shop')
    await client.access.createGrant({ principal: 'shop', permissions: ['unwrap'], keys: ['orders'] })
    await client.keys.setVersionState('orders', 1, 'compromised')
    await client.audit.checkpoint()
    await service.close()
    const fixture: SchemaFixture = {
      schema: migrationsOf('sqlite').length,
      ...dump(made.database),
      keyFile: readFileSync(made.keyFile).toString('base64'),
      token,
      wrappedKey: Buffer.from(wrappedKey).toString('base64'),
      record: Buffer.from(dataKey.encrypt(new TextEncoder().encode(plaintext), { recordContext })).toString(
        'base64',
      ),
    }
    const path = join(fixturesFolder, `schema-${fixture.schema}.json`)
    writeFileSync(path, `${JSON.stringify(fixture, undefined, 2)}\n`)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Tables with their rows, then what is made of them. */
function dump(path: string): Pick<SchemaFixture, 'applicationId' | 'statements'> {
  const database = new Database(path, { readonly: true })
  try {
    const objects = database
      .prepare<[], { type: string; name: string; sql: string }>(
        `select type, name, sql from sqlite_schema where sql is not null order by type = 'table' desc, name`,
      )
      .all()
    const rows = objects
      .filter(({ type }) => type === 'table')
      .flatMap(({ name }) => {
        const columns = database.prepare<[], { name: string }>(`pragma table_info("${name}")`).all()
        const values = columns.map((column) => `quote("${column.name}")`).join(` || ', ' || `)
        const found = database.prepare<[], string>(`select ${values} from "${name}"`).pluck().all()
        return found.map((row) => `insert into "${name}" values (${row})`)
      })
    const tables = objects.filter(({ type }) => type === 'table').map(({ sql }) => sql)
    const others = objects.filter(({ type }) => type !== 'table').map(({ sql }) => sql)
    const applicationId = Number(database.pragma('application_id', { simple: true }))
    return { applicationId, statements: [...tables, ...rows, ...others] }
  } finally {
    database.close()
  }
}
