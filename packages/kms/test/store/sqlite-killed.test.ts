import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { childEnvironment, temporaryDirectory } from '../support/files.ts'
import { rotationBefore } from '../support/killed-writes.ts'
import { contentsOf } from '../support/rows.ts'

const script = join(import.meta.dirname, '..', 'support', 'killed-writer.ts')
const env = childEnvironment()

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

async function contentsAt(path: string): Promise<unknown> {
  const store = SqliteStore.open({ path })
  try {
    return await contentsOf(store)
  } finally {
    await store.close()
  }
}

/** A database ready for the write. */
async function prepared(name: string): Promise<string> {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  if (name !== 'initialize') await store.commit(rotationBefore())
  await store.close()
  return path
}

test.each(['initialize', 'createKey', 'rotate'])(
  '%s, killed before any of its statements, is not made at all',
  async (name) => {
    const path = await prepared(name)
    const before = await contentsAt(path)
    const killed = await write(path, name, 'die')
    expect(killed).toMatchObject({ code: null, signal: 'SIGKILL' })
    expect(await contentsAt(path)).toEqual(before)
    // begin, what it writes, its entries and commit.
    expect(killed.statements).toBeGreaterThan(6)
    for (let statement = 1; statement <= killed.statements; statement++) {
      expect(await contentsAt(`${path}.${statement}`), `killed before statement ${statement}`).toEqual(before)
    }

    const survived = await write(path, name, 'survive')
    expect(survived).toEqual({ code: 0, signal: null, statements: killed.statements })
    expect(await contentsAt(path)).not.toEqual(before)
  },
)
