/** Where inputs ended, as a table. */

import type { Tally } from './fuzz.ts'

export function histogram({ executions, framed, onNoble, ends }: Tally): string {
  const rows = [...ends].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const widest = Math.max(0, ...rows.map(([end]) => end.length))
  const percent = (n: number) => `${((100 * n) / Math.max(1, executions)).toFixed(2)} %`
  return [
    ...rows.map(([end, n]) => `${end.padEnd(widest)}  ${String(n).padStart(9)}  ${percent(n).padStart(8)}`),
    `past the framing: ${framed} of ${executions} (${percent(framed)}); on both backends: ${onNoble}`,
  ].join('\n')
}
