/** What all requests of one app share: limits on what they take together. */

import type { Cursors } from '../service/cursors.ts'
import type { Service } from '../service/service.ts'
import { BodyBudget } from './body-budget.ts'
import type { BodyBudgetOptions } from './body-budget.ts'
import { RateLimit } from './rate-limit.ts'
import type { RateLimitOptions } from './rate-limit.ts'

export interface SharedOptions {
  readonly rateLimit?: RateLimitOptions | undefined
  readonly bodyBudget?: BodyBudgetOptions | undefined
}

export interface Shared {
  readonly rateLimit: RateLimit
  readonly bodyBudget: BodyBudget
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
    cursors: service.cursors,
  }
  sharedOfService.set(service, shared)
  return shared
}
