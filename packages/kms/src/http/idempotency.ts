/**
 * `Idempotency-Key`: whoever sends a change again, because no answer came, gets the answer of the first time and no
 * second change. A key is one principal's, on one route, for an hour. With another request under it: 422; while the
 * first one is under way: 409; and where the answer held a secret, which is not kept: 409 `already_done`.
 *
 * Nothing that an answer was promised for is forgotten to make room: where there is none, new keys are refused.
 */

import { createHmac, randomBytes } from 'node:crypto'

import { ServiceError } from '../service/errors.ts'
import { framed } from '../service/framing.ts'
import { RateLimited } from '../service/rate-limited.ts'

const maxAnswerBytes = 64 * 1024

export interface IdempotencyOptions {
  readonly lifeMs?: number
  readonly maxKeys?: number
  readonly maxKeysOfOne?: number
  /** Of all kept answers; older ones are `already_done` beyond it. */
  readonly maxBytes?: number
  readonly now?: () => number
}

/** One use of a key. */
interface Use {
  readonly owner: string
  /** MAC of the request. */
  readonly request: string
  readonly expiresAt: number
  isUnderWay: boolean
  /** Undefined: it is not kept. */
  answer: KeptAnswer | undefined
}

/** What the first one was answered. */
export interface KeptAnswer {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
}

export class Idempotency {
  readonly #limits: Required<IdempotencyOptions>
  /** Oldest first. */
  readonly #uses = new Map<string, Use>()
  readonly #counts = new Map<string, number>()
  /** A body can hold a passphrase: what is kept of it must not be a way to try guesses. */
  readonly #macKey = randomBytes(32)
  #bytes = 0

  constructor(options: IdempotencyOptions = {}) {
    this.#limits = {
      lifeMs: 60 * 60 * 1000,
      maxKeys: 50_000,
      maxKeysOfOne: 10_000,
      maxBytes: 16 * 1024 * 1024,
      now: () => performance.now(),
      ...options,
    }
  }

  /**
   * Claims a key for a request that is now carried out, or gives the answer it had.
   *
   * @throws ServiceError `idempotency_key_reused`, `idempotency_in_progress`, `already_done`, `rate_limited`.
   */
  begin(owner: string, name: string, request: string): KeptAnswer | undefined {
    this.#expire()
    const known = this.#uses.get(name)
    if (known !== undefined) return replay(known, request)
    const { maxKeys, maxKeysOfOne, lifeMs, now } = this.#limits
    const count = this.#counts.get(owner) ?? 0
    if (this.#uses.size >= maxKeys || count >= maxKeysOfOne) {
      throw new RateLimited('too many idempotency keys are in use', this.#untilNextExpiry())
    }
    this.#counts.set(owner, count + 1)
    this.#uses.set(name, { owner, request, expiresAt: now() + lifeMs, isUnderWay: true, answer: undefined })
    return undefined
  }

  /** It was carried out. `answer` undefined: not to be kept. */
  finish(name: string, answer: KeptAnswer | undefined): void {
    const use = this.#uses.get(name)
    if (use === undefined) return
    use.isUnderWay = false
    if (answer === undefined || answer.body.length > maxAnswerBytes) return
    use.answer = answer
    this.#bytes += answer.body.length
    for (const older of this.#uses.values()) {
      if (this.#bytes <= this.#limits.maxBytes) break
      this.#dropAnswer(older)
    }
  }

  /** It was not carried out: the next one with this key is. */
  forget(name: string): void {
    const use = this.#uses.get(name)
    if (use === undefined) return
    this.#dropAnswer(use)
    this.#uses.delete(name)
    const count = (this.#counts.get(use.owner) ?? 1) - 1
    if (count > 0) this.#counts.set(use.owner, count)
    else this.#counts.delete(use.owner)
  }

  /** For a request: everything that it could differ in. */
  mac(...parts: readonly string[]): string {
    return createHmac('sha256', this.#macKey)
      .update(framed(...parts))
      .digest('base64')
  }

  #expire(): void {
    const now = this.#limits.now()
    for (const [name, use] of this.#uses) {
      if (use.expiresAt > now) break
      // Still under way after all that time: it would be made twice.
      if (!use.isUnderWay) this.forget(name)
    }
  }

  #untilNextExpiry(): number {
    const [oldest] = this.#uses.values()
    return (oldest?.expiresAt ?? 0) - this.#limits.now()
  }

  #dropAnswer(use: Use): void {
    this.#bytes -= use.answer?.body.length ?? 0
    use.answer = undefined
  }
}

function replay(use: Use, request: string): KeptAnswer {
  if (use.request !== request) {
    throw new ServiceError('idempotency_key_reused', 'this idempotency key was used for another request', {
      hint: 'take a new key for each change, and the same one only to send the same again',
    })
  }
  if (use.isUnderWay) {
    throw new ServiceError('idempotency_in_progress', 'the first request with this key is under way', {
      hint: 'ask again in a moment',
    })
  }
  if (use.answer !== undefined) return use.answer
  throw new ServiceError('already_done', 'this was done, and its answer is not kept', {
    hint: 'read what it made; a secret that was lost on its way takes a new one',
  })
}
