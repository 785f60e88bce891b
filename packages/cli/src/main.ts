#!/usr/bin/env node
/** The process: its streams, its environment and its signals become an `Io`; everything else is `run`. */

import { openSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'

import { reportCrash, run } from './run.ts'
import { exit } from './shell/errors.ts'

const interrupted = new AbortController()

// The first signal asks the command to stop at its next safe point (exit 4). The second one finds no
// listener, so the system ends the process at once, as every shell expects (128 + the signal's number).
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.abort())
}

const argv = process.argv.slice(2)
const io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: Object.freeze({ ...process.env }),
  cwd: process.cwd(),
  signal: interrupted.signal,
  openTty,
}

// Exit code 1, which Node would give, says that data was refused.
process.on('uncaughtException', (error) => {
  reportCrash(argv, io, error)
  process.exit(exit.internal)
})

process.exitCode = await run(argv, io)

/** Where passphrases are typed, also while standard input is a pipe. */
function openTty() {
  let fd: number
  try {
    fd = openSync('/dev/tty', 'r+')
  } catch {
    return undefined // no terminal, as under cron
  }
  const input = new ReadStream(fd)
  return { input, write: (text: string) => void writeSync(fd, text), close: () => void input.destroy() }
}
