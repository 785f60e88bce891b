/** Shapes that the definitions of routes share. */

import type { z } from '@hono/zod-openapi'
import { fromBase64url, toBase64url } from '@longhold/core'

import { ServiceError } from '../service/errors.ts'
import { problem } from '../wire.ts'

export function jsonRequest<S extends z.ZodType>(schema: S) {
  return { content: { 'application/json': { schema } }, required: true as const }
}

export function jsonAnswer<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** Any route may end so. */
export const problems = {
  default: {
    description: 'A problem; `code` says which',
    content: { 'application/problem+json': { schema: problem } },
  },
}

/** One row more was asked for than the page holds: if it came, there is a next page. */
export function toPage<R, T>(
  rows: readonly R[],
  limit: number,
  cursorOf: (row: R) => string,
  itemOf: (row: R) => T,
): { items: T[]; next_cursor?: string } {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  const hasMore = rows.length > limit && last !== undefined
  return {
    items: items.map(itemOf),
    ...(hasMore ? { next_cursor: toBase64url(Buffer.from(cursorOf(last))) } : {}),
  }
}

/** @throws ServiceError `malformed_request` for a cursor that no page gave. */
export function readCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined
  const bytes = fromBase64url(cursor)
  if (bytes === undefined) throw strangeCursor()
  return Buffer.from(bytes).toString()
}

/** The same where pages end with a number. */
export function readNumberCursor(cursor: string | undefined): number | undefined {
  const text = readCursor(cursor)
  if (text !== undefined && !/^\d{1,9}$/u.test(text)) throw strangeCursor()
  return text === undefined ? undefined : Number(text)
}

function strangeCursor(): ServiceError {
  return new ServiceError('malformed_request', 'this cursor is from no page')
}

export function time(at: number): string {
  return new Date(at).toISOString()
}

export function timeOrNull(at: number | null): string | null {
  return at === null ? null : time(at)
}

/**
 * By the platform, which is several times as fast and takes almost anything: strict is what it writes back alike.
 *
 * @throws ServiceError `malformed_request`.
 */
export function bytesOf(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text) {
    throw new ServiceError('malformed_request', 'bytes are base64url, strictly')
  }
  return bytes
}
