/** Routes whose answers hold keys, or whose requests do: data keys, shared secrets, packages. */

import { createRoute } from '@hono/zod-openapi'
import { toBase64url } from '@longhold/core'

import type { Service } from '../../service/service.ts'
import {
  createDataKeysRequest,
  createDataKeysResponse,
  decapsulateRequest,
  decapsulateResponse,
  exportKeyRequest,
  importKeyRequest,
  keyExport,
  keyInfo,
  keyParams,
} from '../../wire-keys.ts'
import { settingsOf, taggedKey } from '../describe-keys.ts'
import { bytesOf, jsonAnswer, jsonRequest, problems } from '../documents.ts'
import type { App } from '../env.ts'
import { secured } from '../secured.ts'

const createDataKeys = createRoute({
  method: 'post',
  path: '/v1/keys/{key}/data-keys',
  summary: 'Make and wrap data keys',
  description: 'The key may be named by an alias.',
  request: { params: keyParams, body: jsonRequest(createDataKeysRequest) },
  responses: { 201: jsonAnswer(createDataKeysResponse, 'Data keys, wrapped'), ...problems },
})
const decapsulate = createRoute({
  method: 'post',
  path: '/v1/keys/{key}/decapsulate',
  summary: 'Decapsulate with a key that was made for it',
  request: { params: keyParams, body: jsonRequest(decapsulateRequest) },
  responses: { 200: jsonAnswer(decapsulateResponse, 'The shared secret'), ...problems },
})
const exportKey = createRoute({
  method: 'post',
  path: '/v1/keys/{key}/export',
  summary: 'Export the private keys of an exportable key',
  request: { params: keyParams, body: jsonRequest(exportKeyRequest) },
  responses: { 200: jsonAnswer(keyExport, 'A package, sealed for the recipient'), ...problems },
})
const importKey = createRoute({
  method: 'post',
  path: '/v1/keys/import',
  summary: 'Make a key of private keys from elsewhere',
  request: { body: jsonRequest(importKeyRequest) },
  responses: { 201: jsonAnswer(keyInfo, 'The key'), ...problems },
})

export function keyMaterialRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { life } = service

  route(createDataKeys, async (c) => {
    const { count = 1, context, plaintext = false } = c.req.valid('json')
    const wanted = { count, context: Object.entries(context), plaintext }
    const issued = await life.issueDataKeys(c.get('caller'), c.req.valid('param').key, wanted)
    const items = issued.items.map(({ keyId, wrappedKey, dataKey }) => {
      const wrapped = { key_id: toBase64url(keyId), wrapped_key: toBase64url(wrappedKey) }
      if (dataKey === undefined) return wrapped
      // JSON takes strings: here, and in answers to unwrap, a data key becomes one.
      const text = dataKey.use((bytes) => toBase64url(bytes))
      dataKey.wipe()
      return { ...wrapped, data_key: text }
    })
    return c.json({ key: issued.key, version: issued.version, items }, 201)
  })

  route(decapsulate, async (c) => {
    const { version, encapsulated_key: text } = c.req.valid('json')
    const { key } = c.req.valid('param')
    const secret = await life.decapsulate(c.get('caller'), key, version, bytesOf(text))
    const sharedSecret = secret.use((bytes) => toBase64url(bytes))
    secret.wipe()
    return c.json({ version, shared_secret: sharedSecret }, 200)
  })

  route(exportKey, async (c) => {
    const { recipient } = c.req.valid('json')
    const exported = await life.exportKey(c.get('caller'), c.req.valid('param').key, recipient)
    const { key, purpose, versions, sealed } = exported
    return c.json({ key, purpose, versions: [...versions], package: toBase64url(sealed) }, 200)
  })

  route(importKey, async (c) => {
    const body = c.req.valid('json')
    const { key, purpose, package: text, packaged_as: packagedAs = key } = body
    const wanted = { key, purpose, ...settingsOf(body) }
    const sealed = bytesOf(text)
    return c.json(taggedKey(c, await life.importKey(c.get('caller'), wanted, { sealed, packagedAs })), 201)
  })
}
