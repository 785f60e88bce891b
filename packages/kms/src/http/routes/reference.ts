/** `/openapi.json` and `/docs`: the API, for programs and for people. For everybody: they say what the source says. */

import { createRoute, z } from '@hono/zod-openapi'

import type { App } from '../env.ts'
import { describeApi } from '../openapi.ts'
import { referencePolicy, renderReference } from '../reference-page.ts'

const readDocument = createRoute({
  method: 'get',
  path: '/openapi.json',
  summary: 'The description of this API',
  responses: {
    200: {
      description: 'OpenAPI 3.1',
      content: { 'application/json': { schema: z.looseObject({ openapi: z.literal('3.1.0') }) } },
    },
  },
})
const readPage = createRoute({
  method: 'get',
  path: '/docs',
  summary: 'The same as a page',
  responses: { 200: { description: 'HTML', content: { 'text/html': { schema: z.string() } } } },
})

/** To be called last: it describes every route there is by then. */
export function referenceRoutes(app: App): void {
  let made: { readonly document: string; readonly page: string } | undefined
  const reference = () => {
    if (made === undefined) {
      const document = describeApi(app)
      made = { document: JSON.stringify(document), page: renderReference(document) }
    }
    return made
  }
  app.openAPIRegistry.registerPath(readDocument)
  app.openAPIRegistry.registerPath(readPage)
  app.get(readDocument.path, (c) => c.body(reference().document, 200, { 'Content-Type': 'application/json' }))
  app.get(readPage.path, (c) =>
    c.body(reference().page, 200, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': referencePolicy,
      'Referrer-Policy': 'no-referrer',
    }),
  )
}
