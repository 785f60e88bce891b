import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import type { KeyStore } from '../../src/service/key-store.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { newKey, TestChain } from '../support/rows.ts'

const script = join(import.meta.dirname, '..', 'support', 'killed-writer.ts')
const all = { after: undefined, limit: 100 }

async function writeAndDie(path: string, statement: number, name: string): Promise<string> {
  const child = spawn(process.execPath, [script, path, String(statement), name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  expect(code === 0 || signal === 'SIGKILL').toBe(true)
  return said
}

async function contents(store: KeyStore): Promise<unknown> {
  const keys = await store.keys(all)
  return {
    cluster: await store.cluster(),
    tokens: await store.tokens({ after: undefined, limit: 100 }),
    keys,
    versions: await Promise.all(keys.map(({ key }) => store.versions(key, all))),
    heads: await store.auditHeads(),
    runs: await store.auditRuns(),
  }
}

/** The store before and after a write in a process that dies before its n-th statement, if it has so many. */
async function aroundDeath(name: string, statement: number) {
  const path = join(temporaryDirectory(), 'kms.db')
  const first = SqliteStore.open({ path })
  if (name !== 'initialize') await first.createKey(newKey('a'), new TestChain().next())
  const before = await contents(first)
  await first.close()
  const said = await writeAndDie(path, statement, name)
  const again = SqliteStore.open({ path })
  const after = await contents(again)
  await again.close()
  return { said, before, after }
}

test.each(['initialize', 'createKey', 'rotate'])(
  '%s, killed before any of its statements, is not made at all',
  async (name) => {
    let statement = 1
    let last = await aroundDeath(name, statement)
    for (; last.said === ''; last = await aroundDeath(name, ++statement)) {
      expect(last.after, `killed before statement ${statement}`).toEqual(last.before)
    }
    expect(last.said).toBe(`survived done ${statement - 1}`)
    expect(last.after).not.toEqual(last.before)
    // begin, what it writes, its entries and commit.
    expect(statement).toBeGreaterThan(6)
  },
)
