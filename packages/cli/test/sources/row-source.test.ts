import { writeFileSync } from 'node:fs'

import Database from 'better-sqlite3'
import { describe } from 'vitest'

import { csv } from '../../src/sources/csv.ts'
import { ndjson } from '../../src/sources/ndjson.ts'
import { openSqliteTable, readSqliteTable } from '../../src/sources/sqlite-table.ts'
import { openTextFile, readTextFile } from '../../src/sources/text-file.ts'
import { rowSourceContract } from '../contracts/row-source.ts'
import type { Directory } from '../support/migration.ts'

const columns = { own: ['v'], read: [] }

describe.each([
  ['with rowid', 'id INTEGER PRIMARY KEY, v TEXT', ''],
  ['without rowid', 'id INTEGER PRIMARY KEY, v TEXT', 'WITHOUT ROWID'],
])('a table of SQLite %s', (_, definition, suffix) => {
  const options = (directory: Directory) => {
    return { path: directory.file('t.db'), shown: 't.db', table: 't', columns, busyTimeoutMs: 0 }
  }
  rowSourceContract({
    fill(directory, values) {
      const database = new Database(directory.file('t.db'))
      database.exec(`CREATE TABLE t (${definition}) ${suffix}`)
      const insert = database.prepare('INSERT INTO t VALUES (?, ?)')
      values.forEach((value, index) => insert.run(index + 1, value))
      database.close()
    },
    open: (directory) => openSqliteTable(options(directory)),
    read: (directory) => readSqliteTable(options(directory)),
  })
})

describe('a file of NDJSON', () => {
  const options = (directory: Directory) => {
    return { path: directory.file('rows.ndjson'), shown: 'rows.ndjson', layout: ndjson('id'), columns }
  }
  rowSourceContract({
    fill(directory, values) {
      const lines = values.map((v, index) => JSON.stringify({ id: index + 1, v }))
      writeFileSync(directory.file('rows.ndjson'), lines.join('\n'))
    },
    open: (directory) => openTextFile(options(directory)),
    read: (directory) => readTextFile(options(directory), 'newest'),
  })
})

describe('a file of CSV', () => {
  const options = (directory: Directory) => {
    const layout = csv({ idColumn: 'id', delimiter: ',' })
    return { path: directory.file('rows.csv'), shown: 'rows.csv', layout, columns }
  }
  rowSourceContract({
    fill(directory, values) {
      // What is nothing stands there without quotes, and what is empty in them.
      const lines = values.map((v, index) => (v === null ? `${index + 1},` : `${index + 1},"${v}"`))
      writeFileSync(directory.file('rows.csv'), ['id,v', ...lines].join('\r\n'))
    },
    open: (directory) => openTextFile(options(directory)),
    read: (directory) => readTextFile(options(directory), 'newest'),
  })
})
