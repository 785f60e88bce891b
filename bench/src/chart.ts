/** A bar chart as SVG: one group of bars for each operation, a logarithmic scale, the values written at the bars. */

export interface Bar {
  readonly name: string
  readonly value: number
  readonly text: string
  readonly kind: 'ours' | 'floor' | 'peer'
}

export interface Chart {
  readonly title: string
  /** What the scale measures and which way is good. */
  readonly axis: string
  readonly groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[]
  /** Small print below. */
  readonly footer: readonly string[]
}

const fill = { ours: '#2563eb', floor: '#94a3b8', peer: '#d97706' }
const size = { width: 1080, names: 430, values: 110, bar: 20, gap: 14, head: 76, line: 15 }

export function drawChart({ title, axis, groups, footer }: Chart): string {
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value))
  const low = 10 ** Math.floor(Math.log10(Math.min(...values)))
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values)))
  const room = size.width - size.names - size.values
  const x = (value: number) => size.names + (Math.log10(value / low) / Math.log10(high / low)) * room

  let y = size.head
  const drawn: string[] = []
  for (const { name, bars } of groups) {
    drawn.push(text(16, y + 14, name, 'font-weight="bold"'))
    y += size.bar + 4
    for (const bar of bars) {
      const width = Math.max(2, x(bar.value) - size.names)
      drawn.push(
        text(size.names - 8, y + 14, bar.name, 'text-anchor="end"'),
        `<rect x="${size.names}" y="${y + 2}" width="${width.toFixed(1)}" height="${size.bar - 5}" fill="${fill[bar.kind]}"/>`,
        text(size.names + width + 6, y + 14, bar.text),
      )
      y += size.bar
    }
    y += size.gap
  }

  const grid: string[] = []
  for (let mark = low; mark <= high; mark *= 10) {
    const at = x(mark).toFixed(1)
    grid.push(
      `<line x1="${at}" x2="${at}" y1="${size.head - 8}" y2="${y - size.gap}" stroke="#e2e8f0"/>`,
      text(
        Number(at),
        size.head - 12,
        mark.toLocaleString('en'),
        'text-anchor="middle" fill="#64748b" font-size="11"',
      ),
    )
  }
  const notes = footer.map((line, i) =>
    text(16, y + 12 + i * size.line, line, 'fill="#64748b" font-size="11"'),
  )
  const height = y + footer.length * size.line + 16
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${height}" viewBox="0 0 ${size.width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#0f172a">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(16, 24, title, 'font-size="16" font-weight="bold"'),
    text(16, 42, axis, 'fill="#64748b" font-size="11"'),
    ...grid,
    ...drawn,
    ...notes,
    '</svg>',
    '',
  ].join('\n')
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${escaped}</text>`
}
