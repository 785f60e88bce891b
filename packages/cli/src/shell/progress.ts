/** One line that tells how far a long command is: rewritten on a terminal, once a minute elsewhere. */

import type { Terminal } from './terminal.ts'
import { printable } from './text.ts'

const terminalIntervalMs = 100
const logIntervalMs = 60_000

export class Progress {
  readonly #terminal: Terminal
  #lastMs: number
  #onScreen = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    // On a terminal the first line comes at once; a log hears nothing of a command that ends within a minute.
    this.#lastMs = terminal.io.stderr.isTTY === true ? -Infinity : performance.now()
  }

  /** Call it as often as there is news: it decides when to print. */
  update(line: string): void {
    if (this.#terminal.json) return
    const { stderr } = this.#terminal.io
    const nowMs = performance.now()
    if (nowMs - this.#lastMs < (stderr.isTTY === true ? terminalIntervalMs : logIntervalMs)) return
    this.#lastMs = nowMs
    if (stderr.isTTY === true) {
      stderr.write(`\r\u001b[2K${printable(line).slice(0, (stderr.columns ?? 80) - 1)}`)
      this.#onScreen = true
    } else {
      this.#terminal.note(line)
    }
  }

  /** Takes the line off the screen, so that what follows starts clean. */
  done(): void {
    if (this.#onScreen) this.#terminal.io.stderr.write('\r\u001b[2K')
    this.#onScreen = false
  }
}
