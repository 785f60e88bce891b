/** Lists, a page at a time. */

import type { Context } from 'hono'

import type { CursorScope } from '../service/cursors.ts'
import { ServiceError } from '../service/errors.ts'
import type { Env } from './env.ts'

/** What a route with `pageQuery` is asked. */
export interface PageQuery {
  readonly cursor?: string | undefined
  readonly limit: number
}

/** What to ask the service for: one row more than the page holds, so that it shows whether there is a next one. */
export function pageRequest(
  c: Context<Env>,
  { cursor, limit }: PageQuery,
): { after: string | undefined; limit: number } {
  const after = cursor === undefined ? undefined : c.get('shared').cursors.read(scopeOf(c), cursor)
  return { after, limit: limit + 1 }
}

/** The same where pages end with a number. */
export function numberPageRequest(
  c: Context<Env>,
  query: PageQuery,
): { after: number | undefined; limit: number } {
  const { after, limit } = pageRequest(c, query)
  return { after: after === undefined ? undefined : Number(after), limit }
}

/** The answer, from the rows that `pageRequest` asked for. */
export function pageAnswer<R, T>(
  c: Context<Env>,
  { limit }: PageQuery,
  rows: readonly R[],
  { positionOf, itemOf }: { positionOf: (row: R) => string | number; itemOf: (row: R) => T },
): { items: T[]; next_cursor?: string } {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  if (rows.length <= limit || last === undefined) return { items: items.map(itemOf) }
  return { items: items.map(itemOf), next_cursor: cursorAt(c, String(positionOf(last))) }
}

/** The cursor that leads behind a position of this list. */
export function cursorAt(c: Context<Env>, position: string): string {
  return c.get('shared').cursors.make(scopeOf(c), position)
}

/** The list is its path and what filters it; the size of the pages may change on the way. */
function scopeOf(c: Context<Env>): CursorScope {
  const { pathname, searchParams } = new URL(c.req.url)
  const filters = [...searchParams].filter(([name]) => name !== 'cursor' && name !== 'limit')
  if (new Set(filters.map(([name]) => name)).size !== filters.length) {
    throw new ServiceError('malformed_request', 'the address names a filter twice')
  }
  const sorted = filters.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { list: JSON.stringify([pathname, ...sorted]), principal: c.get('caller').principal.token }
}
