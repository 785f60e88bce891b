/** Puts a route behind its row of the table: token, permission, body limit, the token again, in this order. */

import type { RouteConfig, RouteHandler } from '@hono/zod-openapi'
import { createMiddleware } from 'hono/factory'

import { ServiceError } from '../service/errors.ts'
import type { Service } from '../service/service.ts'
import type { App, Env } from './env.ts'
import { jsonBody } from './json-body.ts'
import { routeTable } from './route-table.ts'
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
    const middleware = [guard(service, rule), jsonBody(rule.maxBodyBytes), confirm(service)]
    app.openapi({ ...route, middleware }, handler)
  }
}

function guard(service: Service, { permission }: RouteRule) {
  return createMiddleware<Env>(async (c, next) => {
    const [, token] = /^Bearer (\S+)$/iu.exec(c.req.header('authorization') ?? '') ?? []
    const principal = await service.tokens.authenticate(token)
    const caller = { principal, requestId: c.get('requestId') }
    c.set('caller', caller)
    await service.authorise(caller, permission)
    await next()
    // Refused further in, by key or by what is handed on: said in the log before the answer, like the others.
    if (c.error instanceof ServiceError && c.error.code === 'permission_denied') {
      await service.recordDenied(caller, permission)
    }
  })
}

/** Once the body is there, however long it took. */
function confirm(service: Service) {
  return createMiddleware<Env>(async (c, next) => {
    service.tokens.confirm(c.get('caller').principal)
    await next()
  })
}
