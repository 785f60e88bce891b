/**
 * How much memory the bodies of all requests under way may take together, and those of one principal: a limit for each
 * body alone would let a hundred of them take everything. Bytes count as they arrive, so that a length that is only
 * announced holds nothing, and until the answer is made.
 */

import { RateLimited } from '../service/rate-limited.ts'

const mebi = 1024 * 1024
/** Where there is no room, some is free again as soon as one answer is made. */
const retryMs = 1000

export interface BodyBudgetOptions {
  /** Default 64 MiB: four bodies of the largest kind. Parsed, one takes about four times its length. */
  readonly totalBytes?: number | undefined
  /** Default half of all: whoever sends most leaves room for the others. */
  readonly principalBytes?: number | undefined
}

/** What one body holds. */
export interface BodyShare {
  /** @throws RateLimited when there is no room for so many more. */
  take(bytes: number): void
  free(): void
}

export class BodyBudget {
  readonly #totalBytes: number
  readonly #principalBytes: number
  /** Only principals with bodies under way. */
  readonly #held = new Map<string, number>()
  #total = 0

  constructor({ totalBytes = 64 * mebi, principalBytes = totalBytes / 2 }: BodyBudgetOptions = {}) {
    this.#totalBytes = totalBytes
    this.#principalBytes = principalBytes
  }

  share(principal: string): BodyShare {
    let mine = 0
    return {
      take: (bytes) => {
        const held = this.#held.get(principal) ?? 0
        if (held + bytes > this.#principalBytes) {
          throw new RateLimited(
            'this token, or its principal, has too many large requests under way',
            retryMs,
          )
        }
        if (this.#total + bytes > this.#totalBytes) {
          throw new RateLimited('the service has too many large requests under way', retryMs)
        }
        mine += bytes
        this.#total += bytes
        this.#held.set(principal, held + bytes)
      },
      free: () => {
        const left = (this.#held.get(principal) ?? 0) - mine
        this.#total -= mine
        mine = 0
        if (left > 0) this.#held.set(principal, left)
        else this.#held.delete(principal)
      },
    }
  }

  /** Bytes held now. */
  get held(): number {
    return this.#total
  }
}
