import { DataKey, toHex, toText, wrapDataKey } from '@longhold/core'
import { KmsClient, kmsRecipient } from '@longhold/core/kms'
import { postgresSchema } from '@longhold/core/stores/postgres'
import { Client } from 'pg'
import { expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import { ServiceWorkspace } from '../support/service.ts'

const server = await startPostgres()

async function wrappedKeys(space: ServiceWorkspace, count: number) {
  const token = space.read('.longhold/kms/admin.token').trim()
  const recipient = await kmsRecipient(new KmsClient({ url: space.url, token }), 'default')
  return await Promise.all(
    Array.from({ length: count }, async () => {
      using dataKey = DataKey.generate()
      return { keyId: dataKey.keyId, wrappedKey: await wrapDataKey(dataKey, { recipients: [recipient] }) }
    }),
  )
}

test('a census counts the wrapped keys beside a file', async () => {
  await using space = await ServiceWorkspace.create()
  const now = new Date().toISOString()
  const lines = (await wrappedKeys(space, 2)).map(({ keyId, wrappedKey }) =>
    JSON.stringify({
      key_id: toHex(keyId),
      wrapped_key: toText(wrappedKey),
      key_context: {},
      name: null,
      state: 'reading',
      messages: 1,
      bytes: 1,
      created_at: now,
      updated_at: now,
    }),
  )
  space.write('rows.keys.ndjson', `${lines.join('\n')}\n`)
  const take = ['kms', 'census', 'take', 'default', 'files']
  const taken = await space.ask([...take, '--keys-file', 'rows.keys.ndjson', '--json'])
  expect(JSON.parse(taken.stdout)).toMatchObject({ counts: [{ version: 1, wrapped_keys: 2 }] })
  const missing = await space.ask([...take, '--keys-file', 'none.ndjson'])
  expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/no such file/) as string })
})

test.skipIf('missing' in server)('a census counts the wrapped keys of a server', async () => {
  if ('missing' in server) return
  await using space = await ServiceWorkspace.create()
  const client = new Client({ connectionString: server.url })
  await client.connect()
  const take = ['kms', 'census', 'take', 'default', 'app', '--postgres', server.url]
  expect((await space.ask(take)).stderr).toMatch(/no table longhold_data_keys/)
  for (const statement of postgresSchema) await client.query(statement)
  for (const { keyId, wrappedKey } of await wrappedKeys(space, 3)) {
    const sql = `INSERT INTO longhold_data_keys VALUES ($1, $2, '{}', NULL, 'reading', 0, 0, now(), now())`
    await client.query(sql, [keyId, wrappedKey])
  }
  await client.end()
  const taken = await space.ask([...take, '--json'])
  expect(JSON.parse(taken.stdout)).toMatchObject({ counts: [{ version: 1, wrapped_keys: 3 }] })
  await server[Symbol.asyncDispose]()
})
