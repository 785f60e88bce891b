/** Tells which format an object is of: formats of streams by its first bytes, those of values by all of it. */

import { LegacyError, malformed, tooLarge } from '../formats/legacy-format.ts'
import type { LegacyFormat, PrivateKeys } from '../formats/legacy-format.ts'
import { headBytes } from '../formats/legacy-stream.ts'
import type { LegacyStream, LegacyStreamFormat, ObjectFacts } from '../formats/legacy-stream.ts'
import type { OpenedObject } from '../sources/object-source.ts'
import { longholdValue } from './longhold-value.ts'
import type { LongholdValue } from './longhold-value.ts'

/** A format of streams, or one of values that a whole object may hold. */
export type ObjectFormat =
  | { readonly name: string; readonly stream: LegacyStreamFormat }
  | { readonly name: string; readonly value: LegacyFormat }

export type Look =
  | { readonly kind: 'longhold'; readonly value: LongholdValue }
  | { readonly kind: 'legacy'; readonly format: string; readonly stream: LegacyStream }
  | { readonly kind: 'other' }

/** 64 MiB of plaintext in base64, with room for what stands around it. */
const maxValueBytes = 96 * 1024 * 1024

/** Looks at an object that was opened, without a key. */
export async function lookAt(
  formats: readonly ObjectFormat[],
  name: string,
  object: OpenedObject,
): Promise<Look> {
  const head = await object.head(headBytes)
  const longhold = longholdValue(head)
  if (longhold !== undefined) return { kind: 'longhold', value: longhold }
  const about: ObjectFacts = { name, metadata: object.metadata }
  let whole: string | Uint8Array | undefined
  for (const format of formats) {
    const stream =
      'stream' in format
        ? format.stream.recognize(head, about)
        : lifted(format.value, (whole ??= await wholeOf(object, head)))
    if (stream !== undefined) return { kind: 'legacy', format: format.name, stream }
  }
  return { kind: 'other' }
}

/**
 * All of an object, as text where it is text. A large one is read only when it begins like text: formats of values are
 * text, and the large neighbours of a tree mostly are not.
 */
async function wholeOf(object: OpenedObject, head: Uint8Array): Promise<string | Uint8Array> {
  if (object.size <= head.length) return asText(head) ?? head
  if (object.size > maxValueBytes || !head.every((byte) => byte >= 0x20 || isSpace(byte)))
    return new Uint8Array()
  const pieces: Uint8Array[] = []
  for await (const piece of object.pieces()) pieces.push(Uint8Array.from(piece))
  const all = Buffer.concat(pieces)
  return asText(all) ?? all
}

function isSpace(byte: number): boolean {
  return byte === 0x09 || byte === 0x0a || byte === 0x0d
}

const utf8Text = new TextDecoder('utf-8', { fatal: true })

/** Without the line end that editors and `echo` put behind a value. */
function asText(bytes: Uint8Array): string | undefined {
  try {
    return utf8Text.decode(bytes).replace(/\r?\n$/u, '')
  } catch {
    return undefined
  }
}

/** A value as a stream of one piece. */
function lifted(format: LegacyFormat, cell: string | Uint8Array): LegacyStream | undefined {
  if (cell.length === 0) return undefined
  const found = format.recognize([cell])
  if (found === undefined) return undefined
  const { keyId, wrapping, body, isAuthenticated } = found
  return {
    keyId,
    wrapping,
    body,
    isAuthenticated,
    async *open(source: AsyncIterable<Uint8Array>, keys: PrivateKeys) {
      const pieces: Uint8Array[] = []
      let size = 0
      for await (const piece of source) {
        size += piece.length
        if (size > maxValueBytes) throw tooLarge()
        pieces.push(Uint8Array.from(piece))
      }
      const all = Buffer.concat(pieces)
      const value = format.recognize([asText(all) ?? all])
      // Somebody decided by what was said of it when it was looked at.
      if (value?.isAuthenticated !== isAuthenticated) throw malformed('it changed while it was read')
      yield await value.open(keys)
    },
  }
}

/** @throws LegacyError `unauthenticated` */
export function checkAuthenticated({ isAuthenticated }: LegacyStream, accept: boolean): void {
  if (isAuthenticated || accept) return
  throw new LegacyError('unauthenticated', 'nothing would tell a wrong key from the right one')
}
