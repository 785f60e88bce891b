/**
 * age files (C2SP age.md) for ssh-rsa recipients, binary, armored, or in base64 as text columns have them, as values and as
 * objects of any size.
 */

import { isAgeFile, readAgeHeader } from './age-header.ts'
import type { AgeHeader } from './age-header.ts'
import { AgePayload, agePlaintextBytes } from './age-payload.ts'
import { describeRecipients, unwrapFileKey } from './age-recipients.ts'
import { ArmorReader, isArmored, readArmor, streamArmor } from './armor.ts'
import { decodeText } from './encodings.ts'
import { LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { LegacyFormat, LegacyValue, PrivateKeys } from './legacy-format.ts'
import { headBytes } from './legacy-stream.ts'
import type { LegacyStream, LegacyStreamFormat } from './legacy-stream.ts'

const label = 'AGE ENCRYPTED FILE'
const body = 'ChaCha20-Poly1305'

/** The format; reads the first cell. */
export const age: LegacyFormat = {
  name: 'age',
  recognize([cell]) {
    if (cell instanceof Uint8Array) {
      if (isAgeFile(cell)) return valueOf(() => cell)
      return isArmored(cell, label) ? valueOf(() => readArmor(cell, label)) : undefined
    }
    if (typeof cell !== 'string') return undefined
    if (isArmored(cell, label)) return valueOf(() => readArmor(Buffer.from(cell), label))
    return cell.startsWith(base64Intro) ? valueOf(() => fromBase64(cell)) : undefined
  },
}

/** The same for whole objects of any size. */
export const ageStream: LegacyStreamFormat = {
  name: 'age',
  recognize(head) {
    if (isAgeFile(head)) return streamOf(head, (source) => source)
    if (!isArmored(head, label)) return undefined
    return streamOf(head, (source) => streamArmor(source, label))
  },
}

const base64Intro = Buffer.from('age-encryption.org/v1\n-').toString('base64').slice(0, 30)

function fromBase64(text: string): Uint8Array {
  const bytes = decodeText(text.trimEnd(), 'base64')
  if (bytes === undefined) throw malformed('it is not base64')
  return bytes
}

const unreadable = { keyId: undefined, wrapping: 'unreadable', body, isAuthenticated: true } as const

function valueOf(read: () => Uint8Array): LegacyValue {
  try {
    const file = read()
    const header = readAgeHeader(file)
    return {
      ...describeRecipients(header),
      body,
      isAuthenticated: true,
      open: (keys) => open(file, header, keys),
    }
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return {
      ...unreadable,
      open() {
        throw error
      },
    }
  }
}

function open(file: Uint8Array, header: AgeHeader, keys: PrivateKeys): Uint8Array {
  const sealed = file.subarray(header.end)
  const size = agePlaintextBytes(sealed.length)
  if (size > maxPlaintextBytes) throw tooLarge()
  if (size < 0) throw malformed('it is cut off')
  const fileKey = unwrapFileKey(header, keys)
  const payload = new AgePayload(fileKey)
  const pieces: Uint8Array[] = []
  try {
    pieces.push(...payload.push(sealed))
    pieces.push(payload.end())
    return Buffer.concat(pieces)
  } finally {
    for (const piece of pieces) piece.fill(0)
    payload.wipe()
    fileKey.fill(0)
  }
}

type Undress = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

function streamOf(head: Uint8Array, undress: Undress): LegacyStream {
  let about
  try {
    about = describeRecipients(readAgeHeader(armorless(head)))
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return { ...unreadable, open: () => failing(error) }
  }
  return { ...about, body, isAuthenticated: true, open: (source, keys) => openStream(undress(source), keys) }
}

/** The beginning of a file as its head has it; the armor may be cut. */
function armorless(head: Uint8Array): Uint8Array {
  if (!isArmored(head, label)) return head
  if (head.length < headBytes) return readArmor(head, label)
  const reader = new ArmorReader(label)
  return reader.push(head)
}

// eslint-disable-next-line require-yield -- it is the first reading that fails
async function* failing(error: LegacyError): AsyncGenerator<Uint8Array, void, void> {
  throw error
}

async function* openStream(
  source: AsyncIterable<Uint8Array>,
  keys: PrivateKeys,
): AsyncGenerator<Uint8Array, void, void> {
  let start = Buffer.alloc(0)
  let fileKey: Uint8Array | undefined
  let payload: AgePayload | undefined
  try {
    for await (const piece of source) {
      if (payload !== undefined) {
        yield* payload.push(piece)
        continue
      }
      start = Buffer.concat([start, piece])
      if (!hasWholeHeader(start)) continue
      const header = readAgeHeader(start)
      fileKey = unwrapFileKey(header, keys)
      payload = new AgePayload(fileKey)
      yield* payload.push(start.subarray(header.end))
    }
    if (payload === undefined) throw malformed('its header is cut off')
    const last = payload.end()
    if (last.length > 0) yield last
  } finally {
    payload?.wipe()
    fileKey?.fill(0)
  }
}

/** @throws LegacyError `limit_exceeded` */
function hasWholeHeader(start: Buffer): boolean {
  const dashes = start.indexOf('\n--- ')
  if (dashes >= 0 && start.includes(0x0a, dashes + 1)) return true
  if (start.length <= headBytes) return false
  throw new LegacyError('limit_exceeded', `its header has more than ${headBytes} bytes`)
}
