/** How far a long command is: lines that are rewritten on a terminal, and the first of them once a minute elsewhere. */

import type { Terminal } from './terminal.ts'
import { printable } from './text.ts'

const terminalIntervalMs = 100
const logIntervalMs = 60_000

export class Progress {
  readonly #terminal: Terminal
  #lastMs: number
  /** Lines on the screen. */
  #shown = 0

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    // On a terminal the first line comes at once; a log hears nothing of a command that ends within a minute.
    this.#lastMs = terminal.io.stderr.isTTY === true ? -Infinity : performance.now()
  }

  /**
   * Call it as often as there is news: it decides when to print.
   *
   * @param lines What a terminal shows below the first one.
   */
  update(line: string, lines: readonly string[] = []): void {
    if (this.#terminal.json) return
    const { stderr } = this.#terminal.io
    const nowMs = performance.now()
    if (nowMs - this.#lastMs < (stderr.isTTY === true ? terminalIntervalMs : logIntervalMs)) return
    this.#lastMs = nowMs
    if (stderr.isTTY === true) {
      // Where there is little room, one line is better than a screen that scrolls.
      const all = (stderr.rows ?? 24) > lines.length + 2 ? [line, ...lines] : [line]
      const width = (stderr.columns ?? 80) - 1
      stderr.write(this.#clear() + all.map((one) => printable(one).slice(0, width)).join('\n'))
      this.#shown = all.length
    } else {
      this.#terminal.note(line)
    }
  }

  /** Takes the lines off the screen, so that what follows starts clean. */
  done(): void {
    if (this.#shown > 0) this.#terminal.io.stderr.write(this.#clear())
    this.#shown = 0
  }

  /** To the first of the lines that are there, and them away. */
  #clear(): string {
    return this.#shown > 1 ? `\u001b[${this.#shown - 1}A\r\u001b[J` : '\r\u001b[2K'
  }
}
