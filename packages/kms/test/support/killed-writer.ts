/**
 * A process of its own: makes one write, and dies by SIGKILL before its last statement, counted by the driver. Before
 * each statement it puts the files aside as they are then: what its death there would have left, since a kill takes
 * nothing back from a file. Called with: path of the database, name of the write, `die` or `survive`. Prints the
 * number of statements.
 */

import { copyFileSync, existsSync, writeSync } from 'node:fs'

import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'

import { prepareWrites, runCommit } from '../../src/store/sqlite/writes.ts'
import { commitNamed } from './killed-writes.ts'

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

const connection = { client, db: drizzle({ client }) }
const writes = prepareWrites(connection)
isCounting = true
runCommit(writes, commitNamed(name))
isCounting = false
client.close()
process.stdout.write(String(statements))
