/** A process that holds the lock of a table until it is killed. */

import { openSqliteTable } from '../../src/sources/sqlite-table.ts'

const [, , path = ''] = process.argv
openSqliteTable({
  path,
  shown: 't.db',
  table: 't',
  columns: { own: ['v'], read: [] },
  busyTimeoutMs: 0,
})
process.send?.('held')
process.on('message', () => {})
