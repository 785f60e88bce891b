import { join } from 'node:path'

import { KmsClient } from '@longhold/core/kms'
import { expect, onTestFinished, test } from 'vitest'

import { acceptRollback } from '../../src/server/accept-rollback.ts'
import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import { verifyAudit } from '../../src/server/verify-audit.ts'
import { temporaryDirectory } from '../support/files.ts'
import { describePostgres } from '../support/postgres.ts'
import { hexOf, readToken, wrapFor } from '../support/service.ts'

await describePostgres('a key service on PostgreSQL', (makeDatabase) => {
  test('is made once and serves two nodes: wraps, unwraps, rotates, with one log that is whole', async () => {
    const { url: database } = await makeDatabase()
    const dataDir = temporaryDirectory()
    const paths = { dataDir, database, adminSocket: 'none' }
    const { tokenFile } = await initService({ ...paths, firstKey: 'a' })
    const again = { ...paths, tokenFile: join(dataDir, 'other.token') }
    await expect(initService(again)).rejects.toMatchObject({ code: 'already_initialised' })

    const joining = { ...paths, anchor: join(dataDir, 'second.json'), port: 0 }
    const first = await startService({ ...paths, port: 0 })
    onTestFinished(() => first.close())
    const token = readToken(tokenFile)
    const here = new KmsClient({ url: first.url, token })
    const { dataKey, stanza } = await wrapFor(here, ['a'])
    await here.rotateKey('a')
    const unwrapped = async (client: KmsClient) => {
      const [result] = await client.unwrap([{ keyId: dataKey.keyId, stanza, keyContext: {} }])
      return result !== undefined && 'dataKey' in result ? hexOf(result.dataKey) : undefined
    }
    expect(await unwrapped(here)).toBe(hexOf(dataKey))

    // A node that has no anchor joins only when somebody accepts the database.
    const refused = await startService(joining)
    const answer = await fetch(`${refused.url}/readyz`)
    expect([answer.status, await answer.json()]).toMatchObject([503, { code: 'rollback_detected' }])
    await refused.close()
    expect(await acceptRollback({ ...joining, epochs: 'any' })).toMatchObject({ anchorEpoch: null })
    const second = await startService(joining)
    onTestFinished(() => second.close())
    const there = new KmsClient({ url: second.url, token })
    const both = await Promise.all(
      Array.from({ length: 20 }, (_, index) => unwrapped(index % 2 ? here : there)),
    )
    expect(new Set(both)).toEqual(new Set([hexOf(dataKey)]))
    const rotated = await Promise.all([here.rotateKey('a'), there.rotateKey('a'), here.rotateKey('a')])
    expect(new Set(rotated.map((key) => key.primary_version))).toEqual(new Set([3, 4, 5]))
    await first.close()
    await second.close()
    expect(await verifyAudit(paths)).toMatchObject({ ok: true })
  })
})
