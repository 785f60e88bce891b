/** What somebody knows of every plaintext, which tells a wrong data key where a format itself has no tag. */

import { z } from 'zod'

import { parseStrictJson } from '../json-text.ts'
import { cannotOpen } from './legacy-format.ts'
import type { LegacyFormat, LegacyValue } from './legacy-format.ts'

/** As `longhold.yaml` says it of a format: `witness: { json: true }`. */
export const witnessSettings = z.strictObject({
  witness: z
    .union([
      z.strictObject({ 'starts-with': z.string().min(4) }),
      z.strictObject({
        'starts-with-hex': z
          .string()
          .regex(/^(?:[0-9a-fA-F]{2}){4,}$/, 'is not hexadecimal of 4 bytes or more'),
      }),
      z.strictObject({ json: z.literal(true) }),
      z.strictObject({ text: z.literal(true) }),
    ])
    .optional(),
})

type Witness = NonNullable<z.infer<typeof witnessSettings>['witness']>

/**
 * The format with a witness: values whose bodies have no tag count as authenticated, and open only to a plaintext that fits.
 *
 * @param settings As the schema leaves them; undefined: none.
 */
export function withWitness(format: LegacyFormat, settings: unknown): LegacyFormat {
  const witness = settings === undefined ? undefined : witnessSettings.parse(settings).witness
  if (witness === undefined) return format
  const fits = checkOf(witness)
  return {
    name: format.name,
    recognize(cells) {
      const value = format.recognize(cells)
      return value === undefined || value.isAuthenticated ? value : witnessed(value, witness, fits)
    },
  }
}

function witnessed(
  value: LegacyValue,
  witness: Witness,
  fits: (plaintext: Uint8Array) => boolean,
): LegacyValue {
  const checked = (plaintext: Uint8Array): Uint8Array => {
    if (fits(plaintext)) return plaintext
    plaintext.fill(0)
    throw cannotOpen()
  }
  const { keyId, wrapping, body } = value
  return {
    keyId,
    wrapping,
    body: `${body}, witness ${Object.keys(witness).join()}`,
    isAuthenticated: true,
    open(keys) {
      const opened = value.open(keys)
      return opened instanceof Uint8Array ? checked(opened) : opened.then(checked)
    },
  }
}

function checkOf(witness: Witness): (plaintext: Uint8Array) => boolean {
  if ('json' in witness) return isJson
  if ('text' in witness) return isText
  const start =
    'starts-with' in witness
      ? Buffer.from(witness['starts-with'])
      : Buffer.from(witness['starts-with-hex'], 'hex')
  return (plaintext) => start.equals(plaintext.subarray(0, start.length))
}

function isJson(plaintext: Uint8Array): boolean {
  try {
    parseStrictJson(decoder.decode(plaintext))
    return true
  } catch {
    return false
  }
}

/** UTF-8 without control characters but tab and line ends: one of 200,000 random blocks of 16 bytes is that. */
function isText(plaintext: Uint8Array): boolean {
  try {
    return !/[^\P{Cc}\t\n\r]/u.test(decoder.decode(plaintext))
  } catch {
    return false
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
