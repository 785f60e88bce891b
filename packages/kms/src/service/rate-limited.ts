/** Somebody asks too often. */

import { ServiceError } from './errors.ts'

export class RateLimited extends ServiceError {
  readonly retryAfterSeconds: number

  constructor(message: string, retryAfterMs: number) {
    const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000))
    super('rate_limited', message, { hint: `try again in ${seconds} s` })
    this.retryAfterSeconds = seconds
  }
}
