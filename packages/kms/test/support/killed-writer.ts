/**
 * A process of its own: makes one write and dies by SIGKILL before the n-th statement of it, counted by the driver.
 * Called with: path of the database, n, name of the write. Prints `survived` when there are fewer statements.
 */

import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'

import { runWrite } from '../../src/store/sqlite/writes.ts'
import { initialization, newKey, TestChain, versionRow } from './rows.ts'

const [path = '', limit = '', name = ''] = process.argv.slice(2)
let statements = 0
let isCounting = false
const client = new Database(path, {
  verbose() {
    if (!isCounting) return
    statements += 1
    if (statements === Number(limit)) process.kill(process.pid, 'SIGKILL')
  },
})
client.pragma('journal_mode = WAL')
client.pragma('synchronous = FULL')

const audit = new TestChain('f'.repeat(32)).next(2)
const version = versionRow('a', 2)
const argumentsOf: Readonly<Record<string, unknown>> = {
  initialize: initialization({ firstKey: newKey('first') }),
  createKey: newKey('b'),
  rotate: { key: 'a', expectedGeneration: 1, expectedPrimary: 1, version },
}
isCounting = true
const outcome = runWrite({ client, db: drizzle({ client }) }, name as 'rotate', argumentsOf[name], audit)
isCounting = false
client.close()
process.stdout.write(`survived ${outcome} ${statements}`)
