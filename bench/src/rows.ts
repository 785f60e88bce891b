/** Tables of numbers: what each column is, and how it is written. */

/** A column: the name of its numbers in a row, what stands above them, and how many digits after the point. */
export interface NumberColumn {
  readonly key: string
  readonly title: string
  readonly digits: number
}

export interface NumberRow {
  readonly name: string
  readonly [key: string]: number | string | undefined
}

export interface Rows {
  readonly columns: readonly NumberColumn[]
  readonly rows: readonly NumberRow[]
}

/** Numbers as they are read; nothing where there is none. */
export function cellsOf(columns: readonly NumberColumn[], rows: readonly NumberRow[]): string[][] {
  return rows.map((row) => [
    row.name,
    ...columns.map(({ key, digits }) => {
      const value = row[key]
      if (typeof value !== 'number') return value ?? ''
      const rounded = { minimumFractionDigits: digits, maximumFractionDigits: digits }
      return value.toLocaleString('en', rounded)
    }),
  ])
}
