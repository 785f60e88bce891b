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
import type { Header, Stanza, StanzaLength } from '../format/header.ts'
import { suiteTable } from '../keys/suite.ts'
import type { SuiteTable, SuitesOption } from '../keys/suite.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { plaintextLength } from '../primitives/cobblestone.ts'

/** What one stanza of a header says (SPEC §5.1). */
export interface StanzaInspection {
  /** `undefined` for a suite that is not among `suites`. */
  readonly suite: string | undefined
  readonly kemId: number
  readonly kdfId: number
  readonly aeadId: number
  /** Hexadecimal, 32 digits. */
  readonly recipientId: string
  /** Without its two length bytes. */
  readonly bytes: number
}

/** What the bytes of a wrapped key, record or envelope say of themselves. */
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
 * Describes a wrapped key, record or envelope (SPEC §5.3 steps 1 to 6, §6.3 step 1). Nothing of it is authenticated: it says what the bytes claim.
 *
 * @throws LongholdError `malformed`, `unsupported`.
 */
export function inspect(bytes: Uint8Array, options: SuitesOption = {}): Inspection {
  checkOptions(options, ['suites'], 'inspect')
  checkBytes(bytes, 'inspect: bytes')
  const suites = suiteTable(options.suites)
  const kind = containerKind(bytes)
  if (kind === undefined) throw malformed('not a longhold record, wrapped key or envelope')
  const header = readers[kind](bytes, suites.stanzaLength)
  const bodyBytes = bytes.length - prefixBytes - header.length
  return {
    kind,
    version: formatVersion,
    keyId: toHex(header.keyId),
    stanzas: header.stanzas.map((stanza) => describe(stanza, suites)),
    headerBytes: header.length,
    bodyBytes,
    plaintextBytes: kind === 'wrapped key' ? undefined : plaintextLength(bodyBytes),
    totalBytes: bytes.length,
  }
}

type Outline = Pick<Header, 'keyId' | 'stanzas' | 'length'>

const readers: Readonly<Record<ContainerKind, (bytes: Uint8Array, stanzaLength: StanzaLength) => Outline>> = {
  'wrapped key': decodeWrappedKey,
  envelope: (bytes, stanzaLength) => decodeEnvelope(bytes, stanzaLength).header,
  record: (bytes) => ({ keyId: decodeRecord(bytes).keyId, stanzas: [], length: keyIdBytes }),
}

function describe(stanza: Stanza, suites: SuiteTable): StanzaInspection {
  const { kemId, kdfId, aeadId, recipientId } = stanza
  return {
    suite: suites.of(stanza)?.name,
    kemId,
    kdfId,
    aeadId,
    recipientId: toHex(recipientId),
    bytes: encodeStanza(stanza).length,
  }
}
