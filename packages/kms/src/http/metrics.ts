/**
 * What is counted, for Prometheus. Every label is of a closed list: patterns of routes, never paths; no key, no token, no
 * address. Nobody who asks can make a new series.
 */

import { OpenAPIHono } from '@hono/zod-openapi'
import type { ProblemCode } from '@longhold/core/kms'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'

import type { App, Env, Outcomes } from './env.ts'
import { refusals } from './tls.ts'
import type { Refusal } from './tls.ts'

/** One request that was answered. */
export interface Answered {
  readonly method: string
  /** The pattern, `/v1/keys/:key`. */
  readonly route: string
  readonly status: number
  readonly code: ProblemCode | undefined
  readonly durationMs: number
  /** Of a batch. */
  readonly outcomes: Outcomes | undefined
}

/** Read whenever somebody asks. */
export interface Gauges {
  readonly connections: () => number
  readonly isSealed: () => boolean
  readonly isDraining: () => boolean
  /** Everything is refused: the database was altered, or put back. */
  readonly isFrozen: () => boolean
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
/** In seconds: from a public key out of memory to a thousand rewraps. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export class Metrics {
  readonly #registry = new Registry()
  readonly #requests = new Counter({
    name: 'longhold_kms_requests_total',
    help: 'Requests answered',
    labelNames: ['method', 'route', 'status'],
    registers: [this.#registry],
  })
  readonly #durations = new Histogram({
    name: 'longhold_kms_request_duration_seconds',
    help: 'From the headers of a request to its answer',
    labelNames: ['route'],
    buckets,
    registers: [this.#registry],
  })
  readonly #problems = new Counter({
    name: 'longhold_kms_problems_total',
    help: 'Requests answered with a problem, by its code',
    labelNames: ['code'],
    registers: [this.#registry],
  })
  readonly #items = new Counter({
    name: 'longhold_kms_items_total',
    help: 'Items of batches, by how they ended',
    labelNames: ['route', 'outcome'],
    registers: [this.#registry],
  })
  readonly #refused = new Counter({
    name: 'longhold_kms_connections_refused_total',
    help: 'Connections that ended before a request could be answered, by reason',
    labelNames: ['reason'],
    registers: [this.#registry],
  })

  constructor() {
    collectDefaultMetrics({ register: this.#registry })
    // From the start, so that a first one is seen as an increase.
    for (const reason of Object.keys(refusals)) this.#refused.inc({ reason }, 0)
  }

  gauges({ connections, isSealed, isDraining, isFrozen }: Gauges): void {
    this.#gauge('longhold_kms_connections', 'Connections that are open', connections)
    this.#gauge('longhold_kms_sealed', '1 while the service waits to be unsealed', () => Number(isSealed()))
    this.#gauge(
      'longhold_kms_frozen',
      '1 while everything is refused: the database was altered or put back',
      () => Number(isFrozen()),
    )
    this.#gauge('longhold_kms_draining', '1 while the service stops', () => Number(isDraining()))
  }

  answered({ method, route, status, code, durationMs, outcomes = new Map() }: Answered): void {
    this.#requests.inc({ method: methods.has(method) ? method : 'other', route, status })
    this.#durations.observe({ route }, durationMs / 1000)
    if (code !== undefined) this.#problems.inc({ code })
    for (const [outcome, items] of outcomes) this.#items.inc({ route, outcome }, items)
  }

  refused(reason: Refusal): void {
    this.#refused.inc({ reason })
  }

  /** Prometheus text format. */
  async text(): Promise<string> {
    return await this.#registry.metrics()
  }

  /** `/metrics`, for a listener of its own. */
  app(): App {
    const app = new OpenAPIHono<Env>()
    app.get('/metrics', async (c) =>
      c.body(await this.text(), 200, { 'Content-Type': this.#registry.contentType }),
    )
    return app
  }

  #gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: (): void => gauge.set(read()),
    })
  }
}
