/**
 * Loaded before a program (`node --import`), into each of its threads: counts the statements that the database drivers
 * run, and ends the process by SIGKILL before or after one of them. Nothing of it is in the service.
 *
 * SQLite: counted by the driver's own hook, `verbose`, which it calls before a statement runs, those of transactions
 * among them. PostgreSQL: counted where the driver hands a statement to its connection.
 */

import { createRequire, registerHooks } from 'node:module'
import { getEnvironmentData, setEnvironmentData, isMainThread } from 'node:worker_threads'

import type Sqlite from 'better-sqlite3'
import { Client } from 'pg'

/** `sent`: PostgreSQL has it, and nobody has its answer. */
export type Moment = 'before' | 'sent' | 'after'

const name = 'longhold.crash'
const [isArmed, counted, killedAt] = [0, 1, 2]
/** Which statement, 0: none; and the moment. */
const [number = '0', moment = ''] = (process.env['CRASH_AT'] ?? '').split(' ')

/** One for all threads of the process. */
const shared = sharedCounters()

function sharedCounters(): Int32Array {
  if (isMainThread) setEnvironmentData(name, new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT))
  // Set above, in the thread that started this one or in this one.
  return new Int32Array(getEnvironmentData(name) as SharedArrayBuffer)
}

/** From here on statements count. */
export function arm(): void {
  Atomics.store(shared, isArmed, 1)
}

/** @returns How many there were. */
export function disarm(): number {
  Atomics.store(shared, isArmed, 0)
  return Atomics.load(shared, counted)
}

function before(): number {
  if (Atomics.load(shared, isArmed) === 0) return 0
  const statement = Atomics.add(shared, counted, 1) + 1
  dieAt(statement, 'before')
  return statement
}

function dieAt(statement: number, when: Moment): void {
  if (String(statement) !== number || moment !== when) return
  Atomics.store(shared, killedAt, statement)
  process.kill(process.pid, 'SIGKILL')
  // The signal ends the process while this waits, in whichever thread.
  Atomics.wait(shared, killedAt, statement)
}

const require = createRequire(import.meta.url)
const Database = require('better-sqlite3') as typeof Sqlite
let running = 0

class CountedDatabase extends Database {
  constructor(path?: string, options: Sqlite.Options = {}) {
    super(path, { ...options, verbose: () => void (running = before()) })
  }

  override exec(source: string): this {
    const made = super.exec(source)
    dieAt(running, 'after')
    return made
  }
}

// Transactions and pragmas are statements of this kind too.
const probe = new Database(':memory:')
const statement = Object.getPrototypeOf(probe.prepare('select 1')) as Record<string, unknown>
probe.close()
for (const method of ['run', 'get', 'all']) {
  const run = statement[method] as (...values: unknown[]) => unknown
  statement[method] = function watched(this: unknown, ...values: unknown[]): unknown {
    const answer = run.apply(this, values)
    dieAt(running, 'after')
    return answer
  }
}

const replacement = 'longhold-crash:better-sqlite3'
Object.assign(globalThis, { [replacement]: CountedDatabase })
registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== 'better-sqlite3') return next(specifier, context)
    return { url: replacement, format: 'module', shortCircuit: true }
  },
  load(url, context, next) {
    if (url !== replacement) return next(url, context)
    return {
      format: 'module',
      source: `export default globalThis[${JSON.stringify(replacement)}]`,
      shortCircuit: true,
    }
  },
})

// One of several signatures: what is handed on is what came.
const { query } = Client.prototype as unknown as { query: (...values: unknown[]) => unknown }
Object.assign(Client.prototype, {
  query(this: unknown, ...values: unknown[]): unknown {
    const mine = before()
    const last = values.at(-1)
    if (typeof last === 'function') {
      values[values.length - 1] = (...answer: unknown[]): void => {
        dieAt(mine, 'after')
        Reflect.apply(last, undefined, answer)
      }
    }
    const answer = query.apply(this, values)
    setImmediate(() => dieAt(mine, 'sent'))
    return answer instanceof Promise ? answer.finally(() => dieAt(mine, 'after')) : answer
  },
})
