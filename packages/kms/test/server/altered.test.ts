import { copyFileSync, rmSync } from 'node:fs'

import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import { temporaryDirectory } from '../support/files.ts'
import { readToken } from '../support/service.ts'

async function initialised() {
  const paths = { dataDir: temporaryDirectory(), adminSocket: 'none', port: 0 }
  const { database, tokenFile } = await initService({ ...paths, firstKey: 'a' })
  return { paths, database, token: readToken(tokenFile) }
}

/** What a service on this database answers, and what it logs as an error. */
async function served({ paths, token }: Awaited<ReturnType<typeof initialised>>) {
  const errors: (string | undefined)[] = []
  const service = await startService({
    ...paths,
    log: ({ level, code }) => void (level === 'error' && errors.push(code)),
  })
  onTestFinished(() => service.close())
  const codes = []
  for (const path of ['/livez', '/readyz', '/v1/keys/a/public-key']) {
    const response = await fetch(service.url + path, { headers: { authorization: `Bearer ${token}` } })
    codes.push([response.status, ((await response.json()) as { code?: string }).code])
  }
  await service.close()
  return { codes, errors }
}

const answered = [200, undefined]
const refused = [503, 'integrity_violation']

describe('a service whose database was altered while it was stopped', () => {
  test.each([
    ['a row edited', `update tokens set expires_at = 1`],
    ['a row taken away', `delete from versions`],
    ['the head taken away', `delete from cluster_head`],
  ])('%s: runs and answers nothing, and says so in its log', async (_, statement) => {
    const under = await initialised()
    expect((await served(under)).codes).toEqual([answered, answered, answered])
    const outside = new Database(under.database)
    expect(outside.prepare(statement).run().changes).toBe(1)
    outside.close()
    const { codes, errors } = await served(under)
    expect(codes).toEqual([answered, refused, refused])
    expect(errors).toContain('integrity_violation')
  })

  test('a row edited: whoever asks without a token is not told which', async () => {
    const { paths, database } = await initialised()
    const outside = new Database(database)
    expect(outside.prepare(`update keys set enabled = 0`).run().changes).toBe(1)
    outside.close()
    const lines: string[] = []
    const service = await startService({ ...paths, log: ({ message }) => void lines.push(message) })
    onTestFinished(() => service.close())
    const authorization = `Bearer lhk_${'0'.repeat(24)}_${'A'.repeat(43)}`
    const response = await fetch(`${service.url}/v1/keys`, { headers: { authorization } })
    expect(response.status).toBe(503)
    expect(await response.text()).not.toContain('keys a')
    expect(lines.join('\n')).toContain('the row keys a in the database')
  })

  test('another cluster’s database, though the key file opens it', async () => {
    const [here, there] = [await initialised(), await initialised()]
    copyFileSync(`${here.paths.dataDir}/root.key`, `${there.paths.dataDir}/root.key`)
    await expect(served(there)).rejects.toMatchObject({ code: 'wrong_secret' })
    // Made with the same key file, it opens; the anchor is that of another cluster.
    const third = { ...here.paths, dataDir: temporaryDirectory(), keyFile: `${here.paths.dataDir}/root.key` }
    const { database } = await initService({ ...third, firstKey: 'a' })
    for (const side of ['', '-wal', '-shm']) rmSync(here.database + side, { force: true })
    copyFileSync(database, here.database)
    const { codes, errors } = await served(here)
    expect(codes).toEqual([answered, [503, 'rollback_detected'], [503, 'rollback_detected']])
    expect(errors).toContain('rollback_detected')
  })
})
