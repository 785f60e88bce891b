/** Examples, made from schemas: what a schema says of itself, else the first or smallest thing that it takes. */

/** As much of JSON Schema as our schemas come to. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly example?: unknown
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly description?: string
  readonly format?: string
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly minItems?: number
}

type Schemas = Readonly<Record<string, Schema>>

const refPrefix = '#/components/schemas/'

/** What a reference leads to; the schema itself when it is none. */
export function resolve(schema: Schema, schemas: Schemas): Schema {
  const { $ref } = schema
  if ($ref === undefined) return schema
  const target = schemas[$ref.slice(refPrefix.length)]
  if (target === undefined) throw new Error(`${$ref} leads nowhere`)
  return target
}

/** The name behind a reference. */
export function referenceName({ $ref }: Schema): string | undefined {
  return $ref?.slice(refPrefix.length)
}

export function exampleOf(given: Schema, schemas: Schemas): unknown {
  const schema = resolve(given, schemas)
  if (schema.example !== undefined) return schema.example
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  const [choice] = schema.anyOf ?? schema.oneOf ?? []
  if (choice !== undefined) return exampleOf(choice, schemas)
  if (schema.allOf !== undefined) {
    return Object.assign({}, ...schema.allOf.map((one) => exampleOf(one, schemas) as object)) as unknown
  }
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([name, one]) => [name, exampleOf(one, schemas)]),
      )
    case 'array':
      return [exampleOf(schema.items ?? {}, schemas)]
    case 'integer':
    case 'number':
      return schema.minimum ?? (schema.exclusiveMinimum ?? 0) + 1
    case 'boolean':
      return true
    case 'string':
      return exampleText(schema)
    default:
      return null
  }
}

/** Of base64url, the one pattern of which any length may be asked; others say their example. */
function exampleText({ pattern, minLength = 1 }: Schema): string {
  return pattern === undefined ? 'text'.padEnd(minLength, '.') : 'A'.repeat(minLength)
}
