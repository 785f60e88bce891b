/** What can be told from outside, without a key: `inspect`. */

import { toHex } from '../bytes.ts'
import { malformed } from '../errors.ts'
import {
  containerKind,
  decodeEnvelope,
  decodeRecord,
  decodeWrappedKey,
  formatVersion,
  prefixBytes,
} from '../format/container.ts'
import type { ContainerKind } from '../format/container.ts'
import { encodeStanza, keyIdBytes } from '../format/header.ts'
import type { Header, Stanza } from '../format/header.ts'
import { stanzaLength, suiteOf } from '../keys/suite.ts'
import { checkBytes } from '../options.ts'
import { plaintextLength } from '../primitives/cobblestone.ts'

export interface StanzaInspection {
  /** `undefined` when this release does not have the suite. */
  readonly suite: string | undefined
  readonly kemId: number
  readonly kdfId: number
  readonly aeadId: number
  /** Hexadecimal, 32 digits. */
  readonly recipientId: string
  /** Without its two length bytes. */
  readonly bytes: number
}

export interface Inspection {
  readonly kind: ContainerKind
  readonly version: number
  /** Hexadecimal, 32 digits. */
  readonly keyId: string
  /** In the header's order; empty for a record, whose wrapped key is kept elsewhere. */
  readonly stanzas: readonly StanzaInspection[]
  /** Key id to MAC; 16 for a record, which has the key id alone. */
  readonly headerBytes: number
  readonly bodyBytes: number
  /** `undefined` for a wrapped key, and for a body whose length none can have. */
  readonly plaintextBytes: number | undefined
  readonly totalBytes: number
}

/**
 * Describes a wrapped key, record or envelope. Nothing of it is authenticated: it says what the bytes claim.
 *
 * @throws LongholdError `malformed`, `unsupported`.
 */
export function inspect(bytes: Uint8Array): Inspection {
  checkBytes(bytes, 'inspect: bytes')
  const kind = containerKind(bytes)
  if (kind === undefined) throw malformed('not a longhold record, wrapped key or envelope')
  return describe(kind, bytes, readers[kind](bytes))
}

type Outline = Pick<Header, 'keyId' | 'stanzas' | 'length'>

const readers: Readonly<Record<ContainerKind, (bytes: Uint8Array) => Outline>> = {
  'wrapped key': (bytes) => decodeWrappedKey(bytes, stanzaLength),
  envelope: (bytes) => decodeEnvelope(bytes, stanzaLength).header,
  record: (bytes) => ({ keyId: decodeRecord(bytes).keyId, stanzas: [], length: keyIdBytes }),
}

function describe(kind: ContainerKind, bytes: Uint8Array, header: Outline): Inspection {
  const bodyBytes = bytes.length - prefixBytes - header.length
  return {
    kind,
    version: formatVersion,
    keyId: toHex(header.keyId),
    stanzas: header.stanzas.map(describeStanza),
    headerBytes: header.length,
    bodyBytes,
    plaintextBytes: kind === 'wrapped key' ? undefined : plaintextLength(bodyBytes),
    totalBytes: bytes.length,
  }
}

function describeStanza(stanza: Stanza): StanzaInspection {
  const { kemId, kdfId, aeadId, recipientId } = stanza
  return {
    suite: suiteOf(stanza)?.name,
    kemId,
    kdfId,
    aeadId,
    recipientId: toHex(recipientId),
    bytes: encodeStanza(stanza).length,
  }
}
