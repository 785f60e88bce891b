/**
 * Puts a route behind its row of the table: token, how often it may ask, permission, query, body, the token again, and
 * for changes dry run and idempotency key, in this order.
 */

import type { RouteConfig, RouteHandler } from '@hono/zod-openapi'
import { createMiddleware } from 'hono/factory'

import { ServiceError } from '../service/errors.ts'
import { sharerOf } from '../service/policy.ts'
import type { Service } from '../service/service.ts'
import { dryRunName, isDryRun, answerDryRun } from './dry-run.ts'
import type { App, Env } from './env.ts'
import { idempotent } from './idempotent.ts'
import { jsonBody } from './json-body.ts'
import { peerAddress } from './peer-address.ts'
import { changes, routeTable } from './route-table.ts'
import type { RouteRule } from './route-table.ts'

type Route = RouteConfig & { getRoutingPath(): string }
type Secured = <R extends Route>(route: R, handler: RouteHandler<R, Env>) => void

/** @throws Error for a route without a row: nothing is served unguarded by mistake. */
export function secured(app: App, service: Service): Secured {
  return (route, handler) => {
    const name = `${route.method.toUpperCase()} ${route.path}`
    const rules: Readonly<Record<string, RouteRule>> = routeTable
    const rule = rules[name]
    if (rule === undefined) throw new Error(`${name} has no row in the table of routes`)
    const isChange = changes(name, rule)
    const middleware = [
      guard(service, rule),
      knownQuery(route, isChange),
      ...(isChange && rule.ifMatch === undefined ? [noPrecondition] : []),
      jsonBody(rule.maxBodyBytes),
      confirm(service, rule),
      ...(isChange ? [idempotent(service, name, rule), answerDryRun] : []),
    ]
    app.openapi({ ...route, middleware }, handler)
  }
}

function guard(service: Service, { permission }: RouteRule) {
  return createMiddleware<Env>(async (c, next) => {
    const [, token] = /^Bearer (\S+)$/iu.exec(c.req.header('authorization') ?? '') ?? []
    const principal = await service.tokens.authenticate(token, peerAddress(c))
    // Before anything is written in the log for him.
    c.get('shared').rateLimit.take(sharerOf(principal))
    const caller = { principal, requestId: c.get('requestId'), permission }
    c.set('caller', caller)
    await service.authorise(caller, permission)
    await next()
    if (c.error === undefined) await service.settle(c.get('caller'))
    // Refused further in, by key or by what is handed on: said in the log before the answer, like the others.
    if (c.error instanceof ServiceError && c.error.code === 'permission_denied') {
      await service.recordDenied(caller, permission)
    }
  })
}

/** A misspelt name in the address must not become one that was left out: `dry_run` least of all. */
function knownQuery(route: Route, isChange: boolean) {
  const { query } = route.request ?? {}
  const shape = query !== undefined && 'shape' in query ? query.shape : {}
  const known = new Set([...Object.keys(shape), ...(isChange ? [dryRunName] : [])])
  return createMiddleware<Env>(async (c, next) => {
    const unknown = Object.keys(c.req.query()).find((name) => !known.has(name))
    if (unknown !== undefined) {
      throw new ServiceError('unknown_field', `unknown in the address: ${unknown.slice(0, 64)}`)
    }
    if (isChange && isDryRun(c)) c.set('caller', { ...c.get('caller'), isDryRun: true })
    await next()
  })
}

/** Whoever says what he expects must not be overrun where nobody looks. */
const noPrecondition = createMiddleware<Env>(async (c, next) => {
  if (c.req.header('if-match') !== undefined) {
    throw new ServiceError('malformed_request', 'this route takes no If-Match')
  }
  await next()
})

/** Once the body is there: where that took a while, everything is asked again. */
function confirm(service: Service, { permission }: RouteRule) {
  return createMiddleware<Env>(async (c, next) => {
    const caller = c.get('caller')
    const principal = await service.tokens.confirm(caller.principal)
    if (principal !== caller.principal) {
      c.set('caller', { ...caller, principal })
      await service.authorise({ ...caller, principal }, permission)
    }
    await next()
  })
}
