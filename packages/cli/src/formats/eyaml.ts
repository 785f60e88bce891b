/**
 * Values of hiera-eyaml: CMS in base64 between `ENC[PKCS7,` and `]`, as a whole value. YAML may have folded the line. Without a scheme
 * it is PKCS7, as in the first releases. AES-256-CBC and RSAES-PKCS1-v1_5, nothing authenticated.
 */

import { cmsValue } from './cms.ts'
import { decodeText } from './encodings.ts'
import { LegacyError, malformed } from './legacy-format.ts'
import type { LegacyFormat, LegacyValue } from './legacy-format.ts'

/** The format; reads the first cell. */
export const eyaml: LegacyFormat = {
  name: 'eyaml',
  recognize([cell]) {
    const text = typeof cell === 'string' ? cell : cell instanceof Uint8Array ? asText(cell) : undefined
    const found = text === undefined ? null : /^\s*ENC\[(?:(\w{1,32}),)?([A-Za-z0-9+/=\s]+)\]\s*$/.exec(text)
    return found === null ? undefined : valueOf(found[1], found[2] ?? '')
  },
}

/** One value within a longer text, a YAML file for example. */
export interface EyamlBlock {
  /** Offset of `ENC[`, in UTF-16 units. */
  readonly start: number
  /** Offset behind `]`. */
  readonly end: number
  readonly value: LegacyValue
}

/** All values in a text, in their order, none of which overlap. */
export function findEyaml(text: string): EyamlBlock[] {
  return [...text.matchAll(/ENC\[(?:(\w{1,32}),)?([A-Za-z0-9+/= \r\n]+)\]/g)].map((found) => ({
    start: found.index,
    end: found.index + found[0].length,
    value: valueOf(found[1], found[2] ?? ''),
  }))
}

function asText(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 64)).toString('latin1')
  return /^\s*ENC\[/.test(start) ? new TextDecoder().decode(bytes) : undefined
}

function valueOf(scheme = 'PKCS7', base64: string): LegacyValue {
  if (scheme.toUpperCase() !== 'PKCS7') return unread(scheme.toUpperCase())
  return cmsValue(() => {
    const bytes = decodeText(base64.replaceAll(/\s+/g, ''), 'base64')
    if (bytes === undefined) throw malformed('it is not base64')
    return bytes
  })
}

/** Schemes come from plug-ins, GPG above all: only names are repeated, which the pattern has seen to. */
function unread(scheme: string): LegacyValue {
  return {
    keyId: undefined,
    wrapping: scheme,
    body: scheme,
    isAuthenticated: true,
    open() {
      throw new LegacyError('unsupported', `the eyaml scheme ${scheme} is not read, only PKCS7`)
    },
  }
}
