/**
 * Calls whoever has waited too long. All wait equally long, so that whoever began first is over first, and one timer does
 * for all: with thousands of waits a second, one for each would cost as much as a decapsulation in ten.
 */

export class Deadlines {
  readonly #ms: number
  /** In the order in which they began, and when each is over. */
  readonly #waiting = new Map<() => void, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number) {
    this.#ms = ms
  }

  /**
   * @param onOver Called once, unless `end` was.
   * @returns What ends the wait.
   */
  begin(onOver: () => void): () => void {
    // A function of its own: whoever waits twice is two.
    const call = (): void => onOver()
    this.#waiting.set(call, performance.now() + this.#ms)
    if (this.#timer === undefined) this.#set(this.#ms)
    else if (this.#waiting.size === 1) this.#timer.ref()
    return () => {
      this.#waiting.delete(call)
      // It stays for the next one, and holds up nobody.
      if (this.#waiting.size === 0) this.#timer?.unref()
    }
  }

  #set(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#look(), ms)
  }

  #look(): void {
    this.#timer = undefined
    const now = performance.now()
    for (const [call, at] of this.#waiting) {
      if (at > now) {
        this.#set(at - now)
        return
      }
      this.#waiting.delete(call)
      call()
    }
  }
}
