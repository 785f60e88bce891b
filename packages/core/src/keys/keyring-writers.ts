/** The writers of a keyring, one for each name and key context in use: at most so many, and all closed together. */

import type { KeyringParts } from './keyring-parts.ts'
import { Writer } from './keyring-writer.ts'
import { ownerText } from './wrapped-key-store.ts'
import type { DataKeyOwner, DataKeyPortion } from './wrapped-key-store.ts'

/** Given back in one step: enough that it takes no time, and within what a database takes for one statement. */
const portionsPerStep = 1000

export class Writers {
  readonly #parts: KeyringParts
  /** The least recently used first. */
  readonly #writers = new Map<string, Writer>()

  constructor(parts: KeyringParts) {
    this.#parts = parts
  }

  /** The same one for all who ask for that owner. */
  of(owner: DataKeyOwner, text: string = ownerText(owner)): Writer {
    const writer = this.#writers.get(text) ?? new Writer(owner, this.#parts)
    this.#writers.delete(text)
    this.#writers.set(text, writer)
    if (this.#writers.size > this.#parts.cache.maxKeys) this.#evict()
    return writer
  }

  /**
   * No more records under a data key that is being moved or destroyed, whoever was about to take it up.
   *
   * @param keyId In hexadecimal.
   * @returns To be called once the store has done it.
   */
  leave(keyId: string): () => void {
    const { left } = this.#parts
    left.add(keyId)
    for (const writer of this.#writers.values()) writer.leave(keyId)
    return () => {
      // Whoever begins now hears of it from the store; whoever began before must not take it up.
      const busy = [...this.#writers.values()].filter((writer) => writer.isBusy)
      if (busy.length === 0) left.delete(keyId)
      else void Promise.all(busy.map((writer) => writer.idle())).then(() => left.delete(keyId))
    }
  }

  /** Gives back what is reserved and not used, and forgets all of them. What is not given back only makes counts too high. */
  async close(): Promise<void> {
    const closing = [...this.#writers.values()].map((writer) => writer.close())
    this.#writers.clear()
    const portions = (await Promise.all(closing)).filter((portion) => portion !== undefined)
    for (let at = 0; at < portions.length; at += portionsPerStep)
      await this.#release(portions.slice(at, at + portionsPerStep))
  }

  /** Forgets all of them at once. */
  clear(): void {
    this.#writers.clear()
  }

  /** The least recently used that nobody waits for. Its name gets it, or another one, back when it is asked for. */
  #evict(): void {
    for (const [text, writer] of this.#writers) {
      if (writer.isBusy) continue
      this.#writers.delete(text)
      void writer.close().then((portion) => portion && this.#release([portion]))
      return
    }
  }

  async #release(portions: readonly DataKeyPortion[]): Promise<void> {
    await this.#parts.store.release(portions).catch(() => undefined)
  }
}
