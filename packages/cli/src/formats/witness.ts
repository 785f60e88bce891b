/** What somebody knows of every plaintext, which tells a wrong data key where a format itself has no tag. */

import { z } from 'zod'

import { parseStrictJson } from '../json-text.ts'
import { cannotOpen, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { LegacyFormat, LegacyValue, PrivateKeys } from './legacy-format.ts'
import type { LegacyStreamFormat } from './legacy-stream.ts'

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
  const witness = witnessOf(settings)
  if (witness === undefined) return format
  return {
    name: format.name,
    recognize(cells) {
      const value = format.recognize(cells)
      if (value === undefined || value.isAuthenticated) return value
      return { ...described(value, witness), open: (keys) => openChecked(value, witness, keys) }
    },
  }
}

/** The same for whole objects: the error comes after the last piece. */
export function withStreamWitness(format: LegacyStreamFormat, settings: unknown): LegacyStreamFormat {
  const witness = witnessOf(settings)
  if (witness === undefined) return format
  return {
    name: format.name,
    recognize(head, about) {
      const stream = format.recognize(head, about)
      if (stream === undefined || stream.isAuthenticated) return stream
      return {
        ...described(stream, witness),
        open: (source, keys) => checkedPieces(stream.open(source, keys), witness),
      }
    },
  }
}

function witnessOf(settings: unknown): Witness | undefined {
  return settings === undefined ? undefined : witnessSettings.parse(settings).witness
}

function described(
  { keyId, wrapping, body }: Pick<LegacyValue, 'keyId' | 'wrapping' | 'body'>,
  witness: Witness,
) {
  const name = Object.keys(witness).join()
  return { keyId, wrapping, body: `${body}, witness ${name}`, isAuthenticated: true }
}

function openChecked(
  value: LegacyValue,
  witness: Witness,
  keys: PrivateKeys,
): Uint8Array | Promise<Uint8Array> {
  const checked = (plaintext: Uint8Array): Uint8Array => {
    if (fitsWitness(witness, plaintext)) return plaintext
    plaintext.fill(0)
    throw cannotOpen()
  }
  const opened = value.open(keys)
  return opened instanceof Uint8Array ? checked(opened) : opened.then(checked)
}

/** Whether a plaintext that is there as a whole is what somebody knows of it. */
export function fitsWitness(witness: Witness, plaintext: Uint8Array): boolean {
  const check = checkOf(witness)
  check.push(plaintext)
  return check.fits()
}

async function* checkedPieces(
  pieces: AsyncIterable<Uint8Array>,
  witness: Witness,
): AsyncGenerator<Uint8Array, void, void> {
  const check = checkOf(witness)
  for await (const piece of pieces) {
    check.push(piece)
    yield piece
  }
  if (!check.fits()) throw cannotOpen()
}

/** Looks at a plaintext that comes in pieces. */
interface Check {
  push(piece: Uint8Array): void
  /** To be asked once, after the last piece. */
  fits(): boolean
}

function checkOf(witness: Witness): Check {
  if ('json' in witness) return jsonCheck()
  if ('text' in witness) return textCheck()
  return startCheck(
    'starts-with' in witness
      ? Buffer.from(witness['starts-with'])
      : Buffer.from(witness['starts-with-hex'], 'hex'),
  )
}

function startCheck(start: Buffer): Check {
  let seen = Buffer.alloc(0)
  return {
    push(piece) {
      const missing = start.length - seen.length
      if (missing > 0) seen = Buffer.concat([seen, piece.subarray(0, missing)])
    },
    fits: () => start.equals(seen),
  }
}

/** UTF-8 without control characters but tab and line ends: one of 200,000 random blocks of 16 bytes is that. */
function textCheck(): Check {
  const decoder = strictDecoder()
  let isText = true
  const look = (piece?: Uint8Array): void => {
    try {
      const text = piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true })
      isText &&= !/[^\P{Cc}\t\n\r]/u.test(text)
    } catch {
      isText = false
    }
  }
  return {
    push: look,
    fits() {
      look()
      return isText
    },
  }
}

/** In memory, and so up to what is allowed there. */
function jsonCheck(): Check {
  const pieces: Uint8Array[] = []
  let size = 0
  return {
    push(piece) {
      size += piece.length
      if (size > maxPlaintextBytes) throw tooLarge()
      // Whoever takes the piece may wipe it; a Buffer's own slice would be the same bytes.
      pieces.push(Uint8Array.from(piece))
    },
    fits() {
      const plaintext = Buffer.concat(pieces)
      try {
        parseStrictJson(strictDecoder().decode(plaintext))
        return true
      } catch {
        return false
      } finally {
        for (const piece of [...pieces, plaintext]) piece.fill(0)
      }
    },
  }
}

function strictDecoder(): TextDecoder {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
}
