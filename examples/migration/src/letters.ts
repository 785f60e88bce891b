/** The application's table, and what it holds: letters about patients, each with the number of its revision. */

import { createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import Database from 'better-sqlite3'

import { asJavaColumns, asJwe } from './old-application.ts'
import type { StoredLetter } from './old-application.ts'

export const table = 'letters'
export const column = 'body'

/** Even letters are JWE, odd ones lie in several columns. */
export const storedLetter = async (id: number, text: string, publicKey: KeyObject): Promise<StoredLetter> =>
  id % 2 === 0 ? await asJwe(text, publicKey) : asJavaColumns(text, publicKey)

/** What a letter says: a few lines, some 250 bytes. */
export function letterText(id: number, revision: number): string {
  const lines = [
    `Letter ${id}, revision ${revision}.`,
    `Dear colleague, thank you for referring patient ${(id * 7919) % 100_000}.`,
    'The findings of the examination are unremarkable; please continue the present medication',
    'and arrange a follow-up in six months. Kind regards, Dr. A. Example.',
  ]
  return lines.join('\n')
}

/** The revision a letter says it has; `undefined` when it is not the letter with this id. */
export function revisionOf(id: number, text: string): number | undefined {
  const revision = Number(/^Letter \d+, revision (\d+)\./.exec(text)?.[1])
  return text === letterText(id, revision) ? revision : undefined
}

/** Makes the table with `count` letters of revision 0. */
export async function createLetters(path: string, count: number, publicKeyPem: string): Promise<void> {
  const publicKey = createPublicKey(publicKeyPem)
  const database = new Database(path)
  try {
    database.pragma('journal_mode = WAL')
    database.exec(
      `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, body TEXT NOT NULL, wrapped_key TEXT, iv TEXT)`,
    )
    const insert = database.prepare(`INSERT INTO ${table} VALUES (@id, @body, @wrapped_key, @iv)`)
    const some = 500
    for (let first = 1; first <= count; first += some) {
      const ids = Array.from({ length: Math.min(some, count - first + 1) }, (_, i) => first + i)
      const rows = await Promise.all(
        ids.map(async (id) => ({ id, ...(await storedLetter(id, letterText(id, 0), publicKey)) })),
      )
      database.transaction(() => rows.forEach((row) => insert.run(row)))()
    }
  } finally {
    database.close()
  }
}

/** Bytes that letters occupy in the columns of their layouts. */
export function storedBytes(path: string): number {
  return withDatabase(path, (database) => {
    const sizes = `SELECT sum(length(body) + ifnull(length(wrapped_key), 0) + ifnull(length(iv), 0)) FROM ${table}`
    return Number(database.prepare(sizes).pluck().get())
  })
}

/** Letters that are records of longhold by now: the text form of the magic and version. */
export function migratedLetters(path: string): number {
  return withDatabase(path, (database) =>
    Number(
      database.prepare(`SELECT count(*) FROM ${table} WHERE substr(body, 1, 5) = 'TEhSA'`).pluck().get(),
    ),
  )
}

function withDatabase<T>(path: string, read: (database: Database.Database) => T): T {
  const database = new Database(path, { readonly: true })
  try {
    return read(database)
  } finally {
    database.close()
  }
}
