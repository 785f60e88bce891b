/** Whole manifests of the kind SealedSecret, YAML or JSON, and the Secret that the controller makes of one. */

import { isMap, parseAllDocuments } from 'yaml'

import { isObject } from '../json-text.ts'
import { LegacyError, malformed } from './legacy-format.ts'

type Members = Readonly<Record<string, unknown>>

export interface SealedManifest {
  /** Of OAEP. */
  readonly label: string
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly template: Members
  readonly sealed: ReadonlyMap<string, string>
}

/**
 * @returns Undefined when the text is no such manifest, and not several of them; an error when it is one that cannot be read.
 */
export function readManifest(text: string): SealedManifest | LegacyError | undefined {
  // Only what names its kind is parsed: tables are full of other text.
  if (!/(?:^|[\s"'{,])kind["']?\s*:\s*["']?SealedSecret\b/.test(text)) return undefined
  const documents = parseAllDocuments(text, { schema: 'core', logLevel: 'silent', uniqueKeys: true })
  const [document] = documents
  if (document === undefined || !('contents' in document) || !isMap(document.contents)) return undefined
  if (documents.length > 1) return new LegacyError('unsupported', 'it holds more than one document')
  if (document.errors.length > 0) return malformed('its YAML is not well-formed')
  try {
    // Aliases are few in a manifest; a bound keeps a small text from becoming a large value.
    return manifestOf(document.toJS({ maxAliasCount: 10 }) as unknown)
  } catch (error) {
    return error instanceof LegacyError ? error : malformed('its YAML does not resolve')
  }
}

function manifestOf(value: unknown): SealedManifest | undefined {
  const { apiVersion, kind, metadata, spec } = membersOf(value)
  if (kind !== 'SealedSecret' || !String(apiVersion).startsWith('bitnami.com/')) return undefined
  const { name, namespace, annotations } = membersOf(metadata)
  const { encryptedData, template } = membersOf(spec)
  if (typeof name !== 'string' || !isObject(encryptedData)) {
    throw malformed('it has no name or no encryptedData')
  }
  const place = typeof namespace === 'string' ? namespace : ''
  const sealed = new Map<string, string>()
  for (const [item, text] of Object.entries(encryptedData)) {
    if (typeof text !== 'string') throw malformed('an item of its encryptedData is no text')
    sealed.set(item, text)
  }
  const known = membersOf(template)
  if (known['data'] !== undefined) {
    throw new LegacyError('unsupported', 'its template renders data, which only the controller does')
  }
  return {
    label: labelOf(membersOf(annotations), place, name),
    metadata: { name, namespace: place },
    template: known,
    sealed,
  }
}

const annotation = 'sealedsecrets.bitnami.com/'

function labelOf(annotations: Members, namespace: string, name: string): string {
  if (annotations[`${annotation}cluster-wide`] === 'true') return ''
  if (namespace === '') throw malformed('it does not say its namespace, which it is sealed for')
  return annotations[`${annotation}namespace-wide`] === 'true' ? namespace : `${namespace}/${name}`
}

function membersOf(value: unknown): Members {
  return isObject(value) ? value : {}
}

/** The Secret as JSON, in a buffer that the caller owns. */
export function secretOf(
  { metadata, template, sealed }: SealedManifest,
  open: (text: string) => Uint8Array,
): Uint8Array {
  const data: Record<string, string> = {}
  for (const [item, text] of sealed) {
    const plaintext = open(text)
    data[item] = Buffer.from(plaintext).toString('base64')
    plaintext.fill(0)
  }
  const { name, namespace } = metadata
  const place = namespace === '' ? {} : { namespace }
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...membersOf(template['metadata']), name, ...place },
    ...('type' in template ? { type: template['type'] } : {}),
    ...('immutable' in template ? { immutable: template['immutable'] } : {}),
    data,
  }
  return Buffer.from(JSON.stringify(secret))
}
