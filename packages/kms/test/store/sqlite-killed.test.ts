import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import type { KeyStore } from '../../src/service/key-store.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { childEnvironment, temporaryDirectory } from '../support/files.ts'
import { newKey, TestChain } from '../support/rows.ts'

const script = join(import.meta.dirname, '..', 'support', 'killed-writer.ts')
const env = childEnvironment()
const all = { after: undefined, limit: 100 }

async function write(path: string, name: string, end: 'die' | 'survive') {
  const child = spawn(process.execPath, [script, path, name, end], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, statements: Number(said) }
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

async function contentsOf(path: string): Promise<unknown> {
  const store = SqliteStore.open({ path })
  try {
    return await contents(store)
  } finally {
    await store.close()
  }
}

/** A database ready for the write. */
async function prepared(name: string): Promise<string> {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  if (name !== 'initialize') await store.createKey(newKey('a'), new TestChain().next())
  await store.close()
  return path
}

test.each(['initialize', 'createKey', 'rotate'])(
  '%s, killed before any of its statements, is not made at all',
  async (name) => {
    const path = await prepared(name)
    const before = await contentsOf(path)
    const killed = await write(path, name, 'die')
    expect(killed).toMatchObject({ code: null, signal: 'SIGKILL' })
    expect(await contentsOf(path)).toEqual(before)
    // begin, what it writes, its entries and commit.
    expect(killed.statements).toBeGreaterThan(6)
    for (let statement = 1; statement <= killed.statements; statement++) {
      expect(await contentsOf(`${path}.${statement}`), `killed before statement ${statement}`).toEqual(before)
    }

    const survived = await write(path, name, 'survive')
    expect(survived).toEqual({ code: 0, signal: null, statements: killed.statements })
    expect(await contentsOf(path)).not.toEqual(before)
  },
)
