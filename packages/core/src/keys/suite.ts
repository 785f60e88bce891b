/** The suites: one row says all there is to know about each (SPEC §1). */

import { decodeStanza, stanzaPrefixBytes } from '../format/header.ts'
import type { Stanza, SuiteIds } from '../format/header.ts'
import type { HpkeSuite } from '../primitives/hpke.ts'
import { mlKem768X25519 } from '../primitives/hybrid-kem.ts'
import type { Kem } from '../primitives/kem.ts'

/** Data keys are 32 bytes; AES-256-GCM adds a tag of 16. */
export const wrappedDataKeyBytes = 48

export interface Suite extends HpkeSuite {
  readonly name: string
  readonly kem: Kem
  /** A stanza without its two length bytes. */
  readonly stanzaBytes: number
}

export const suites: readonly Suite[] = [
  suite({
    name: 'MLKEM768-X25519, HKDF-SHA256, AES-256-GCM',
    kem: mlKem768X25519,
    kdfId: 0x0001,
    hash: 'sha256',
  }),
]

/** The suite of new identities. */
export const defaultSuite: Suite = suites[0] as Suite // the table is not empty

function suite(row: { name: string; kem: Kem; kdfId: number; hash: HpkeSuite['hash'] }): Suite {
  return {
    ...row,
    kemId: row.kem.id,
    aeadId: 0x0002,
    stanzaBytes: stanzaPrefixBytes + row.kem.encapsulatedKeyBytes + wrappedDataKeyBytes,
  }
}

/** The suite with this KEM (each has one of its own). */
export function suiteOfKem(kemId: number): Suite | undefined {
  return suites.find((row) => row.kemId === kemId)
}

/** The suite with exactly these three ids. */
export function suiteOf({ kemId, kdfId, aeadId }: SuiteIds): Suite | undefined {
  const row = suiteOfKem(kemId)
  return row?.kdfId === kdfId && row.aeadId === aeadId ? row : undefined
}

/** What `format/` asks: how long a stanza of these ids must be. */
export function stanzaLength(ids: SuiteIds): number | undefined {
  return suiteOf(ids)?.stanzaBytes
}

/** The ids as text, for messages and `inspect`. */
export function suiteIdText({ kemId, kdfId, aeadId }: SuiteIds): string {
  return [kemId, kdfId, aeadId].map((id) => `0x${id.toString(16).padStart(4, '0')}`).join('/')
}

/**
 * Reads one stanza without its two length bytes, as a key service receives it. The parts are views of `bytes`.
 *
 * @throws LongholdError `malformed` below 22 bytes, or when a known suite has another length.
 */
export function parseStanza(bytes: Uint8Array): Stanza {
  return decodeStanza(bytes, stanzaLength)
}
