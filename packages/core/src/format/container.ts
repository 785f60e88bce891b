/** The three containers and their magic: WrappedKey, Record, Envelope (SPEC §5, §6). */

import { concat, utf8 } from '../bytes.ts'
import { LongholdError, malformed } from '../errors.ts'
import { decodeHeader, keyIdBytes } from './header.ts'
import type { Header, StanzaLength } from './header.ts'

export type ContainerKind = 'wrapped key' | 'record' | 'envelope'

export const formatVersion = 1
/** Magic and version. */
export const prefixBytes = 4
/** Salt, commitment and one tag. */
export const minBodyBytes = 72
/** Prefix, key id and the smallest body. */
export const minRecordBytes: number = prefixBytes + keyIdBytes + minBodyBytes

const magics: Readonly<Record<ContainerKind, Uint8Array>> = {
  'wrapped key': utf8('LHK'),
  record: utf8('LHR'),
  envelope: utf8('LHE'),
}
const withArticle: Readonly<Record<ContainerKind, string>> = {
  'wrapped key': 'a wrapped key',
  record: 'a record',
  envelope: 'an envelope',
}
const kinds = Object.keys(magics) as ContainerKind[] // its keys are exactly the kinds

/** Magic and version in front of `parts`. */
export function encodeContainer(
  kind: ContainerKind,
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  return concat(magics[kind], Uint8Array.of(formatVersion), ...parts)
}

/** A container of its final size with `head` written, and the view its body of `bodyBytes` bytes goes into. */
export function startContainer(
  kind: ContainerKind,
  head: Uint8Array,
  bodyBytes: number,
): { container: Uint8Array<ArrayBuffer>; body: Uint8Array } {
  const container = new Uint8Array(prefixBytes + head.length + bodyBytes)
  container.set(magics[kind])
  container[3] = formatVersion
  container.set(head, prefixBytes)
  return { container, body: container.subarray(prefixBytes + head.length) }
}

/** Which of the three `bytes` claim to be; `undefined` when none. */
export function containerKind(bytes: Uint8Array): ContainerKind | undefined {
  return kinds.find((kind) => hasMagic(bytes, kind))
}

function hasMagic(bytes: Uint8Array, kind: ContainerKind): boolean {
  const magic = magics[kind]
  return bytes[0] === magic[0] && bytes[1] === magic[1] && bytes[2] === magic[2]
}

/**
 * Step 1 of SPEC §5.3: magic, then version.
 *
 * @throws LongholdError `malformed` for another magic, `unsupported` for another version.
 */
export function checkPrefix(bytes: Uint8Array, kind: ContainerKind): void {
  if (!hasMagic(bytes, kind)) {
    const found = containerKind(bytes)
    throw malformed(
      found === undefined ? `not a longhold ${kind}` : `${withArticle[found]}, not ${withArticle[kind]}`,
    )
  }
  if (bytes.length < prefixBytes) throw malformed('cut short after its magic')
  const version = bytes[3]
  if (version !== formatVersion) {
    throw new LongholdError('unsupported', `version ${version} of the longhold ${kind} format`, {
      hint: 'it was written by a newer release: update this one',
    })
  }
}

/** @throws LongholdError `malformed`, `unsupported`; steps 1 to 6 of SPEC §5.3. */
export function decodeWrappedKey(bytes: Uint8Array, stanzaLength: StanzaLength): Header {
  checkPrefix(bytes, 'wrapped key')
  const header = decodeHeader(bytes.subarray(prefixBytes), stanzaLength)
  const trailing = bytes.length - prefixBytes - header.length
  if (trailing !== 0) throw malformed(`${trailing} bytes after the end of a wrapped key`)
  return header
}

/** @throws LongholdError `malformed`, `unsupported`; steps 1 and 6 of SPEC §5.3. */
export function decodeRecord(bytes: Uint8Array): { keyId: Uint8Array; body: Uint8Array } {
  checkPrefix(bytes, 'record')
  if (bytes.length < minRecordBytes)
    throw malformed(`a record of ${bytes.length} bytes, the smallest has ${minRecordBytes}`)
  const bodyAt = prefixBytes + keyIdBytes
  return { keyId: bytes.subarray(prefixBytes, bodyAt), body: bytes.subarray(bodyAt) }
}

/** @throws LongholdError `malformed`, `unsupported`; steps 1 to 6 of SPEC §5.3. */
export function decodeEnvelope(
  bytes: Uint8Array,
  stanzaLength: StanzaLength,
): { header: Header; body: Uint8Array } {
  checkPrefix(bytes, 'envelope')
  const header = decodeHeader(bytes.subarray(prefixBytes), stanzaLength)
  const body = bytes.subarray(prefixBytes + header.length)
  if (body.length < minBodyBytes)
    throw malformed(`an envelope whose body has ${body.length} bytes, the smallest has ${minBodyBytes}`)
  return { header, body }
}
