/** The section `reencrypt` of longhold.yaml: what the flags say, and the layouts that no flag could declare. */

import { z } from 'zod'

import { builtInFormats, isBuiltIn } from '../formats/built-in.ts'
import type { BuiltInFormat } from '../formats/built-in.ts'
import type { PartPlace } from '../formats/declared-parts.ts'
import { modeOf } from '../formats/declared.ts'
import type { AadPart, BodyCipher, DeclaredLayout, Witness } from '../formats/declared.ts'
import type { Config } from '../shell/config.ts'
import { usage } from '../shell/errors.ts'
import { closest } from '../shell/text.ts'
import type { FormatChoice } from './reencrypt-formats.ts'

const encoding = z.enum(['base64', 'base64url', 'hex', 'binary', 'utf8'])
const place = z.strictObject({ column: z.string().optional(), member: z.string().optional(), encoding })
const hash = z.enum(['sha1', 'sha224', 'sha256', 'sha384', 'sha512'])
const hex = z.string().regex(/^(?:[0-9a-fA-F]{2})*$/u, 'is not hexadecimal')

const layout = z.strictObject({
  'wrapped-key': place,
  iv: z.union([z.literal('front'), place]),
  ciphertext: place,
  tag: z.union([z.literal('end'), place]).optional(),
  'key-id': place.optional(),
  oaep: z.strictObject({
    hash,
    // No default: what libraries take for granted here differs, and guessing is how data gets lost.
    'mgf1-hash': hash,
    label: z.string().optional(),
    'label-hex': hex.optional(),
  }),
  cipher: z.string(),
  witness: z
    .union([
      z.strictObject({ sha256: place }),
      z.strictObject({ 'starts-with': z.string().min(4) }),
      z.strictObject({ 'starts-with-hex': hex.min(8) }),
      z.strictObject({ json: z.literal(true) }),
    ])
    .optional(),
  aad: z.array(z.union([z.strictObject({ text: z.string() }), z.strictObject({ hex }), place])).default([]),
})

/** A format of ours by a name of one's own, with what is to be known of it. */
const configured = z.looseObject({ type: z.string() })
const formatEntry = z.union([configured, layout])

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

type Layout = z.infer<typeof layout>
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

/** @throws CliError (exit 2) for what the schema cannot say. */
function toLayout(name: string, declared: Layout, valueColumn: string): DeclaredLayout {
  const at = (part: z.infer<typeof place>): PartPlace => ({ ...part, column: part.column ?? valueColumn })
  const ciphertext = at(declared.ciphertext)
  if (ciphertext.column !== valueColumn) {
    throw usage(
      `format ${name}: its ciphertext is in column ${ciphertext.column}, but the run is on ${valueColumn}`,
      {
        hint: `give --column ${ciphertext.column}, or leave the format out with --format`,
      },
    )
  }
  const { oaep } = declared
  const cipher = checkCipher(name, declared)
  if (oaep.label !== undefined && oaep['label-hex'] !== undefined) {
    throw usage(`format ${name}: oaep has both label and label-hex`, { hint: 'keep one of them' })
  }
  const label =
    oaep['label-hex'] === undefined ? Buffer.from(oaep.label ?? '') : Buffer.from(oaep['label-hex'], 'hex')
  return {
    name,
    wrappedKey: at(declared['wrapped-key']),
    iv: declared.iv === 'front' ? 'front' : at(declared.iv),
    ciphertext,
    tag: declared.tag === undefined ? 'none' : declared.tag === 'end' ? 'end' : at(declared.tag),
    keyId: declared['key-id'] === undefined ? undefined : at(declared['key-id']),
    oaep: { hash: oaep.hash, mgf1Hash: oaep['mgf1-hash'], label: Uint8Array.from(label) },
    cipher,
    witness: toWitness(declared.witness, at),
    aad: declared.aad.map((part): AadPart => {
      if ('text' in part) return { bytes: Uint8Array.from(Buffer.from(part.text)) }
      if ('hex' in part) return { bytes: Uint8Array.from(Buffer.from(part.hex, 'hex')) }
      return at(part)
    }),
  }
}

/** A tag with GCM; with CBC none, nor data that only a tag could cover. */
function checkCipher(name: string, declared: Layout): BodyCipher {
  const { cipher, tag, aad, witness } = declared
  const mode = modeOf(cipher)
  if (mode === undefined) {
    throw usage(`format ${name}: cipher ${cipher} is not read`, {
      hint: 'aes-128-gcm, aes-192-gcm, aes-256-gcm, and the same with cbc, are read',
    })
  }
  if (mode === 'gcm' && tag === undefined) {
    throw usage(`format ${name}: ${cipher} has a tag, and nothing says where`, {
      hint: 'tag: end, or a place',
    })
  }
  if (mode === 'gcm' && witness !== undefined) {
    throw usage(`format ${name}: ${cipher} has a tag and needs no witness`, { hint: 'leave witness out' })
  }
  if (mode === 'cbc' && (tag !== undefined || aad.length > 0)) {
    throw usage(`format ${name}: ${cipher} has neither tag nor additional data`, {
      hint: 'leave tag and aad out',
    })
  }
  // Its own words: modeOf knows exactly these.
  return cipher as BodyCipher
}

function toWitness(
  declared: Layout['witness'],
  at: (part: z.infer<typeof place>) => PartPlace,
): Witness | undefined {
  if (declared === undefined) return undefined
  if ('json' in declared) return { kind: 'json' }
  if ('sha256' in declared) return { kind: 'sha256', place: at(declared.sha256) }
  const bytes =
    'starts-with' in declared
      ? Buffer.from(declared['starts-with'])
      : Buffer.from(declared['starts-with-hex'], 'hex')
  return { kind: 'starts-with', bytes: Uint8Array.from(bytes) }
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
  const known = path.length === 0 ? Object.keys(section.shape) : Object.keys(layout.shape)
  const meant = closest(unknown, known)
  return usage(`${shown}: unknown entry ${where}.${unknown}`, {
    hint: meant === undefined ? 'docs/reencrypt.md lists the entries' : `did you mean ${meant}?`,
  })
}
