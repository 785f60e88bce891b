/** Rows of tables that a test knows nothing of. */

import { columnFact, tables } from '../../src/service/rows.ts'
import type { TableName } from '../../src/service/rows.ts'

/** A row of any table, made of what its columns are: row `name`, with content `content`. */
export function sampleRow(table: TableName, name: number, content: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(tables[table].columns).map(([column, fact], index) => {
      const { kind } = columnFact(fact)
      const isKey = (tables[table].key as readonly string[]).includes(column)
      const seed = index + 20 * (isKey ? name : content)
      if (kind === 'text') return [column, `text ${seed} ä`]
      if (kind === 'boolean') return [column, seed % 40 < 20]
      if (kind === 'bytes') return [column, new Uint8Array(20).fill(isKey ? seed : seed + name)]
      if (kind === 'json') return [column, content % 2 === 0 ? [] : [`one ${seed}`, 'two']]
      return [column, 2 ** 45 + seed + (isKey ? 0 : name)]
    }),
  )
}
