/** Shapes that the definitions of routes share. */

import type { z } from '@hono/zod-openapi'

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
