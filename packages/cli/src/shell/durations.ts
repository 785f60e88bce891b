/** Spans of time as people write them. */

import { usage } from './errors.ts'

const seconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `90d`, `12h`, `30m`, `45s`: whole seconds. */
export function toSeconds(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})([smhd])$/u.exec(text) ?? []
  const value = Number(digits) * (seconds[unit] ?? Number.NaN)
  if (Number.isSafeInteger(value)) return value
  throw usage(`not a span of time: ${text}`, { hint: 'say, 90d, 12h, 30m or 45s' })
}

/** In the largest unit that says it exactly. */
export function spanText(span: number): string {
  for (const unit of ['d', 'h', 'm']) {
    const size = seconds[unit] ?? 1
    if (span >= size && span % size === 0) return `${span / size}${unit}`
  }
  return `${span}s`
}
