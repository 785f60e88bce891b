import { createHash } from 'node:crypto'

import { afterAll, expect, test } from 'vitest'

import { describeApi } from '../../src/http/openapi.ts'
import { renderReference } from '../../src/http/reference-page.ts'
import { startTestService } from '../support/service.ts'

const { app } = await startTestService({ onEnd: afterAll })
const response = await app.request('/docs')
const page = await response.text()

test('the page shows every route, every schema and every code', () => {
  const document = describeApi(app)
  for (const path of Object.keys(document.paths)) expect(page).toContain(`<code>${path}</code>`)
  for (const name of Object.keys(document.components.schemas)) expect(page).toContain(`id="schema-${name}"`)
  for (const code of ['unwrap_failed', 'rollback_detected', 'precondition_required']) {
    expect(page).toContain(`<code>${code}</code>`)
  }
})

test('its links lead somewhere, and each place has one name', () => {
  const ids = [...page.matchAll(/ id="([^"]+)"/gu)].map(([, id]) => id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const [, target] of page.matchAll(/href="#([^"]+)"/gu)) expect(ids).toContain(target)
})

test('it loads nothing, runs nothing, and allows its own style alone', () => {
  expect(page).not.toMatch(/<script|<link|<img|<iframe|src=|url\(|@import|https?:|javascript:|\son\w+=/iu)
  const [, style = ''] = /<style>([^]*?)<\/style>/u.exec(page) ?? []
  const hash = createHash('sha256').update(style).digest('base64')
  expect(response.headers.get('content-security-policy')).toBe(
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  )
})

test('text of the document is text on the page', () => {
  const document = describeApi(app)
  const [path = ''] = Object.keys(document.paths)
  const summary = `<img src=x onerror="alert('1')"> & \`code\``
  const hostile = { get: { ...document.paths[path]?.['get'], summary, responses: {} } }
  const rendered = renderReference({ ...document, paths: { [path]: hostile } })
  expect(rendered).not.toContain('<img')
  expect(rendered).toContain(
    '&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp; <code>code</code>',
  )
})
