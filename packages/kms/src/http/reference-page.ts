/** The description of the API as one page of HTML: no script, nothing loaded from anywhere. */

import { createHash } from 'node:crypto'

import type { Answer, Content, Document, Operation, Parameter } from './openapi.ts'
import { escapeHtml, inlineText, schemaHtml } from './reference-schema.ts'
import { referenceStyle } from './reference-style.ts'

const styleHash = createHash('sha256').update(referenceStyle).digest('base64')

/** The page can do nothing but show itself, in its own style. */
export const referencePolicy =
  `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; ` +
  `form-action 'none'; frame-ancestors 'none'`

interface Entry {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly operation: Operation
}

export function renderReference(document: Document): string {
  const entries = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): Entry => {
      const id = operation.operationId ?? `${method}${path}`
      return { id, method: method.toUpperCase(), path, operation }
    }),
  )
  const groups = [...Map.groupBy(entries, ({ operation }) => operation.tags?.[0] ?? '')].toSorted(
    ([a], [b]) => (a < b ? -1 : 1),
  )
  const { title, description } = document.info
  const responses = document.components['responses'] as Readonly<Record<string, Answer>>
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}: API</title>
<style>${referenceStyle}</style>
</head>
<body>
<nav aria-label="Routes">
<p class="title"><a href="#top">${escapeHtml(title)}</a></p>
${groups.map(([tag, each]) => navGroup(tag, each)).join('\n')}
<h2><a href="#problems">problems</a></h2>
<h2><a href="#schemas">schemas</a></h2>
</nav>
<main id="top">
<h1>${escapeHtml(title)}: API</h1>
<p>${inlineText(description)}</p>
<p>A token goes into the header <code>Authorization: Bearer lhk_…</code>. For programs:
<a href="openapi.json">openapi.json</a> (OpenAPI ${escapeHtml(document.openapi)}).</p>
${groups.map(([tag, each]) => section(tag, each)).join('\n')}
<section><h2 id="problems">problems</h2>
<p>Any of these as <code>application/problem+json</code>:</p>
${problemTableHtml(responses)}
</section>
<section><h2 id="schemas">schemas</h2>
${Object.entries(document.components.schemas)
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, schema]) => {
    return `<article id="schema-${name}"><h3>${escapeHtml(name)}</h3>${schemaHtml(schema)}</article>`
  })
  .join('\n')}
</section>
</main>
</body>
</html>
`
}

function navGroup(tag: string, entries: readonly Entry[]): string {
  const links = entries.map(
    ({ id, method, path }) =>
      `<li><a href="#${id}">${badge(method)} <span>${escapeHtml(shortPath(path)).replaceAll('/', '/<wbr>')}</span></a></li>`,
  )
  return `<h2>${escapeHtml(tag)}</h2><ul>${links.join('')}</ul>`
}

function section(tag: string, entries: readonly Entry[]): string {
  return `<section><h2>${escapeHtml(tag)}</h2>\n${entries.map(operationHtml).join('\n')}</section>`
}

function operationHtml({ id, method, path, operation }: Entry): string {
  const { summary = '', description, parameters = [], requestBody, responses } = operation
  const isOpen = operation.security?.length === 0
  return `<article id="${id}">
<h3>${badge(method)} <code>${escapeHtml(path)}</code></h3>
<p class="summary">${inlineText(summary)}</p>
${description === undefined ? '' : `<p>${inlineText(description)}</p>`}
${isOpen ? '<p>Takes no token.</p>' : ''}
${parameters.length === 0 ? '' : parametersHtml(parameters)}
${requestBody === undefined ? '' : `<h4>Body</h4>${contentHtml(requestBody.content)}`}
${Object.entries(responses)
  .filter(([, answer]) => !('$ref' in answer))
  .map(([status, answer]) => answerHtml(status, answer))
  .join('\n')}
<p class="problems">Problems: ${Object.entries(responses)
    .filter(([, answer]) => '$ref' in answer)
    .map(([status]) => `<a href="#problem-${status}">${status}</a>`)
    .join(' ')}</p>
</article>`
}

function parametersHtml(parameters: readonly Parameter[]): string {
  const rows = parameters.map(({ name, in: place, required, description = '', schema }) => {
    const need = required === true ? ' <em>required</em>' : ''
    return (
      `<tr><td><code>${escapeHtml(name)}</code><small>${escapeHtml(place)}${need}</small></td>` +
      `<td>${description === '' ? '' : `${inlineText(description)}<br>`}${schemaHtml(schema)}</td></tr>`
    )
  })
  return `<h4>Parameters</h4><table>${rows.join('')}</table>`
}

function answerHtml(status: string, { description, content, headers }: Answer): string {
  const names = Object.keys(headers ?? {}).map((name) => `<code>${escapeHtml(name)}</code>`)
  return (
    `<h4>Answer ${escapeHtml(status)}</h4><p>${inlineText(description)}` +
    `${names.length === 0 ? '' : ` <small>headers ${names.join(', ')}</small>`}</p>` +
    (content === undefined ? '' : contentHtml(content))
  )
}

function contentHtml(content: Content): string {
  return Object.entries(content)
    .map(([type, { schema, example }]) => {
      const shown =
        example === undefined
          ? ''
          : `<details><summary>Example</summary><pre>${escapeHtml(JSON.stringify(example, undefined, 2))}</pre></details>`
      const name = type === 'application/json' ? '' : `<p><code>${escapeHtml(type)}</code></p>`
      return `${name}${schemaHtml(schema)}${shown}`
    })
    .join('')
}

function problemTableHtml(responses: Readonly<Record<string, Answer>>): string {
  const rows = Object.entries(responses).map(([name, { description }]) => {
    const status = name.replace('Problem', '')
    const lines = description.split('; ').map((line) => inlineText(line))
    return `<tr id="problem-${status}"><td>${status}</td><td>${lines.join('<br>')}</td></tr>`
  })
  return `<table>${rows.join('')}</table>`
}

function badge(method: string): string {
  return `<b class="method ${method.toLowerCase()}">${escapeHtml(method)}</b>`
}

function shortPath(path: string): string {
  return path.replace(/^\/v1\//u, '')
}
