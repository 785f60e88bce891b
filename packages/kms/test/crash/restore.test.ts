import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { resolvePaths } from '../../src/server/paths.ts'
import { restoreService } from '../../src/server/restore.ts'
import { startService } from '../../src/server/start.ts'
import { everyRow } from '../../src/service/key-store.ts'
import { fingerprint } from '../../src/service/signing.ts'
import { AnchorFile } from '../../src/store/anchor-file.ts'
import { PostgresStore } from '../../src/store/postgres/store.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { makeBackup, offline } from '../support/backups.ts'
import { childEnvironment, temporaryDirectory } from '../support/files.ts'
import { describePostgres } from '../support/postgres.ts'
import { startTestService } from '../support/service.ts'

const env = childEnvironment()
const timeoutMs = 300_000

interface Backup {
  readonly file: string
  readonly print: string
}

async function backupFile(): Promise<Backup> {
  const under = await startTestService({ keys: ['a', 'b'] })
  const { bytes } = await makeBackup(under.service)
  const file = join(temporaryDirectory(), 'backup.lhb')
  writeFileSync(file, bytes)
  return { file, print: fingerprint(under.service.signer.publicKey) }
}

/** @param at Where it is killed: `12 before`; empty: nowhere. */
async function restore({ file, print }: Backup, dataDir: string, at = '', database = '') {
  const script = (name: string) => join(import.meta.dirname, name)
  const child = spawn(
    process.execPath,
    [
      '--import',
      script('hook.ts'),
      script('restore-child.ts'),
      file,
      offline.exportText(),
      print,
      dataDir,
      database,
    ],
    { env: { ...env, CRASH_AT: at }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { said, signal }
}

/** How many rows of keys there are: none, or all of them. */
async function keysIn(dataDir: string, database?: string): Promise<number> {
  if (database !== undefined) {
    const store = await PostgresStore.open({ url: database })
    try {
      return (await everyRow(store, 'keys')).length
    } finally {
      await store.close()
    }
  }
  const path = resolvePaths({ dataDir }).database
  if (!existsSync(path)) return 0
  const store = SqliteStore.open({ path })
  try {
    return (await everyRow(store, 'keys')).length
  } finally {
    await store.close()
  }
}

/** The same command once more, and the service it leaves. */
async function goesOn({ file, print }: Backup, dataDir: string, database?: string): Promise<number> {
  const options = { backup: file, identities: [offline], fingerprint: print, dataDir, epochs: 'any' }
  const tokenFile = join(dataDir, 'bootstrap.token')
  // Killed while it closed its database: nothing is left to do.
  if (!existsSync(tokenFile)) await restoreService({ ...options, database })
  expect(existsSync(tokenFile)).toBe(true)
  expect(existsSync(`${tokenFile}.restoring`)).toBe(false)
  const service = await startService({ dataDir, database, adminSocket: 'none', port: 0 })
  try {
    return (await fetch(`${service.url}/readyz`)).status
  } finally {
    await service.close()
  }
}

/** From the first to the last. */
function sample(statements: number, size: number): number[] {
  return Array.from({ length: size }, (_, index) => Math.round(1 + (index * (statements - 1)) / (size - 1)))
}

describe('a restoration that was killed', () => {
  test('left nothing or all of it, and the same command goes on', { timeout: timeoutMs }, async () => {
    const backup = await backupFile()
    const { said } = await restore(backup, join(temporaryDirectory(), 'whole'))
    const statements = Number(said)
    process.stdout.write(`restore: ${statements} statements\n`)
    expect(statements).toBeGreaterThan(20)
    const left: number[] = []
    const points = [...sample(statements, 6).map((one) => `${one} before`), `${statements} after`]
    for (const point of points) {
      const dataDir = join(temporaryDirectory(), 'killed')
      expect((await restore(backup, dataDir, point)).signal).toBe('SIGKILL')
      left.push(await keysIn(dataDir))
      expect(await goesOn(backup, dataDir)).toBe(200)
    }
    expect(left).toEqual(left.toSorted((a, b) => a - b))
    expect([left[0], left.at(-1)]).toEqual([0, 2])
    expect(left.filter((keys) => keys !== 0 && keys !== 2)).toEqual([])
  })

  test('behind the commit has its token, and an anchor, with the next', async () => {
    const backup = await backupFile()
    const { said } = await restore(backup, join(temporaryDirectory(), 'whole'))
    let dataDir = ''
    let statement = Number(said)
    // The last ones close the database.
    do {
      dataDir = join(temporaryDirectory(), 'data')
      await restore(backup, dataDir, `${statement--} after`)
    } while (existsSync(join(dataDir, 'bootstrap.token')))
    expect(existsSync(join(dataDir, 'bootstrap.token.restoring'))).toBe(true)
    expect(await keysIn(dataDir)).toBe(2)
    const anchor = new AnchorFile(join(dataDir, 'anchor.json'))
    const other = await backupFile()
    const wrong = { backup: other.file, identities: [offline], fingerprint: other.print, dataDir }
    await expect(restoreService(wrong)).rejects.toMatchObject({ code: 'already_initialised' })
    expect(await goesOn(backup, dataDir)).toBe(200)
    expect((await anchor.read())?.epoch).toBeGreaterThan(1_000_000)
  })
})

await describePostgres('a restoration into PostgreSQL that was killed', (makeDatabase) => {
  test('left nothing or all of it, and the same command goes on', { timeout: timeoutMs }, async () => {
    const backup = await backupFile()
    const whole = await makeDatabase()
    const { said } = await restore(backup, join(temporaryDirectory(), 'whole'), '', whole.url)
    const left: number[] = []
    for (const statement of sample(Number(said), 4)) {
      const { url } = await makeDatabase()
      const dataDir = join(temporaryDirectory(), 'killed')
      await restore(backup, dataDir, `${statement} before`, url)
      left.push(await keysIn(dataDir, url))
      expect(await goesOn(backup, dataDir, url)).toBe(200)
    }
    expect(left.filter((keys) => keys !== 0 && keys !== 2)).toEqual([])
    expect(left[0]).toBe(0)
  })
})
