/** `/v1/keys/{key}/versions` and rotation: the life of each version of a key. */

import { createRoute } from '@hono/zod-openapi'

import type { VersionRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import {
  destroyAnswer,
  destroyCheck,
  keyInfo,
  keyParams,
  rotateKeyRequest,
  updateVersionRequest,
  versionInfo,
  versionPage,
  versionParams,
} from '../../wire-keys.ts'
import { pageQuery } from '../../wire.ts'
import { describeVersion, taggedKey } from '../describe-keys.ts'
import { jsonAnswer, jsonRequest, problems, time, timeOrNull } from '../documents.ts'
import type { App } from '../env.ts'
import { numberPageRequest, pageAnswer } from '../pages.ts'
import { expectedGeneration, requiredGeneration } from '../preconditions.ts'
import { secured } from '../secured.ts'

const rotateKey = createRoute({
  method: 'post',
  path: '/v1/keys/{key}/rotate',
  summary: 'Make a new version',
  request: { params: keyParams, body: { ...jsonRequest(rotateKeyRequest), required: false } },
  responses: { 200: jsonAnswer(keyInfo, 'The key, with its new version'), ...problems },
})
const listVersions = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/versions',
  summary: 'List the versions of a key',
  request: { params: keyParams, query: pageQuery },
  responses: { 200: jsonAnswer(versionPage, 'The versions, ascending'), ...problems },
})
const getVersion = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/versions/{version}',
  summary: 'Read a version',
  request: { params: versionParams },
  responses: { 200: jsonAnswer(versionInfo, 'The version'), ...problems },
})
const updateVersion = createRoute({
  method: 'patch',
  path: '/v1/keys/{key}/versions/{version}',
  summary: 'Change the state of a version',
  description: 'A primary that is set to `compromised` is replaced by a new version at once.',
  request: { params: versionParams, body: jsonRequest(updateVersionRequest) },
  responses: { 200: jsonAnswer(versionInfo, 'The version in its new state'), ...problems },
})
const destroyVersion = createRoute({
  method: 'post',
  path: '/v1/keys/{key}/versions/{version}/destroy',
  summary: 'Begin the waiting period of a destruction',
  description: 'Takes `If-Match` with the ETag of the key.',
  request: { params: versionParams },
  responses: {
    200: jsonAnswer(destroyAnswer, 'When it is destroyed, and which backups hold its private key'),
    ...problems,
  },
})
const restoreVersion = createRoute({
  method: 'post',
  path: '/v1/keys/{key}/versions/{version}/restore',
  summary: 'Call a destruction off',
  request: { params: versionParams },
  responses: { 200: jsonAnswer(versionInfo, 'The version, disabled'), ...problems },
})
const checkDestroy = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/versions/{version}/destroy-check',
  summary: 'Ask whether a version can be destroyed',
  request: { params: versionParams },
  responses: { 200: jsonAnswer(destroyCheck, 'Whether no data is lost, as far as it is known'), ...problems },
})

export function versionRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { life } = service
  const { versions } = life

  route(rotateKey, async (c) => {
    // No body, no header of its kind, and nothing to validate.
    const { activate } = (c.req.valid('json') as { activate?: 'now' | 'pending' } | undefined) ?? {}
    const { key } = c.req.valid('param')
    const row = await versions.rotate(c.get('caller'), key, activate, expectedGeneration(c))
    return c.json(taggedKey(c, row), 200)
  })

  route(listVersions, async (c) => {
    const query = c.req.valid('query')
    const rows = await versions.list(c.get('caller'), c.req.valid('param').key, numberPageRequest(c, query))
    const page = { positionOf: ({ version }: VersionRow) => version, itemOf: describeVersion }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(getVersion, async (c) => {
    const { key, version } = c.req.valid('param')
    return c.json(describeVersion(await versions.get(c.get('caller'), key, version)), 200)
  })

  route(updateVersion, async (c) => {
    const { key, version } = c.req.valid('param')
    const { state } = c.req.valid('json')
    const row = await versions.setState(c.get('caller'), key, version, state, expectedGeneration(c))
    return c.json(describeVersion(row), 200)
  })

  route(destroyVersion, async (c) => {
    const { key, version } = c.req.valid('param')
    const row = await versions.destroy(c.get('caller'), key, version, requiredGeneration(c))
    const backups = (await life.backupsHolding(row)).map(({ backup, takenAt, expiresAt }) => ({
      backup,
      taken_at: time(takenAt),
      expires_at: timeOrNull(expiresAt),
    }))
    return c.json({ ...describeVersion(row), backups }, 200)
  })

  route(restoreVersion, async (c) => {
    const { key, version } = c.req.valid('param')
    return c.json(
      describeVersion(await versions.restore(c.get('caller'), key, version, expectedGeneration(c))),
      200,
    )
  })

  route(checkDestroy, async (c) => {
    const { key, version } = c.req.valid('param')
    const { verdict, reasons, checkedAt } = await life.checkDestroy(c.get('caller'), key, version)
    return c.json(
      {
        verdict,
        reasons: reasons.map(({ code, speaksFor, detail }) => ({ code, speaks_for: speaksFor, detail })),
        checked_at: time(checkedAt),
      },
      200,
    )
  })
}
