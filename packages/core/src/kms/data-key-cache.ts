/** Data keys that a service unwrapped, kept for a stated time: for so long a revocation has no effect here. */

import { concat, toBase64url } from '../bytes.ts'
import { canonicalContext } from '../format/context.ts'
import { encodeStanza } from '../format/header.ts'
import type { Stanza } from '../format/header.ts'
import type { Bound } from '../keys/recipient.ts'
import { backend } from '../primitives/backend.ts'
import { Secret } from '../secret.ts'

interface Entry {
  readonly dataKey: Secret
  readonly expiresAtMs: number
}

export class DataKeyCache {
  readonly #lifeMs: number
  readonly #maxEntries: number
  /** Oldest first: entries expire in the order in which they came. */
  readonly #entries = new Map<string, Entry>()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(lifeMs: number, maxEntries: number) {
    this.#lifeMs = lifeMs
    this.#maxEntries = maxEntries
  }

  /** A copy, which the caller wipes. */
  get(name: string): Secret | undefined {
    this.#expire()
    return this.#entries.get(name)?.dataKey.use((bytes) => Secret.copyOf(bytes))
  }

  /** @param dataKey Copied. */
  put(name: string, dataKey: Secret): void {
    this.#drop(name)
    const kept = dataKey.use((bytes) => Secret.copyOf(bytes))
    this.#entries.set(name, { dataKey: kept, expiresAtMs: Date.now() + this.#lifeMs })
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#maxEntries && oldest !== undefined) this.#drop(oldest)
    this.#schedule()
  }

  clear(): void {
    for (const name of this.#entries.keys()) this.#drop(name)
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #expire(): void {
    const now = Date.now()
    for (const [name, { expiresAtMs }] of this.#entries) {
      // A clock that was put back must not lengthen a life.
      if (expiresAtMs > now && expiresAtMs <= now + this.#lifeMs) break
      this.#drop(name)
    }
  }

  /** Nothing stays in memory for want of somebody who asks. */
  #schedule(): void {
    if (this.#timer !== undefined || this.#entries.size === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#expire()
      this.#schedule()
    }, this.#lifeMs)
    // Where there are processes, it keeps none from ending.
    const timer: { unref?(): void } | number = this.#timer
    if (typeof timer === 'object') timer.unref?.()
  }

  #drop(name: string): void {
    this.#entries.get(name)?.dataKey.wipe()
    this.#entries.delete(name)
  }
}

/** Everything that an unwrap depends on: under another key id or context the answer is another one. */
export function unwrapName(stanza: Stanza, { keyId, keyContext }: Bound): string {
  const encoded = encodeStanza(stanza)
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, encoded.length)
  return toBase64url(backend().sha256(concat(length, encoded, keyId, canonicalContext(keyContext))))
}
