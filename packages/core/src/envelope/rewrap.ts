/** New recipients, same data key, body untouched: `rewrap`, `detach`, `attach` (SPEC §6). */

import { concat, copyBytes, equalBytes } from '../bytes.ts'
import { badInput, malformed } from '../errors.ts'
import {
  checkPrefix,
  containerKind,
  decodeEnvelope,
  decodeRecord,
  decodeWrappedKey,
  encodeContainer,
  prefixBytes,
} from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import type { Identity } from '../keys/identity.ts'
import type { Recipient } from '../keys/recipient.ts'
import { suiteTable } from '../keys/suite.ts'
import type { SuitesOption } from '../keys/suite.ts'
import { checkRecipients, openHeader, sealHeader } from '../keys/wrapped-key.ts'
import { checkBytes, checkOptions } from '../options.ts'

/** What `rewrap` is told. */
export interface RewrapOptions extends SuitesOption {
  readonly identities: readonly Identity[]
  /** All who can open it afterwards: nobody is kept who is not named. */
  readonly recipients: readonly Recipient[]
  /** The key context stays what it was; for an envelope, its context. */
  readonly keyContext?: ContextInput
}

/** The two parts of an envelope, which `detach` makes and `attach` joins (SPEC §6.5). */
export interface DetachedEnvelope {
  /** 53 bytes, and 1,192 for each recipient of the default suite (SPEC §5.1). */
  readonly wrappedKey: Uint8Array
  /** 92 bytes, and 16 for each full 16 KiB, more than the plaintext (SPEC §6.1). */
  readonly record: Uint8Array
}

/**
 * Opens the old header completely and writes a new one with fresh encapsulations (SPEC §6.5). Not revocation: who kept the
 * old header or the data key still opens every body of that key id.
 *
 * @param wrappedKeyOrEnvelope The same kind comes back.
 * @returns A header of 49 bytes and 1,192 for each recipient of the default suite, and behind it the same body.
 * @throws LongholdError what `unwrapDataKey` and `wrapDataKey` throw.
 */
export async function rewrap(
  wrappedKeyOrEnvelope: Uint8Array,
  options: RewrapOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  checkOptions(options, ['identities', 'recipients', 'keyContext', 'suites'], 'rewrap')
  checkBytes(wrappedKeyOrEnvelope, 'rewrap: wrappedKeyOrEnvelope')
  // Copied, and the context made canonical, before anything is awaited: a body or a list that the caller altered
  // meanwhile would be written out unseen.
  const bytes = copyBytes(wrappedKeyOrEnvelope)
  const keyContext = canonicalize(options.keyContext).pairs
  const suites = suiteTable(options.suites)
  checkRecipients(options.recipients, suites)
  const recipients = options.recipients.slice()
  const isEnvelope = containerKind(bytes) === 'envelope'
  const header = isEnvelope
    ? decodeEnvelope(bytes, suites.stanzaLength).header
    : decodeWrappedKey(bytes, suites.stanzaLength)
  const dataKey = await openHeader(header, options.identities, keyContext, suites)
  try {
    const renewed = await sealHeader(dataKey, recipients, keyContext, suites)
    const body = bytes.subarray(prefixBytes + header.length)
    return isEnvelope ? encodeContainer('envelope', renewed, body) : encodeContainer('wrapped key', renewed)
  } finally {
    dataKey.wipe()
  }
}

/**
 * Takes an envelope apart (SPEC §6.5). Copies bytes, opens nothing.
 *
 * @throws LongholdError `malformed`, `unsupported`.
 */
export function detach(envelope: Uint8Array, options: SuitesOption = {}): DetachedEnvelope {
  checkOptions(options, ['suites'], 'detach')
  checkBytes(envelope, 'detach: envelope')
  const { header, body } = decodeEnvelope(envelope, suiteTable(options.suites).stanzaLength)
  const headerBytes = envelope.subarray(prefixBytes, prefixBytes + header.length)
  return {
    wrappedKey: encodeContainer('wrapped key', headerBytes),
    record: encodeContainer('record', header.keyId, body),
  }
}

/**
 * Puts a wrapped key in front of a record of the same data key (SPEC §6.5). It opens if both were bound to equal
 * contexts, which cannot be seen from outside.
 *
 * @returns An envelope: 20 bytes less than both parts.
 * @throws LongholdError `malformed`, `unsupported`; `bad_input` when the key ids differ.
 */
export function attach(parts: DetachedEnvelope, options: SuitesOption = {}): Uint8Array<ArrayBuffer> {
  checkOptions(parts, ['wrappedKey', 'record'], 'attach')
  checkOptions(options, ['suites'], 'attach')
  const { wrappedKey, record } = parts
  checkBytes(wrappedKey, 'attach: wrappedKey')
  checkBytes(record, 'attach: record')
  const header = decodeWrappedKey(wrappedKey, suiteTable(options.suites).stanzaLength)
  const { keyId, body } = decodeRecord(record)
  if (!equalBytes(header.keyId, keyId))
    throw badInput('attach: the record is of another data key than the wrapped key')
  return encodeContainer('envelope', concat(header.authenticated, header.mac), body)
}

/**
 * The key id (SPEC §3), 16 bytes, of a record, wrapped key or envelope, without looking further into it.
 *
 * @throws LongholdError `malformed` when the bytes are none of the three, or shorter than their key id;
 * `unsupported` for another version, which may have its key id elsewhere.
 */
export function keyIdOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  checkBytes(bytes, 'keyIdOf: bytes')
  const end = prefixBytes + 16
  const kind = containerKind(bytes)
  if (kind === undefined || bytes.length < end)
    throw malformed('not a longhold record, wrapped key or envelope')
  checkPrefix(bytes, kind)
  return copyBytes(bytes.subarray(prefixBytes, end))
}
