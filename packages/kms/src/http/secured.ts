/**
 * Puts a route behind its row of the table: token, how often it may ask, permission, query, body, the token again, and
 * for changes dry run and idempotency key, in this order.
 */

import type { RouteConfig, RouteHandler } from '@hono/zod-openapi'
import type { Context, Handler } from 'hono'
import { createMiddleware } from 'hono/factory'

import { ServiceError } from '../service/errors.ts'
import { sharerOf } from '../service/policy.ts'
import type { Service } from '../service/service.ts'
import { dryRunName, isDryRun, answerDryRun } from './dry-run.ts'
import type { App, Env } from './env.ts'
import { idempotent } from './idempotent.ts'
import { readJsonText } from './json-body.ts'
import { peerAddress } from './peer-address.ts'
import { changes, routeTable } from './route-table.ts'
import type { RouteRule } from './route-table.ts'
import { validatorOf } from './validate.ts'

type Route = RouteConfig & { getRoutingPath(): string }
type Secured = <R extends Route>(route: R, handler: RouteHandler<R, Env>) => void

const bearer = /^Bearer (\S+)$/iu

/** @throws Error for a route without a row: nothing is served unguarded by mistake. */
export function secured(app: App, service: Service): Secured {
  return (route, handler) => {
    const name = `${route.method.toUpperCase()} ${route.path}`
    const rules: Readonly<Record<string, RouteRule>> = routeTable
    const rule = rules[name]
    if (rule === undefined) throw new Error(`${name} has no row in the table of routes`)
    const isChange = changes(name, rule)
    app.openAPIRegistry.registerPath(route)
    const validate = validatorOf(route)
    app.on(
      [route.method],
      [route.getRoutingPath()],
      guard(service, rule, { isChange, query: queryNames(route) }),
      ...(isChange ? [idempotent(service, name, rule), answerDryRun] : []),
      async (c, next) => {
        validate(c)
        // What the route says of its inputs was checked just now: the type that follows from it.
        return await (handler as unknown as Handler<Env>)(c, next)
      },
    )
  }
}

interface Guarded {
  readonly isChange: boolean
  /** Names of parameters that it takes. */
  readonly query: readonly string[]
}

/** One function and not one for each step: each takes as long as a few of the steps. */
function guard(service: Service, rule: RouteRule, { isChange, query }: Guarded) {
  const { permission, maxBodyBytes } = rule
  const known = new Set([...query, ...(isChange ? [dryRunName] : [])])
  return createMiddleware<Env>(async (c, next) => {
    const [, token] = bearer.exec(c.req.header('authorization') ?? '') ?? []
    const principal = await service.tokens.authenticate(token, peerAddress(c))
    const { rateLimit, bodyBudget } = c.get('shared')
    // Before anything is written in the log for him.
    const sharer = sharerOf(principal)
    rateLimit.take(sharer)
    const caller = { principal, requestId: c.get('requestId'), permission }
    c.set('caller', caller)
    await service.authorise(caller, permission)
    requireKnown(c, known)
    if (isChange && isDryRun(c)) c.set('caller', { ...caller, isDryRun: true })
    // Whoever says what he expects must not be overrun where nobody looks.
    if (isChange && rule.ifMatch === undefined && c.req.header('if-match') !== undefined) {
      throw new ServiceError('malformed_request', 'this route takes no If-Match')
    }
    const share = bodyBudget.share(sharer)
    try {
      await readJsonText(c, maxBodyBytes, share)
      await confirm(c, service, permission)
      await next()
    } finally {
      share.free()
    }
    if (c.error === undefined) await service.settle(c.get('caller'))
    // Refused further in, by key or by what is handed on: said in the log before the answer, like the others.
    else if (c.error instanceof ServiceError && c.error.code === 'permission_denied') {
      await service.recordDenied(caller, permission)
    }
  })
}

function queryNames({ request: { query } = {} }: Route): readonly string[] {
  return query !== undefined && 'shape' in query ? Object.keys(query.shape) : []
}

/** A misspelt name in the address must not become one that was left out: `dry_run` least of all. */
function requireKnown(c: Context<Env>, known: ReadonlySet<string>): void {
  if (!c.req.url.includes('?')) return
  const unknown = Object.keys(c.req.query()).find((name) => !known.has(name))
  if (unknown !== undefined) {
    throw new ServiceError('unknown_field', `unknown in the address: ${unknown.slice(0, 64)}`)
  }
}

/** Once the body is there: where that took a while, everything is asked again. */
async function confirm(
  c: Context<Env>,
  service: Service,
  permission: RouteRule['permission'],
): Promise<void> {
  const caller = c.get('caller')
  const principal = await service.tokens.confirm(caller.principal)
  if (principal === caller.principal) return
  c.set('caller', { ...caller, principal })
  await service.authorise({ ...caller, principal }, permission)
}
