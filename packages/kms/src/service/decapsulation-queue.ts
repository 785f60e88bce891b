/**
 * Runs decapsulations in slices of one turn of the event loop: together they cost a quarter less than one turn each,
 * and other work comes between the slices. Callers take turns within a slice, one decapsulation each, so that a single
 * unwrap does not wait behind the thousands that somebody else asked for. The encapsulations of a rewrap, which cost
 * as much, wait here too.
 */

const maxPerTurn = 32

/** Where one caller's work waits. */
export interface DecapsulationQueue {
  /** @param open Does its work synchronously, before it first waits. */
  run<T>(open: () => Promise<T>): Promise<T>
}

export class DecapsulationQueues {
  /** Callers with work that waits, the one whose turn is next first. */
  readonly #lines = new Map<string, Line>()
  #isScheduled = false

  /** @param caller Whoever asks; those of one name wait in one line. */
  of(caller: string): DecapsulationQueue {
    return {
      run: <T>(open: () => Promise<T>) =>
        new Promise<T>((resolve, reject) => {
          this.#add(caller, () => {
            open().then(resolve, reject)
          })
        }),
    }
  }

  #add(caller: string, start: () => void): void {
    const line = this.#lines.get(caller)
    if (line === undefined) this.#lines.set(caller, { waiting: [start], next: 0 })
    else line.waiting.push(start)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      for (let count = 0; count < maxPerTurn && this.#lines.size > 0; count++) this.#startNext()
      if (this.#lines.size > 0) this.#schedule()
    })
  }

  #startNext(): void {
    const [first] = this.#lines
    if (first === undefined) return
    const [caller, line] = first
    const start = line.waiting[line.next]
    line.next += 1
    this.#lines.delete(caller)
    if (line.next < line.waiting.length) this.#lines.set(caller, line)
    start?.()
  }
}

/** An index instead of `shift`, which would move a thousand entries for each one taken. */
interface Line {
  readonly waiting: (() => void)[]
  next: number
}
