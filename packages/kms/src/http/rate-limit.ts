/**
 * How often one principal may ask: a bucket of so many requests that fills again steadily. In memory, for a bounded
 * number of principals: one that is forgotten had its bucket full, or is the one that asked least recently.
 */

import { RateLimited } from '../service/rate-limited.ts'

export interface RateLimitOptions {
  /** Steadily. Default 5,000: what one process can answer. */
  readonly requestsPerSecond?: number | undefined
  /** At once. Default twice as many. */
  readonly burst?: number | undefined
  readonly maxPrincipals?: number
  readonly now?: () => number
}

interface Bucket {
  left: number
  at: number
}

export class RateLimit {
  readonly #perMs: number
  readonly #burst: number
  readonly #maxPrincipals: number
  readonly #now: () => number
  /** Least recently used first. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: RateLimitOptions = {}) {
    const { requestsPerSecond = 5000, maxPrincipals = 10_000, now = () => performance.now() } = options
    this.#perMs = requestsPerSecond / 1000
    this.#burst = options.burst ?? 2 * requestsPerSecond
    this.#maxPrincipals = maxPrincipals
    this.#now = now
  }

  /** @throws RateLimited when the bucket of `principal` is empty. */
  take(principal: string): void {
    const at = this.#now()
    const bucket = this.#buckets.get(principal) ?? { left: this.#burst, at }
    bucket.left = Math.min(this.#burst, bucket.left + (at - bucket.at) * this.#perMs)
    bucket.at = at
    this.#buckets.delete(principal)
    this.#buckets.set(principal, bucket)
    if (this.#buckets.size > this.#maxPrincipals) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    if (bucket.left < 1) {
      throw new RateLimited(
        'this token, or its principal, asks more often than it may',
        (1 - bucket.left) / this.#perMs,
      )
    }
    bucket.left -= 1
  }

  get size(): number {
    return this.#buckets.size
  }
}
