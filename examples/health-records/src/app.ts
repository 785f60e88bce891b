/** The routes. Who may call them is not part of this example: put your authentication in front. */

import { LongholdError } from '@longhold/core'
import type { EncryptedReader } from '@longhold/core'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { routePath } from 'hono/route'
import { z } from 'zod'

import type { Attachments } from './attachments.ts'
import type { Keys } from './keys.ts'
import { rangeOf } from './range.ts'
import type { Missing, Records, StoredRecord } from './records.ts'

export interface Services {
  readonly keys: Keys
  readonly records: Records
  readonly attachments: Attachments
  /** Gets codes of errors, never a value. */
  readonly log: (line: string) => void
}

/** Normalised before it is written and before it is looked for: a blind index knows equal bytes alone. */
const insuranceNumber = z
  .string()
  .transform((text) => text.replaceAll(/[\s-]/g, '').toUpperCase())
  .pipe(z.string().min(4).max(32))
const diagnoses = z.array(z.string().max(1000)).max(100)
const born = z.iso.date().transform((text) => new Date(text))
const newRecord = z.strictObject({ name: z.string().min(1).max(200), insuranceNumber, born, diagnoses })
const changes = z.strictObject({ diagnoses })
/** Asked for in a body: what stands in an address stands in logs. */
const search = z.strictObject({ insuranceNumber })

const statuses = { unknown: 404, gone: 410 } as const

export function createApp({ keys, records, attachments, log }: Services): Hono {
  const app = new Hono()
  const jsonBody = bodyLimit({ maxSize: 256 * 1024 })

  app.post('/records', jsonBody, async (c) => {
    const id = await records.add(newRecord.parse(await c.req.json()))
    return c.json({ id }, 201)
  })

  app.post('/records/search', jsonBody, async (c) => {
    const found = await records.find(search.parse(await c.req.json()).insuranceNumber)
    return c.json({ records: found.map(view) })
  })

  app.get('/records/:id', async (c) => {
    const record = await records.get(c.req.param('id'))
    return typeof record === 'string' ? c.json({ error: record }, statuses[record]) : c.json(view(record))
  })

  app.patch('/records/:id', jsonBody, async (c) => {
    const given = changes.parse(await c.req.json())
    const missing = await records.setDiagnoses(c.req.param('id'), given.diagnoses)
    return missing === undefined ? c.body(null, 204) : c.json({ error: missing }, statuses[missing])
  })

  app.delete('/records/:id', async (c) => {
    if (!(await records.forget(c.req.param('id')))) return c.json({ error: 'unknown' }, 404)
    await attachments.remove(c.req.param('id'))
    return c.body(null, 204)
  })

  app.post('/records/:id/attachments', async (c) => {
    const patient = c.req.param('id')
    const missing = records.missing(patient)
    if (missing !== undefined) return c.json({ error: missing }, statuses[missing])
    const mediaType = c.req.header('content-type') ?? 'application/octet-stream'
    const length = c.req.header('content-length')
    const size = length === undefined ? undefined : Number(length)
    const id = await attachments.add(patient, mediaType, c.req.raw.body ?? new Blob().stream(), size)
    return id === undefined ? c.json({ error: 'gone' }, 410) : c.json({ id }, 201)
  })

  app.get('/records/:id/attachments/:attachment', async (c) => {
    const patient = c.req.param('id')
    const missing: Missing | undefined = records.missing(patient)
    if (missing !== undefined) return c.json({ error: missing }, statuses[missing])
    const found = await attachments.open(patient, c.req.param('attachment'))
    if (found === undefined) return c.json({ error: 'unknown' }, 404)
    return sendPart(found.reader, found.mediaType, c.req.header('range'))
  })

  app.post('/rotation', async (c) => c.json(await keys.rotate()))

  app.onError((error, c) => {
    if (error instanceof z.ZodError || error instanceof SyntaxError)
      return c.json({ error: 'bad_request' }, 400)
    if (error instanceof HTTPException) return c.json({ error: 'refused' }, error.status)
    const code = error instanceof LongholdError ? error.code : 'internal'
    // The key is gone, whatever the tables say: they may come from a backup.
    if (code === 'destroyed') return c.json({ error: 'gone' }, 410)
    log(`${c.req.method} ${routePath(c)}: ${code}`)
    return c.json({ error: code }, code === 'unavailable' ? 503 : 500)
  })
  return app
}

function view({ born: date, ...record }: StoredRecord) {
  return { ...record, born: date.toISOString().slice(0, 10) }
}

function sendPart(reader: EncryptedReader, mediaType: string, header: string | undefined): Response {
  const { size } = reader
  const range = rangeOf(header, size)
  if (range === 'unsatisfiable') {
    reader.close()
    return new Response(null, { status: 416, headers: { 'content-range': `bytes */${size}` } })
  }
  const { start, end } = range ?? { start: 0, end: size }
  const headers = {
    'accept-ranges': 'bytes',
    'cache-control': 'no-store',
    'content-length': String(end - start),
    // What somebody uploaded is shown by no browser as a page of this service.
    'content-disposition': 'attachment',
    'content-type': mediaType,
    'x-content-type-options': 'nosniff',
    ...(range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
  }
  const body = closedAfter(reader, reader.stream(start, end))
  return new Response(body, { status: range === undefined ? 200 : 206, headers })
}

/** The stream, and the reader closed when it ends, fails or is not wanted any more. */
function closedAfter(
  reader: EncryptedReader,
  stream: ReadableStream<Uint8Array>,
): ReadableStream<Uint8Array> {
  const source = stream.getReader()
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await source.read()
        if (!done) return controller.enqueue(value)
        controller.close()
        reader.close()
      } catch (error) {
        reader.close()
        controller.error(error)
      }
    },
    async cancel(reason) {
      await source.cancel(reason)
      reader.close()
    },
  })
}
