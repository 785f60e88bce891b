/** The suites: one row says all there is to know about each (SPEC §1). */

import { LongholdError, badInput } from '../errors.ts'
import {
  decodeStanza,
  encodeStanza,
  maxStanzaBytes,
  recipientIdBytes,
  stanzaPrefixBytes,
} from '../format/header.ts'
import type { Stanza, StanzaLength, SuiteIds } from '../format/header.ts'
import { checkBytes, checkOptions } from '../options.ts'
import type { HpkeSuite } from '../primitives/hpke.ts'
import { mlKem768X25519 } from '../primitives/hybrid-kem.ts'
import type { Kem } from '../primitives/kem.ts'

/** Data keys are 32 bytes; AES-256-GCM adds a tag of 16. */
const wrappedDataKeyBytes = 48

/** SPEC §1: of post-quantum hybrids, one for each suite there is. */
const hybridKems: readonly number[] = [0x647a, 0x0051]

/** What keys are wrapped with: a KEM, a KDF and an AEAD (SPEC §1). */
export interface Suite extends HpkeSuite {
  readonly name: string
  readonly kem: Kem
  /** A stanza without its two length bytes. */
  readonly stanzaBytes: number
}

/** The suites a call may meet. Default: the default suite alone. */
export interface SuitesOption {
  /** Stanzas and key texts of other suites are refused, or skipped, as unknown. */
  readonly suites?: readonly Suite[]
}

/** The default suite: MLKEM768-X25519, HKDF-SHA256, AES-256-GCM (SPEC §1.1). */
export const defaultSuite: Suite = suiteFrom({
  name: 'MLKEM768-X25519, HKDF-SHA256, AES-256-GCM',
  kem: mlKem768X25519,
  kdfId: 0x0001,
  hash: 'sha256',
})

/** A row of the table from what is particular to it. */
export function suiteFrom(row: { name: string; kem: Kem; kdfId: number; hash: HpkeSuite['hash'] }): Suite {
  // Nobody's change of it changes what others write.
  return Object.freeze({
    ...row,
    kemId: row.kem.id,
    aeadId: 0x0002,
    stanzaBytes: stanzaPrefixBytes + row.kem.encapsulatedKeyBytes + wrappedDataKeyBytes,
  })
}

/** The suites of a call, ready for look-ups. */
export interface SuiteTable {
  /** Each suite has a KEM of its own. */
  ofKem(kemId: number): Suite | undefined
  /** The suite with exactly these three ids. */
  of(ids: SuiteIds): Suite | undefined
  /** What `format/` asks: how long a stanza of these ids must be. */
  readonly stanzaLength: StanzaLength
}

const defaultTable = tableOf([defaultSuite])

/** @throws LongholdError `bad_input` for an empty list, or two suites with one KEM. */
export function suiteTable(suites: readonly Suite[] | undefined): SuiteTable {
  if (suites === undefined) return defaultTable
  if (!Array.isArray(suites) || suites.length === 0) throw badInput('suites must be a list that is not empty')
  if (suites.some((suite) => typeof suite?.kem?.encapsulationKey !== 'function'))
    throw badInput('suites: one is no suite', 'defaultSuite is one')
  // The type lets anybody make one. All there are wrap for post-quantum recipients, and so must all there can be.
  const stranger = suites.find(({ kemId }) => !hybridKems.includes(kemId))
  if (stranger !== undefined)
    throw badInput(`suites: ${suiteIdText(stranger)} is no post-quantum hybrid of SPEC §1`)
  if (new Set(suites.map(({ kemId }) => kemId)).size < suites.length)
    throw badInput('two suites with one KEM')
  return tableOf(suites)
}

/** @throws LongholdError `bad_input` when `kemId` is no number, `unsupported` when no suite has it. */
export function suiteOfKem(suites: readonly Suite[] | undefined, kemId: number): Suite {
  if (typeof kemId !== 'number') throw badInput('the KEM must be a number')
  const suite = suiteTable(suites).ofKem(kemId)
  if (suite === undefined) throw new LongholdError('unsupported', `no suite with KEM 0x${kemId.toString(16)}`)
  return suite
}

function tableOf(suites: readonly Suite[]): SuiteTable {
  const byKem = new Map(suites.map((suite) => [suite.kemId, suite]))
  const of = ({ kemId, kdfId, aeadId }: SuiteIds): Suite | undefined => {
    const suite = byKem.get(kemId)
    return suite?.kdfId === kdfId && suite.aeadId === aeadId ? suite : undefined
  }
  return { ofKem: (kemId) => byKem.get(kemId), of, stanzaLength: (ids) => of(ids)?.stanzaBytes }
}

/** The ids as text, for messages and `inspect`. */
export function suiteIdText({ kemId, kdfId, aeadId }: SuiteIds): string {
  return [kemId, kdfId, aeadId].map((id) => `0x${id.toString(16).padStart(4, '0')}`).join('/')
}

/**
 * Reads one stanza (SPEC §5.1) without its two length bytes, as a key service receives it. The parts are views of `bytes`.
 *
 * @throws LongholdError `malformed` below 22 bytes, or when a known suite has another length.
 */
export function parseStanza(bytes: Uint8Array, options: SuitesOption = {}): Stanza {
  checkOptions(options, ['suites'], 'parseStanza')
  checkBytes(bytes, 'parseStanza: bytes')
  return decodeStanza(bytes, suiteTable(options.suites).stanzaLength)
}

/**
 * The bytes of a stanza without its two length bytes (SPEC §5.1), as a key service takes it: 1,190 in the default suite.
 *
 * @throws LongholdError `bad_input` for what is no stanza: ids of two bytes, a recipient id of 16, at most 65,535 bytes.
 */
export function formatStanza(stanza: Stanza): Uint8Array {
  const { kemId, kdfId, aeadId, recipientId, payload }: Partial<Stanza> = stanza ?? {}
  const isId = (id: unknown): boolean => Number.isInteger(id) && Number(id) >= 0 && Number(id) <= 0xffff
  checkBytes(recipientId, 'encodeStanza: recipientId')
  checkBytes(payload, 'encodeStanza: payload')
  const fits = recipientId.length === recipientIdBytes && stanzaPrefixBytes + payload.length <= maxStanzaBytes
  if (![kemId, kdfId, aeadId].every(isId) || !fits)
    throw badInput('encodeStanza: three ids of 2 bytes, a recipient id of 16, at most 65,535 bytes in all')
  return encodeStanza(stanza)
}
