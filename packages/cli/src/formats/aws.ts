/**
 * Messages of the AWS Encryption SDK whose data key is wrapped by a raw RSA keyring. A reader of our own: the SDK for JavaScript
 * takes private keys as PEM only, so that those in a hardware module or behind a program could not be used, and brings
 * some twenty packages; the format is published, and the SDK itself writes the messages that the tests read.
 */

import { isRaw, openFrame, unlockAws, unwrapOrder, verifierOf } from './aws-keys.ts'
import type { ExpectedPairs, UnwrapOrder } from './aws-keys.ts'
import { looksLikeAwsMessage, readAwsMessage } from './aws-message.ts'
import type { AwsHeader, AwsMessage } from './aws-message.ts'
import type { AwsSettings } from './built-in-settings.ts'
import { decodeText } from './encodings.ts'
import { LegacyError, malformed } from './legacy-format.ts'
import type { Cell, LegacyFormat, LegacyValue, PrivateKeys } from './legacy-format.ts'

/**
 * The format; reads the first cell, bytes or base64.
 *
 * @param columns Names of the cells.
 * @throws RangeError when the settings name another column.
 */
export function awsFormat(settings: AwsSettings, columns: readonly string[]): LegacyFormat {
  const expected = Object.entries(settings.context).map(([name, value]) => {
    if (typeof value === 'string') return { name, valueIn: () => value }
    const index = columns.indexOf(value.column)
    if (index < 0) throw new RangeError(`no column ${value.column}`)
    return { name, valueIn: (cells: readonly Cell[]) => textOf(cells[index] ?? null) }
  })
  const order = unwrapOrder(settings)
  return {
    name: 'aws-encryption-sdk',
    recognize(cells) {
      const bytes = messageIn(cells[0] ?? null)
      if (bytes === undefined) return undefined
      const pairs = expected.map(({ name, valueIn }) => [name, valueIn(cells)] as const)
      return valueOf(bytes, { settings, pairs, order })
    },
  }
}

interface HowToOpen {
  readonly settings: AwsSettings
  readonly pairs: ExpectedPairs
  readonly order: UnwrapOrder
}

function textOf(cell: Cell): string | undefined {
  return typeof cell === 'string' || typeof cell === 'bigint' ? String(cell) : undefined
}

/** A text is decoded only if the first characters mean such a message. */
function messageIn(cell: Cell): Uint8Array | undefined | 'not base64' {
  if (cell instanceof Uint8Array) {
    if (looksLikeAwsMessage(cell)) return cell
    return /^A[YgQI]/.test(Buffer.from(cell.subarray(0, 2)).toString('latin1'))
      ? messageIn(new TextDecoder().decode(cell))
      : undefined
  }
  if (typeof cell !== 'string') return undefined
  const text = cell.trim()
  if (!looksLikeAwsMessage(Buffer.from(text.slice(0, 60), 'base64'))) return undefined
  return decodeText(text, 'base64') ?? 'not base64'
}

function valueOf(bytes: Uint8Array | 'not base64', how: HowToOpen): LegacyValue {
  let message: AwsMessage
  try {
    if (bytes === 'not base64') throw malformed('it is not base64')
    message = readAwsMessage(bytes)
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return broken(error)
  }
  return { ...describeAws(message.header, how.settings), open: (keys) => open(message, keys, how) }
}

/** What there is to say of a message before it is opened. */
export function describeAws(
  { wrappedKeys, suite }: AwsHeader,
  { padding }: AwsSettings,
): Pick<LegacyValue, 'keyId' | 'wrapping' | 'body' | 'isAuthenticated'> {
  const ours = wrappedKeys.find(isRaw)
  return {
    keyId: ours === undefined ? undefined : `${ours.provider}/${ours.info}`,
    wrapping: ours === undefined ? 'AWS KMS' : padding === undefined ? 'RSA' : `RSA ${padding}`,
    body: suite.name,
    isAuthenticated: true,
  }
}

function broken(error: LegacyError): LegacyValue {
  return {
    keyId: undefined,
    wrapping: 'unreadable',
    body: 'unreadable',
    isAuthenticated: true,
    open() {
      throw error
    },
  }
}

function open({ header, frames, signature }: AwsMessage, keys: PrivateKeys, how: HowToOpen): Uint8Array {
  const verifier = verifierOf(header)
  const key = unlockAws(header, keys, how.order, how.pairs)
  const parts: Buffer[] = []
  try {
    if (signature !== undefined) {
      verifier?.update(signature.covered)
      // Before the body: nothing is released that the sender did not sign.
      verifier?.check(signature.bytes)
    }
    for (const frame of frames) parts.push(openFrame(header, frame, key))
    return Buffer.concat(parts)
  } finally {
    key.fill(0)
    for (const part of parts) part.fill(0)
  }
}
