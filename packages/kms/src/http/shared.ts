/** What all requests of one app share: limits on what they take together, and what is kept between two of them. */

import type { Cursors } from '../service/cursors.ts'
import type { Service } from '../service/service.ts'
import { BodyBudget } from './body-budget.ts'
import type { BodyBudgetOptions } from './body-budget.ts'
import { Idempotency } from './idempotency.ts'
import type { IdempotencyOptions } from './idempotency.ts'
import { RateLimit } from './rate-limit.ts'
import type { RateLimitOptions } from './rate-limit.ts'

export interface SharedOptions {
  readonly rateLimit?: RateLimitOptions | undefined
  readonly bodyBudget?: BodyBudgetOptions | undefined
  readonly idempotency?: IdempotencyOptions | undefined
}

export interface Shared {
  readonly rateLimit: RateLimit
  readonly bodyBudget: BodyBudget
  readonly idempotency: Idempotency
  readonly cursors: Cursors
}

const sharedOfService = new WeakMap<Service, Shared>()

/** One for each service, however many apps serve it: its own listener, the admin socket. */
export function sharedOf(service: Service, options: SharedOptions = {}): Shared {
  const known = sharedOfService.get(service)
  if (known !== undefined) return known
  const shared = {
    rateLimit: new RateLimit(options.rateLimit),
    bodyBudget: new BodyBudget(options.bodyBudget),
    idempotency: new Idempotency(options.idempotency),
    cursors: service.cursors,
  }
  sharedOfService.set(service, shared)
  return shared
}
