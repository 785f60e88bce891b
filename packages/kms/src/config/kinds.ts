/** What a setting may be, and how it is read from text. */

import { resolve } from 'node:path'

/** A value, or what is wrong with the text. */
export type Read<T> = { readonly value: T } | { readonly problem: string }

export interface Kind<T> {
  /** What is said for the value, as in `--listen <host:port>`; empty for a switch. */
  readonly valueName: string
  /** All there are, where they are few. */
  readonly choices?: readonly string[]
  /** @param base Where relative paths begin. */
  read(text: string, base: string): Read<T>
}

export interface Address {
  readonly host: string
  readonly port: number
}

export const path: Kind<string> = {
  valueName: 'file',
  read: (given, base) => (given === '' ? { problem: 'is empty' } : { value: resolve(base, given) }),
}

export const directory: Kind<string> = { ...path, valueName: 'directory' }

export const pathOrNone: Kind<string> = {
  valueName: 'path',
  read: (given, base) => (given === 'none' ? { value: given } : path.read(given, base)),
}

export const text: Kind<string> = {
  valueName: 'text',
  read: (given) => (given === '' ? { problem: 'is empty' } : { value: given }),
}

export const onOff: Kind<boolean> = {
  valueName: '',
  read: (given) =>
    given === 'true' || given === 'false'
      ? { value: given === 'true' }
      : { problem: `is true or false, not ${shown(given)}` },
}

export const address: Kind<Address> = {
  valueName: 'host:port',
  read(given) {
    const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/u.exec(given) ?? []
    const host = bracketed ?? plain
    const port = Number(digits)
    return host === undefined || port > 65_535
      ? { problem: `is HOST:PORT, as in 127.0.0.1:8420 or [::1]:8420, not ${shown(given)}` }
      : { value: Object.freeze({ host, port }) }
  },
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** In milliseconds; written with its unit. */
export function duration(leastMs: number, mostMs: number): Kind<number> {
  return {
    // Of days: nobody waits for it.
    valueName: mostMs > unitMs.d ? 'span' : 'time',
    read(given) {
      const [, digits = '', unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/u.exec(given) ?? []
      // Only these match above.
      const ms = Number(digits) * unitMs[unit as keyof typeof unitMs]
      return digits === '' || ms < leastMs || ms > mostMs
        ? { problem: `is a time from ${timeText(leastMs)} to ${timeText(mostMs)}, not ${shown(given)}` }
        : { value: ms }
    },
  }
}

export function count(least: number, most: number): Kind<number> {
  return {
    valueName: 'number',
    read: (given) =>
      /^\d{1,9}$/u.test(given) && Number(given) >= least && Number(given) <= most
        ? { value: Number(given) }
        : { problem: `is a number from ${least} to ${most}, not ${shown(given)}` },
  }
}

export function oneOf<const T extends string>(...choices: readonly T[]): Kind<T> {
  return {
    valueName: 'word',
    choices,
    read(given) {
      const value = choices.find((one) => one === given)
      return value === undefined
        ? { problem: `is one of ${choices.join(', ')}, not ${shown(given)}` }
        : { value }
    },
  }
}

function timeText(ms: number): string {
  for (const unit of ['d', 'h', 'm'] as const) {
    if (ms % unitMs[unit] === 0 && ms > 0) return `${ms / unitMs[unit]}${unit}`
  }
  return ms % unitMs.s === 0 ? `${ms / unitMs.s}s` : `${ms}ms`
}

/** A secret may stand where it does not belong: never more than its beginning is repeated. */
function shown(given: string): string {
  return JSON.stringify(given.length > 24 ? `${given.slice(0, 12)}…` : given)
}
