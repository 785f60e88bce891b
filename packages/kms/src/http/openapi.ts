/**
 * The description of the API (OpenAPI 3.1), made from the schemas that the handlers use and the table of routes. What
 * every route has in common — problems, headers, token, dry run, idempotency key — is said here, once.
 */

import type { App } from './env.ts'
import { exampleOf } from './openapi-examples.ts'
import type { Schema } from './openapi-examples.ts'
import { problemTable } from './problems.ts'
import { codesOf } from './route-problems.ts'
import { changes, routeTable } from './route-table.ts'
import type { RouteRule } from './route-table.ts'

/** As much of OpenAPI as is made and read here. */
export interface Document {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>
    readonly [kind: string]: Readonly<Record<string, unknown>>
  }
}

export interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly operationId?: string
  readonly tags?: readonly string[]
  readonly security?: readonly unknown[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required?: boolean; readonly content: Content }
  readonly responses: Readonly<Record<string, Answer>>
}

export interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly description?: string
  readonly schema: Schema
}

export interface Answer {
  readonly description: string
  readonly headers?: Readonly<Record<string, unknown>>
  readonly content?: Content
}

export type Content = Readonly<Record<string, { readonly schema: Schema; readonly example?: unknown }>>

const description = [
  'Keeps hybrid post-quantum wrapping keys, and unwraps and rewraps data keys with them.',
  'Bytes are base64url without padding, times are RFC 3339 in UTC, fields that are not known are refused.',
  'Errors are problem details (RFC 9457) with a stable `code`.',
].join(' ')

/** What belongs together, by the first part of its path. */
const tags: Readonly<Record<string, string>> = {
  aliases: 'keys',
  unwrap: 'data keys',
  rewrap: 'data keys',
  principals: 'access',
  grants: 'access',
  authz: 'access',
  tokens: 'access',
  sys: 'operation',
  '': 'operation',
}

const requestIdHeader = {
  'X-Request-Id': { description: 'The same as in the log', schema: { type: 'string' } },
}
const changeParameters: readonly Parameter[] = [
  {
    name: 'dry_run',
    in: 'query',
    description: 'Check everything and change nothing',
    schema: { type: 'string', enum: ['false', 'true'] },
  },
  {
    name: 'Idempotency-Key',
    in: 'header',
    description: 'The same change sent again under its key is made once, and answered alike for a day',
    schema: { type: 'string', minLength: 1, maxLength: 128, pattern: '^[!-~]+$' },
  },
]
const ifMatch: Parameter = {
  name: 'If-Match',
  in: 'header',
  description: 'The ETag that the key had when it was read: the change is made in that state only',
  schema: { type: 'string', example: '"3"' },
}
const dryRun: Schema = {
  type: 'object',
  properties: { dry_run: { type: 'boolean', const: true }, would_answer: { type: 'integer', example: 200 } },
  required: ['dry_run', 'would_answer'],
  additionalProperties: false,
}

/** Of all routes that the app serves. */
export function describeApi(app: App): Document {
  const generated = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Longhold key service', version: '1', description },
  })
  // The generator's types are wider than what it makes of our routes.
  const made = JSON.parse(JSON.stringify(generated), mendPattern) as Document
  const schemas = { ...made.components.schemas, DryRun: dryRun }
  const paths = Object.entries(made.paths)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, operations]) => {
      const completed = Object.entries(operations).map(([method, operation]) => [
        method,
        complete(`${method.toUpperCase()} ${path}`, operation, schemas),
      ])
      return [path, Object.fromEntries(completed)] as const
    })
  return {
    ...made,
    paths: Object.fromEntries(paths),
    components: {
      ...made.components,
      schemas,
      responses: problemResponses(),
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'A token of this service: `lhk_<id>_<secret>`',
        },
      },
    },
  }
}

/** The generator takes the flags of a regular expression for a part of its pattern. */
function mendPattern(name: string, value: unknown): unknown {
  return name === 'pattern' && typeof value === 'string' ? value.replace(/\/[a-z]+$/u, '') : value
}

function complete(name: string, operation: Operation, schemas: Document['components']['schemas']): Operation {
  const rules: Readonly<Record<string, RouteRule>> = routeTable
  const rule = rules[name]
  const isChange = rule !== undefined && changes(name, rule)
  const { default: _, ...answers } = operation.responses
  const taken = rule === undefined ? [] : [`Takes the permission \`${rule.permission}\`.`]
  const text = [operation.description ?? '', ...taken].join(' ').trim()
  return {
    operationId: operationIdOf(name),
    tags: [tagOf(name)],
    ...operation,
    ...(text === '' ? {} : { description: text }),
    security: rule === undefined ? [] : [{ token: [] }],
    parameters: [
      ...(operation.parameters ?? []),
      ...(isChange ? changeParameters : []),
      ...(rule?.ifMatch === undefined ? [] : [{ ...ifMatch, required: rule.ifMatch === 'required' }]),
    ],
    ...(operation.requestBody === undefined
      ? {}
      : {
          requestBody: {
            ...operation.requestBody,
            content: withExamples(operation.requestBody.content, schemas),
          },
        }),
    responses: {
      ...Object.fromEntries(
        Object.entries(isChange ? withDryRun(answers) : answers).map(([status, answer]) => [
          status,
          completeAnswer(answer, schemas),
        ]),
      ),
      ...problemReferences(codesOf(name, rule, operation.requestBody !== undefined)),
    },
  }
}

function completeAnswer(answer: Answer, schemas: Document['components']['schemas']): Answer {
  const headers = { ...requestIdHeader, ...answer.headers }
  if (answer.content === undefined) return { ...answer, headers }
  return { ...answer, headers, content: withExamples(answer.content, schemas) }
}

/** Where a change answers 200 anyway, its dry run answers otherwise under the same status. */
function withDryRun(answers: Operation['responses']): Operation['responses'] {
  const reference = { $ref: '#/components/schemas/DryRun' }
  const ordinary = answers['200']
  const { 'application/json': json, ...others } = ordinary?.content ?? {}
  const schema = json?.schema
  const { description: what = 'Of a dry run alone' } = ordinary ?? {}
  const content = {
    'application/json': { schema: schema === undefined ? reference : { oneOf: [schema, reference] } },
    ...others,
  }
  return { ...answers, '200': { ...ordinary, description: what, content } }
}

function withExamples(content: Content, schemas: Document['components']['schemas']): Content {
  return Object.fromEntries(
    Object.entries(content).map(([type, { schema, example }]) => {
      if (type !== 'application/json') return [type, { schema }]
      return [type, { schema, example: example ?? exampleOf(schema, schemas) }]
    }),
  )
}

function problemReferences(codes: readonly (keyof typeof problemTable)[]): Record<string, Answer> {
  const statuses = [...new Set(codes.map((code) => problemTable[code].status))]
  // References are answers to whoever reads the document.
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { $ref: `#/components/responses/Problem${status}` } as unknown as Answer,
    ]),
  )
}

/** One for each status, with the codes it can have. */
function problemResponses(): Record<string, Answer> {
  // The keys of the table are exactly the codes.
  const codes = Object.keys(problemTable) as (keyof typeof problemTable)[]
  const byStatus = Map.groupBy(codes, (code) => problemTable[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, each]) => {
      const headers = {
        ...requestIdHeader,
        ...(status === 429 ? { 'Retry-After': { description: 'Seconds', schema: { type: 'integer' } } } : {}),
        ...(status === 401 ? { 'WWW-Authenticate': { schema: { type: 'string' } } } : {}),
      }
      const [code = 'internal'] = each
      const { title } = problemTable[code]
      const example = { type: 'about:blank', title, status, detail: '…', code, request_id: 'f3a1c2d4' }
      const schema = {
        allOf: [
          { $ref: '#/components/schemas/Problem' },
          { type: 'object', properties: { status: { const: status }, code: { enum: each } } },
        ],
      }
      const text = each.map((one) => `\`${one}\`: ${problemTable[one].title}`).join('; ')
      return [
        `Problem${status}`,
        { description: text, headers, content: { 'application/problem+json': { schema, example } } },
      ]
    }),
  )
}

/** `POST /v1/keys/{key}/rotate` → `postKeysByKeyRotate`: stable as long as the route is. */
function operationIdOf(name: string): string {
  const [method = '', path = ''] = name.split(' ')
  const words = path
    .replace(/^\/(?:v1\/)?/u, '')
    .split('/')
    .map((part) => (part.startsWith('{') ? `by-${part.slice(1, -1)}` : part))
    .join('-')
    .split(/[^a-z0-9]+/iu)
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function tagOf(name: string): string {
  const [, first = ''] = /^\w+ \/v1\/([a-z-]+)/u.exec(name) ?? []
  return tags[first] ?? first
}
