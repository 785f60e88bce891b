/** The log of the process: lines of JSON on stderr, of fields that are named here and no others. */

import { pino } from 'pino'

import type { Log, LogEntry } from '../http/env.ts'

/** Characters of log that wait for a reader; later lines are lost. */
const maxLogBacklog = 4 * 1024 * 1024
/** Lines are written together, so many bytes at once, and the rest so soon: a write for each takes longer than the line. */
const minWriteBytes = 12 * 1024
const flushEveryMs = 100
/** A tenth of a second apart. */
const maxLastRetries = 10
const maxFlushMs = 2000

/** By name: whatever else an object may carry never gets into a line. */
const fields = [
  'requestId',
  'method',
  'route',
  'status',
  'durationMs',
  'principal',
  'code',
  'where',
  'url',
] as const satisfies readonly (keyof LogEntry)[]

const ranks = { info: 1, error: 2, silent: 3 } as const

export interface Logger {
  readonly log: Log
  /** Writes what waits, for two seconds at most. */
  close(): Promise<void>
}

export function openLogger(level: 'info' | 'error' | 'silent', fd: number = process.stderr.fd): Logger {
  let retries = Number.POSITIVE_INFINITY
  // Opened by Node, stderr does not block: where nobody reads it, the log is given up in the end, not the service.
  const destination = pino.destination({
    dest: fd,
    sync: false,
    minLength: minWriteBytes,
    periodicFlush: flushEveryMs,
    maxLength: maxLogBacklog,
    retryEAGAIN: () => retries-- > 0,
  })
  // A log that cannot be written ends nothing: what must be on record is in the audit log.
  destination.on('error', () => undefined)
  const least = ranks[level]
  return {
    log(entry) {
      if (ranks[entry.level] < least) return
      const time = new Date().toISOString()
      const line = { level: entry.level, time, ...logLine(entry), msg: entry.message }
      destination.write(`${JSON.stringify(line)}\n`)
    },
    async close() {
      retries = maxLastRetries
      await new Promise<void>((resolve) => {
        // Then thrown away: at the end of a process pino would try for ever to write it.
        const patience = setTimeout(() => destination.destroy(), maxFlushMs)
        destination.once('close', () => {
          clearTimeout(patience)
          resolve()
        })
        destination.end()
      })
    },
  }
}

/** The fields of an entry that may be written down. Never throws. */
export function logLine(entry: LogEntry): Record<string, string | number> {
  const line: Record<string, string | number> = {}
  for (const field of fields) {
    const value = entry[field]
    if (typeof value === 'string' || typeof value === 'number') line[field] = value
  }
  return line
}
