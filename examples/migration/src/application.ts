/**
 * The application as it goes on working during the migration, a process of its own: it revises letters and writes
 * them the old way. It says over IPC which revision it wrote last, so that afterwards every update can be accounted for.
 */

import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import Database from 'better-sqlite3'

import { letterText, storedLetter, table } from './letters.ts'

const [path = '', publicKeyPath = '', count = '0', perSecond = '0'] = process.argv.slice(2)
const publicKey = createPublicKey(readFileSync(publicKeyPath))
const database = new Database(path, { timeout: 10_000 })
const update = database.prepare(
  `UPDATE ${table} SET body = @body, wrapped_key = @wrapped_key, iv = @iv WHERE id = @id`,
)

const stop = new AbortController()
process.once('message', () => stop.abort())

const revisions = new Map<number, number>()
let updates = 0
const begun = performance.now()
while (!stop.signal.aborted) {
  const id = 1 + Math.floor(Math.random() * Number(count))
  const revision = (revisions.get(id) ?? 0) + 1
  update.run({ id, ...(await storedLetter(id, letterText(id, revision), publicKey)) })
  revisions.set(id, revision)
  updates++
  const due = begun + (updates / Number(perSecond)) * 1000
  await sleep(Math.max(0, due - performance.now()))
}
database.close()
process.send?.({ updates, revisions: [...revisions] }, () => process.disconnect?.())
