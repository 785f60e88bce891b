/** Progress of what is counted in bytes. */

import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { Pace } from './reencrypt-progress.ts'

const mebibyte = 1024 * 1024

/** Nothing is said of less: it is done before a line could be read. */
const minBytes = 64 * mebibyte

export class ByteProgress implements Disposable {
  readonly #progress: Progress
  readonly #what: string
  readonly #pace: Pace
  readonly #total: number | undefined
  #done = 0

  /** @param total Undefined for a stream, whose length nobody knows. */
  constructor(terminal: Terminal, what: string, total: number | undefined) {
    this.#progress = new Progress(terminal)
    this.#what = what
    this.#total = total
    this.#pace = new Pace({
      unit: 'MiB',
      total: total === undefined ? undefined : Math.ceil(total / mebibyte),
    })
  }

  add(bytes: number): void {
    this.#done += bytes
    if ((this.#total ?? this.#done) < minBytes) return
    this.#progress.update(this.#pace.line(this.#what, Math.floor(this.#done / mebibyte)))
  }

  [Symbol.dispose](): void {
    this.#progress.done()
  }
}
