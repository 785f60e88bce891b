/** `/v1/unwrap` and `/v1/rewrap`: up to a thousand items, each with its own answer. */

import { createRoute } from '@hono/zod-openapi'
import { toBase64url } from '@longhold/core'
import type { ItemProblem, ProblemCode, UnwrapAnswer } from '@longhold/core/kms'

import { ServiceError } from '../../service/errors.ts'
import type { Service } from '../../service/service.ts'
import { rewrapRequest, rewrapResponse, unwrapRequest, unwrapResponse } from '../../wire.ts'
import { jsonNow } from '../answers.ts'
import { bytesOf, jsonAnswer, jsonRequest, problems } from '../documents.ts'
import type { App, Outcomes } from '../env.ts'
import { itemProblem } from '../problems.ts'
import { secured } from '../secured.ts'

const unwrap = createRoute({
  method: 'post',
  path: '/v1/unwrap',
  summary: 'Unwrap data keys',
  request: { body: jsonRequest(unwrapRequest) },
  responses: {
    200: jsonAnswer(unwrapResponse, 'A data key or a problem for each item, in order'),
    ...problems,
  },
})
const rewrap = createRoute({
  method: 'post',
  path: '/v1/rewrap',
  summary: 'Write wrapped keys anew, for the newest versions',
  request: { body: jsonRequest(rewrapRequest) },
  responses: {
    200: jsonAnswer(rewrapResponse, 'A wrapped key or a problem for each item, in order'),
    ...problems,
  },
})

export function batchRoutes(app: App, service: Service): void {
  const route = secured(app, service)

  route(unwrap, async (c) => {
    const { items } = c.req.valid('json')
    checkIds(items)
    const results = await service.unwrap(
      c.get('caller'),
      items.map(({ id, key_id: keyId, stanza, context }) => ({
        id,
        keyId: bytesOf(keyId),
        stanza: bytesOf(stanza),
        context: Object.entries(context),
      })),
    )
    const answers = results.map(({ id, answer }): UnwrapAnswer => {
      if (answer instanceof ServiceError) return { id, problem: itemProblem(answer) }
      const { dataKey, key, version } = answer
      // JSON takes strings: the one place where a data key becomes one.
      const text = dataKey.use((bytes) => toBase64url(bytes))
      dataKey.wipe()
      return { id, data_key: text, key, version }
    })
    c.set('outcomes', outcomesOf(answers))
    return jsonNow(c, { items: answers })
  })

  route(rewrap, async (c) => {
    const { items } = c.req.valid('json')
    checkIds(items)
    const results = await service.rewrap(
      c.get('caller'),
      items.map(({ id, wrapped_key: wrappedKey, context, to = [] }) => ({
        id,
        wrappedKey: bytesOf(wrappedKey),
        context: Object.entries(context),
        to,
      })),
    )
    const answers = results.map(({ id, answer }) => {
      if (answer instanceof ServiceError) return { id, problem: itemProblem(answer) }
      const { wrappedKey, key, version } = answer
      return { id, wrapped_key: toBase64url(wrappedKey), key, version }
    })
    c.set('outcomes', outcomesOf(answers))
    return jsonNow(c, { items: answers })
  })
}

function outcomesOf(answers: readonly (object | { problem: ItemProblem })[]): Outcomes {
  const outcomes = new Map<'done' | ProblemCode, number>()
  for (const answer of answers) {
    const outcome = 'problem' in answer ? answer.problem.code : 'done'
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  return outcomes
}

/** Two answers with one name could be taken for each other. */
function checkIds(items: readonly { id: string }[]): void {
  if (new Set(items.map(({ id }) => id)).size === items.length) return
  throw new ServiceError('malformed_request', 'two items have the same id')
}
