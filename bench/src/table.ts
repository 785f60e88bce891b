/** Lines and tables for the terminal: the first column to the left, the others to the right. */

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  for (const row of [head, ...rows]) {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0
      return column === 0 ? cell.padEnd(width) : cell.padStart(width)
    })
    print(`  ${cells.join('   ').trimEnd()}`)
  }
}

/** Microseconds as people read them: three digits, and thousands apart. */
export function formatMicroseconds(value: number): string {
  if (value >= 10_000) return Math.round(value).toLocaleString('en')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

export function formatRatio(value: number): string {
  return `${value >= 10 ? value.toFixed(1) : value.toFixed(2)}×`
}

export function formatPerSecond(microseconds: number): string {
  const perSecond = 1_000_000 / microseconds
  return perSecond >= 10_000 ? `${(perSecond / 1000).toFixed(1)} k` : perSecond.toFixed(0)
}

/** Of 1000 bytes, as bundle sizes are given everywhere. */
export function formatKilobytes(bytes: number | undefined): string {
  return bytes === undefined ? '' : (bytes / 1000).toFixed(1)
}
