/** The section `reencrypt` of longhold.yaml: what the flags say, and the layouts that no flag could declare. */

import { z } from 'zod'

import { builtInFormats, isBuiltIn } from '../formats/built-in.ts'
import type { BuiltInFormat } from '../formats/built-in.ts'
import type { Config } from '../shell/config.ts'
import { usage } from '../shell/errors.ts'
import { closest } from '../shell/text.ts'
import type { FormatChoice } from './reencrypt-formats.ts'
import { layoutEntries, layoutEntry, toLayout } from './reencrypt-layout.ts'

/** A format of ours by a name of one's own, with what is to be known of it. */
const configured = z.looseObject({ type: z.string() })
const formatEntry = z.union([configured, layoutEntry])

const count = z.int().min(1).optional()
const privateKey = z.union([
  z.string().transform((file) => ({ file, 'key-ids': [] as string[] })),
  z.strictObject({
    file: z.string(),
    'key-ids': z.array(z.string()).default([]),
    'passphrase-file': z.string().optional(),
    'passphrase-env': z.string().optional(),
  }),
  z.strictObject({
    command: z.array(z.string()).min(1),
    'key-ids': z.array(z.string()).default([]),
  }),
])

const section = z.strictObject({
  target: z.string().optional(),
  table: z.string().optional(),
  column: z.string().optional(),
  id: z.string().optional(),
  delimiter: z.string().optional(),
  dataset: z.string().optional(),
  format: z.union([z.string().transform((one) => [one]), z.array(z.string())]).optional(),
  'private-keys': z.array(privateKey).default([]),
  formats: z.record(z.string(), formatEntry).default({}),
  workers: count,
  'batch-rows': count,
  'data-key-records': count,
  'data-key-bytes': count,
  'data-key-hours': count,
  'check-every': count,
  'max-passes': count,
  'dead-letters': z.string().optional(),
  'keyring-key': z.string().optional(),
  'accept-unauthenticated': z.boolean().default(false),
  'busy-timeout': z.int().min(0).optional(),
  'consumer-ready': z.boolean().default(false),
  originals: z.boolean().default(true),
  include: z.array(z.string()).default([]),
  exclude: z.array(z.string()).default([]),
  endpoint: z.string().optional(),
  'state-file': z.string().optional(),
  context: z.record(z.string(), z.string()).optional(),
  xattrs: z.boolean().default(true),
  'max-rows-per-second': count,
  'max-bytes-per-second': count,
  'pause-file': z.string().optional(),
  'pause-query': z.string().optional(),
  'pause-above': z.int().min(0).optional(),
})

export type ReencryptConfig = z.infer<typeof section>
export type PrivateKeyConfig = PrivateKeyFile | { readonly command: string[]; readonly 'key-ids': string[] }

interface PrivateKeyFile {
  readonly file: string
  readonly 'key-ids': string[]
  readonly 'passphrase-file'?: string | undefined
  readonly 'passphrase-env'?: string | undefined
}

/** @throws CliError (exit 2) that names the entry. */
export function parseReencryptConfig(config: Config): ReencryptConfig {
  const result = section.safeParse(config.reencrypt ?? {})
  if (result.success) return result.data
  throw invalid(mostTelling(result.error.issues), config.path ?? '')
}

/** The formats that were named, in that order; without names all that are declared, then the built-in ones. */
export function chooseFormats(
  names: readonly string[] | undefined,
  formats: ReencryptConfig['formats'],
  valueColumn: string,
): FormatChoice[] {
  const builtIn = Object.keys(builtInFormats)
  const taken = Object.keys(formats).find(isBuiltIn)
  if (taken !== undefined) {
    throw usage(`a declared format may not be called ${taken}`, { hint: 'that is a format of its own' })
  }
  return (names ?? [...Object.keys(formats), ...builtIn]).map((name) => {
    if (isBuiltIn(name)) return { kind: 'built-in', type: name }
    const declared = Object.hasOwn(formats, name) ? formats[name] : undefined
    if (declared === undefined) {
      const known = [...builtIn, ...Object.keys(formats)]
      throw usage(`no format ${name}`, {
        hint: `there are: ${known.join(', ')}${closest(name, known) === undefined ? '; longhold.yaml declares others' : ''}`,
      })
    }
    if ('type' in declared) return toBuiltIn(name, declared)
    return { kind: 'declared', layout: toLayout(name, declared, valueColumn) }
  })
}

/** @throws CliError (exit 2) for a type there is not, or settings it does not take. */
function toBuiltIn(name: string, { type, ...given }: z.infer<typeof configured>): FormatChoice {
  if (!isBuiltIn(type)) {
    throw usage(`format ${name}: there is no type ${type}`, {
      hint: `there are: ${Object.keys(builtInFormats).join(', ')}`,
    })
  }
  const format: BuiltInFormat = builtInFormats[type]
  const result = (format.settings ?? z.strictObject({})).safeParse(given)
  if (result.success) return { kind: 'built-in', type, name, settings: result.data }
  const { path, message } = mostTelling(result.error.issues)
  const where = ['reencrypt', 'formats', name, ...path].map(String).join('.')
  throw usage(`${where}: ${message}`, { hint: 'docs/reencrypt.md lists the entries' })
}

interface Issue {
  readonly code: string
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly keys?: readonly string[]
  readonly errors?: readonly (readonly Issue[])[]
}

/** Of a union that fits nowhere, the complaint of the branch that came furthest. */
function mostTelling(issues: readonly Issue[], above: readonly PropertyKey[] = []): Issue {
  const [first] = issues
  if (first === undefined) return { code: 'custom', path: above, message: 'is not as it must be' }
  const path = [...above, ...first.path]
  const inner = (first.errors ?? []).map((branch) => mostTelling(branch, path))
  return inner.reduce((best, one) => (one.path.length > best.path.length || one.keys ? one : best), {
    ...first,
    path,
  })
}

function invalid({ path, keys, message }: Issue, shown: string): Error {
  const where = ['reencrypt', ...path].map(String).join('.')
  const [unknown] = keys ?? []
  if (unknown === undefined) {
    return usage(`${shown}: ${where}: ${message}`, { hint: 'docs/reencrypt.md lists the entries' })
  }
  const known = path.length === 0 ? Object.keys(section.shape) : layoutEntries
  const meant = closest(unknown, known)
  return usage(`${shown}: unknown entry ${where}.${unknown}`, {
    hint: meant === undefined ? 'docs/reencrypt.md lists the entries' : `did you mean ${meant}?`,
  })
}
