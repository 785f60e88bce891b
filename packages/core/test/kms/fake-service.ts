/** A key service that answers what a test says. */

import { expect } from 'vitest'

import { toBase64url } from '../../src/bytes.ts'
import { LongholdError } from '../../src/errors.ts'
import type { Stanza } from '../../src/format/header.ts'
import { KmsClient } from '../../src/kms/client.ts'

export const url = 'http://127.0.0.1:8420'
export const token = `lhk_${'0'.repeat(24)}_${'S3CRET'.padEnd(43, 'x')}`

export interface Asked {
  url: string
  init: RequestInit
  body: unknown
}

/** A client whose service answers what `answer` says; keeps what was asked. */
export function clientOf(
  answer: (asked: Asked, signal: AbortSignal) => unknown,
  options: Partial<ConstructorParameters<typeof KmsClient>[0]> = {},
): { client: KmsClient; asked: Asked[] } {
  const asked: Asked[] = []
  const client = new KmsClient({
    url,
    token,
    fetch: async (input, init = {}) => {
      const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : undefined
      const one = { url: input as string, init, body }
      asked.push(one)
      const given = await answer(one, init.signal as AbortSignal)
      return given instanceof Response ? given : Response.json(given)
    },
    ...options,
  })
  return { client, asked }
}

export function problem(status: number, code: string, detail = 'because'): Response {
  return Response.json({ status, code, detail, title: 't', type: 'about:blank', request_id: 'r' }, { status })
}

export function stanzaFor(fill: number): Stanza {
  const recipientId = new Uint8Array(16).fill(fill)
  return { kemId: 0x647a, kdfId: 1, aeadId: 2, recipientId, payload: new Uint8Array(1168).fill(fill) }
}

export async function failureOf(promise: Promise<unknown>): Promise<LongholdError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(LongholdError)
  return error as LongholdError
}

export interface Sent {
  items: { id: string; key_id: string }[]
}

/** Answers each item with its key id, doubled to the length of a data key. */
export function echo({ body }: Asked): unknown {
  const { items } = body as Sent
  return {
    items: items.map(({ id }) => ({
      id,
      data_key: toBase64url(new Uint8Array(32).fill(Number(id) % 256)),
      key: 'a',
      version: 1,
    })),
  }
}

export function itemsOf(count: number, context: Record<string, string> = {}) {
  return Array.from({ length: count }, (_, index) => ({
    stanza: stanzaFor(index % 256),
    keyId: new Uint8Array(16).fill(index % 256),
    keyContext: context,
  }))
}
