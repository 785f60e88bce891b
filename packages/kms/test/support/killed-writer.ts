/**
 * A process of its own: makes one write, and dies by SIGKILL before its last statement, counted by the driver. Before
 * each statement it puts the files aside as they are then: what its death there would have left, since a kill takes
 * nothing back from a file. Called with: path of the database, name of the write, `die` or `survive`. Prints the
 * number of statements.
 */

import { copyFileSync, existsSync, writeSync } from 'node:fs'

import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'

import { runWrite } from '../../src/store/sqlite/writes.ts'
import { initialization, newKey, TestChain, versionRow } from './rows.ts'

const [path = '', name = '', end = ''] = process.argv.slice(2)
let statements = 0
let isCounting = false
const client = new Database(path, {
  verbose(statement) {
    if (!isCounting) return
    statements += 1
    for (const file of ['', '-wal']) {
      if (existsSync(path + file)) copyFileSync(path + file, `${path}.${statements}${file}`)
    }
    if (end !== 'die' || statement !== 'COMMIT') return
    // Written at once: nothing is written after the next line.
    writeSync(1, String(statements))
    process.kill(process.pid, 'SIGKILL')
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
runWrite({ client, db: drizzle({ client }) }, name as 'rotate', argumentsOf[name], audit)
isCounting = false
client.close()
process.stdout.write(String(statements))
