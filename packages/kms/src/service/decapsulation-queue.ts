/**
 * Runs the decapsulations that one turn of the event loop asked for together, which costs a quarter less than
 * one turn each; at most `maxPerTurn` of them, so that a large batch does not hold up everybody else. The
 * encapsulations of a rewrap, which cost as much, wait here too.
 */

const maxPerTurn = 32

export class DecapsulationQueue {
  readonly #waiting: (() => void)[] = []
  #isScheduled = false

  /** @param open Does its work synchronously, before it first waits. */
  run<T>(open: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push(() => {
        open().then(resolve, reject)
      })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      for (const start of this.#waiting.splice(0, maxPerTurn)) start()
      if (this.#waiting.length > 0) this.#schedule()
    })
  }
}
