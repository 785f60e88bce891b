/** What the doctor says. */

export const checks = [
  'files',
  'memory',
  'core dumps',
  'inspector',
  'tls',
  'slots',
  'backups',
  'anchor',
  'checkpoints',
  'clock',
  'disk',
] as const
/** What was looked at. */
export type Check = (typeof checks)[number]

/** One thing that is well, or is not. */
export interface Finding {
  readonly check: Check
  /** `unknown`: this machine cannot say. */
  readonly level: 'ok' | 'unknown' | 'warning' | 'error'
  readonly message: string
  /** What to do; always there for a warning or an error. */
  readonly next?: string
}

export const ok = (check: Check, message: string): Finding => ({ check, level: 'ok', message })
export const unknown = (check: Check, message: string): Finding => ({ check, level: 'unknown', message })
export const warning = (check: Check, message: string, next: string): Finding => ({
  check,
  level: 'warning',
  message,
  next,
})
export const failure = (check: Check, message: string, next: string): Finding => ({
  check,
  level: 'error',
  message,
  next,
})
