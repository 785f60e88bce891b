/**
 * Objects of the Amazon S3 encryption clients, versions 1 to 3, under RSA keys: whole objects with their metadata, and
 * bodies that a table or file keeps beside the metadata.
 */

import { parseStrictObject } from '../json-text.ts'
import type { S3Settings } from './built-in-settings.ts'
import { decodeText } from './encodings.ts'
import { LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { Cell, LegacyFormat, LegacyValue, PrivateKeys } from './legacy-format.ts'
import type { LegacyStreamFormat } from './legacy-stream.ts'
import { isTold, S3Decipher, unwrapS3Key } from './s3-cipher.ts'
import {
  isInstructionFile,
  isS3Encrypted,
  plainNames,
  readS3Metadata,
  withInstructions,
} from './s3-metadata.ts'
import type { S3Facts, S3Metadata } from './s3-metadata.ts'

const name = 's3'

/**
 * Bodies in the first cell, metadata as JSON in a column.
 *
 * @param settings Undefined: no column has metadata, so that nothing is recognised.
 * @throws RangeError when they name another column.
 */
export function s3Format(settings: S3Settings, columns: readonly string[]): LegacyFormat {
  const { metadata, instructions } = settings
  if (metadata === undefined) return { name, recognize: () => undefined }
  const at = indexIn(columns, metadata)
  const instructionsAt = instructions === undefined ? undefined : indexIn(columns, instructions)
  return {
    name,
    recognize(cells) {
      const body = cells[0] ?? null
      if (body === null) return undefined
      const said = metadataIn(cells[at] ?? null)
      const file = instructionsAt === undefined ? null : (cells[instructionsAt] ?? null)
      const hasFile = typeof file === 'string' || file instanceof Uint8Array
      if (!hasFile && !isS3Encrypted(said)) return undefined
      const { about, facts } = describe(said, settings, hasFile ? file : undefined)
      return { ...about, open: (keys) => openCell(facts(), body, keys, about.keyId) }
    },
  }
}

/**
 * Whole objects. Their metadata comes with them; who keeps instruction files gives the metadata that `withInstructions` makes
 * of both.
 */
export function s3StreamFormat(settings: S3Settings): LegacyStreamFormat {
  return {
    name,
    recognize(_, { metadata = {} }) {
      const said = namesOf(metadata)
      if (!isS3Encrypted(said) || isInstructionFile(said)) return undefined
      const { about, facts } = describe(said, settings, undefined)
      return { ...about, open: (source, keys) => openStream(facts, source, keys, about.keyId) }
    },
  }
}

function indexIn(columns: readonly string[], column: string): number {
  const index = columns.indexOf(column)
  if (index < 0) throw new RangeError(`no column ${column}`)
  return index
}

function metadataIn(cell: Cell): S3Metadata {
  const text = cell instanceof Uint8Array ? new TextDecoder().decode(cell) : cell
  if (typeof text !== 'string' || !/^\s*\{/.test(text)) return {}
  try {
    return namesOf(parseStrictObject(text))
  } catch {
    return {}
  }
}

/** One name with two values is nothing that a client wrote. */
function namesOf(metadata: Readonly<Record<string, unknown>>): S3Metadata {
  try {
    return plainNames(metadata)
  } catch {
    return {}
  }
}

type About = Pick<LegacyValue, 'keyId' | 'wrapping' | 'body' | 'isAuthenticated'>

/** What is wrong with it is told when it is opened. */
function describe(
  said: S3Metadata,
  settings: S3Settings,
  file: string | Uint8Array | undefined,
): { about: About; facts: () => S3Facts } {
  try {
    const facts = readS3Metadata(file === undefined ? said : withInstructions(said, file))
    const keyIdName = settings['key-id']
    return {
      about: {
        keyId: keyIdName === undefined ? undefined : facts.description[keyIdName],
        wrapping: `RSA ${facts.wrapping}`,
        body: bodyOf(facts),
        isAuthenticated: isTold(facts),
      },
      facts: () => facts,
    }
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return {
      about: { keyId: undefined, wrapping: 'unreadable', body: 'unreadable', isAuthenticated: true },
      facts() {
        throw error
      },
    }
  }
}

function bodyOf({ version, cipher, md5 }: S3Facts): string {
  return `S3 version ${version}, aes-${cipher}${cipher === 'cbc' && md5 !== undefined ? ', witness md5' : ''}`
}

function openCell(facts: S3Facts, cell: Cell, keys: PrivateKeys, keyId: string | undefined): Uint8Array {
  const body =
    cell instanceof Uint8Array ? cell : typeof cell === 'string' ? decodeText(cell, 'base64') : undefined
  if (body === undefined) throw malformed('its body is neither bytes nor base64')
  checkBody(facts, body.length)
  if (body.length > maxPlaintextBytes + 16) throw tooLarge()
  const dataKey = unwrapS3Key(facts, keyId, keys)
  let start: Uint8Array | undefined
  let end: Uint8Array | undefined
  try {
    const decipher = new S3Decipher(facts, dataKey)
    start = decipher.update(body)
    end = decipher.final()
    return Buffer.concat([start, end])
  } finally {
    dataKey.fill(0)
    start?.fill(0)
    end?.fill(0)
  }
}

async function* openStream(
  facts: () => S3Facts,
  source: AsyncIterable<Uint8Array>,
  keys: PrivateKeys,
  keyId: string | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const known = facts()
  const dataKey = unwrapS3Key(known, keyId, keys)
  const decipher = new S3Decipher(known, dataKey)
  dataKey.fill(0)
  let bytes = 0
  for await (const piece of source) {
    bytes += piece.length
    const plaintext = decipher.update(piece)
    if (plaintext.length > 0) yield plaintext
  }
  checkBody(known, bytes)
  const last = decipher.final()
  if (last.length > 0) yield last
}

function checkBody({ cipher }: S3Facts, bytes: number): void {
  if (cipher === 'gcm' && bytes < 16) throw malformed('it is shorter than the tag at its end')
  if (cipher === 'cbc' && (bytes === 0 || bytes % 16 !== 0))
    throw malformed('it is not a number of whole blocks')
}
