/**
 * Sealed Secrets (bitnami-labs/sealed-secrets, `pkg/crypto`): length, a key wrapped with RSA-OAEP and SHA-256, AES-256-GCM. The OAEP
 * label is where the secret may live: namespace and name, the namespace, or nothing. Single values, and whole manifests.
 */

import { gcmTagBytes, openGcm } from './aes.ts'
import { looksLikeAwsMessage } from './aws-message.ts'
import type { SealedSecretsSettings } from './built-in-settings.ts'
import { ByteReader } from './byte-reader.ts'
import { decodeText } from './encodings.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { Cell, LegacyFormat, LegacyValue, PrivateKeys } from './legacy-format.ts'
import { readManifest, secretOf } from './sealed-secrets-manifest.ts'

type TextOrColumn = string | { readonly column: string }

/**
 * The format; reads the first cell.
 *
 * @param settings Of single values; undefined: only whole manifests are recognised, since a value alone does not say what it
 *   is nor where it belongs.
 * @throws RangeError when they name a column that is not there.
 */
export function sealedSecretsFormat(
  settings: SealedSecretsSettings | undefined,
  columns: readonly string[],
): LegacyFormat {
  const labelIn = settings === undefined ? undefined : labelReader(settings, columns)
  return {
    name: 'sealed-secrets',
    recognize(cells) {
      const cell = cells[0] ?? null
      const text = cell instanceof Uint8Array ? asText(cell) : cell
      if (typeof text !== 'string') return undefined
      const manifest = readManifest(text)
      if (manifest !== undefined) return manifestValue(manifest)
      if (labelIn === undefined || !looksSealed(text)) return undefined
      return { ...about, open: (keys) => openSealed(text, labelIn(cells), keys) }
    },
  }
}

/** Neither has an unprintable start, and Kubernetes keeps no secret beyond 1 MiB. */
function asText(bytes: Uint8Array): string | undefined {
  const [first = 0] = bytes
  const isText = (first >= 0x20 && first < 0x7f) || first === 0x0a || first === 0x0d || first === 0x09
  return isText && bytes.length < 2 * 1024 * 1024 ? new TextDecoder().decode(bytes) : undefined
}

const about = {
  keyId: undefined,
  wrapping: 'RSA-OAEP sha256, labelled',
  body: 'aes-256-gcm',
  isAuthenticated: true,
} as const satisfies Partial<LegacyValue>

/** A length as RSA keys have it, and room for the rest. */
function looksSealed(text: string): boolean {
  const head = Buffer.from(text.trimStart().slice(0, 64), 'base64')
  const wrappedBytes = head.length < 2 ? 0 : head.readUInt16BE(0)
  if (wrappedBytes < 128 || wrappedBytes > 2048 || looksLikeAwsMessage(head)) return false
  return (text.length * 3) / 4 >= 2 + wrappedBytes + gcmTagBytes && /^[A-Za-z0-9+/=\s]+$/.test(text)
}

function labelReader(settings: SealedSecretsSettings, columns: readonly string[]) {
  const reader = (part: TextOrColumn) => {
    if (typeof part === 'string') return () => part
    const index = columns.indexOf(part.column)
    if (index < 0) throw new RangeError(`no column ${part.column}`)
    return (cells: readonly Cell[]): string => {
      const cell = cells[index]
      if (typeof cell !== 'string') throw malformed(`${part.column} is no text, and names where it belongs`)
      return cell
    }
  }
  if (settings.scope === 'cluster-wide') return () => ''
  const namespace = reader(settings.namespace)
  if (settings.scope === 'namespace-wide') return namespace
  const name = reader(settings.name)
  return (cells: readonly Cell[]) => `${namespace(cells)}/${name(cells)}`
}

function manifestValue(manifest: NonNullable<ReturnType<typeof readManifest>>): LegacyValue {
  return {
    ...about,
    body: 'aes-256-gcm, a manifest',
    open(keys) {
      if (manifest instanceof LegacyError) throw manifest
      return secretOf(manifest, (text) => openSealed(text, manifest.label, keys))
    },
  }
}

function openSealed(text: string, label: string, keys: PrivateKeys): Uint8Array {
  const bytes = decodeText(text.trim(), 'base64')
  if (bytes === undefined) throw malformed('it is not base64')
  const reader = new ByteReader(bytes)
  const wrapped = reader.take(reader.uint16())
  const body = reader.take(reader.left)
  if (body.length < gcmTagBytes) throw malformed('it is shorter than the tag at its end')
  const candidates = keys.candidates(undefined)
  if (candidates.length === 0) throw new LegacyError('no_private_key', 'no private key was given')
  const end = body.length - gcmTagBytes
  const [ciphertext, tag] = [body.subarray(0, end), body.subarray(end)]
  for (const key of candidates) {
    const parameters = { hash: 'sha256', mgf1Hash: 'sha256', label: Buffer.from(label) } as const
    const dataKey = key.unwrapOaep(wrapped, parameters)
    if (dataKey === undefined) continue
    // A data key seals one value, so that the vector is fixed: twelve zeros.
    const sealed = { key: dataKey, iv: new Uint8Array(12), ciphertext, tag, aad: new Uint8Array() }
    const plaintext = dataKey.length === 32 ? openGcm(sealed) : undefined
    dataKey.fill(0)
    if (plaintext !== undefined) return plaintext
  }
  throw cannotOpen()
}
