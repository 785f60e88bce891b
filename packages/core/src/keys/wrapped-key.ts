/** Writing and opening headers: where recipients, identities and data keys meet (SPEC §5). */

import { concat, equalBytes, isBytes, toHex, utf8 } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import type { CanonicalContext, ContextInput, EncryptionContext } from '../format/context.ts'
import {
  encodeAuthenticated,
  maxHeaderBytes,
  maxStanzas,
  recipientIdBytes,
  stanzaPrefixBytes,
} from '../format/header.ts'
import type { Header, Stanza } from '../format/header.ts'
import { backend } from '../primitives/backend.ts'
import { Secret } from '../secret.ts'
import { DataKey, headerKeyOf } from './data-key.ts'
import type { Identity } from './identity.ts'
import type { Recipient } from './recipient.ts'
import { suiteIdText } from './suite.ts'
import type { SuiteTable } from './suite.ts'

const macLabel = utf8('longhold/v1/header\0')

/**
 * A header, key id to MAC, for all `recipients` in their order (SPEC §5.2).
 *
 * @throws LongholdError `bad_input` for no recipient, one twice or more than 32, and for a stanza that is not the
 * recipient's; `unsupported` for a recipient of an unknown suite; `bad_context`, `limit_exceeded`; what a recipient
 * throws.
 */
export async function sealHeader(
  dataKey: DataKey,
  recipients: readonly Recipient[],
  keyContext: ContextInput | undefined,
  suites: SuiteTable,
): Promise<Uint8Array> {
  checkRecipients(recipients, suites)
  const context = canonicalize(keyContext)
  const stanzas: Stanza[] = []
  // A copy: callers may change their list while a recipient asks a service.
  for (const recipient of recipients.slice()) {
    // One after the other, in order. Those that ask a service are few, and a failure leaves nothing in flight.
    const stanza = await dataKey.use((bytes) =>
      recipient.wrap(bytes, { keyId: dataKey.keyId, keyContext: context.pairs }),
    )
    checkStanza(stanza, recipient, suites)
    stanzas.push(stanza)
  }
  return sealStanzas(dataKey, stanzas, context)
}

/** Key id, stanzas and their MAC. */
export function sealStanzas(
  dataKey: DataKey,
  stanzas: readonly Stanza[],
  keyContext: CanonicalContext,
): Uint8Array {
  const authenticated = encodeAuthenticated(dataKey.keyId, stanzas)
  const header = concat(authenticated, headerMac(dataKey, authenticated, keyContext))
  if (header.length > maxHeaderBytes) {
    throw new LongholdError('limit_exceeded', `a header of ${header.length} bytes, at most ${maxHeaderBytes}`)
  }
  return header
}

/**
 * Opens a header: steps 7 to 9 of SPEC §5.3. The caller wipes the data key.
 *
 * @throws LongholdError `unsupported` when no stanza is of a known suite, `not_a_recipient` when none is ours,
 * `cannot_open`, `unavailable`.
 */
export async function openHeader(
  header: Header,
  identities: readonly Identity[],
  keyContext: ContextInput | undefined,
  suites: SuiteTable,
): Promise<DataKey> {
  checkIdentities(identities)
  const context = canonicalize(keyContext)
  const secret = await unwrapOurs(header, identities, context.pairs, suites)
  if (!(secret instanceof Secret)) throw badInput('an identity unwrapped something that is no Secret')
  let dataKey: DataKey
  try {
    if (secret.length !== 32) throw cannotOpen()
    dataKey = secret.use((bytes) => DataKey.from(bytes))
  } finally {
    secret.wipe()
  }
  // Both compared in constant time, and before anything else is done with the key.
  const keyIdFits = equalBytes(dataKey.keyId, header.keyId)
  if (!keyIdFits || !equalBytes(headerMac(dataKey, header.authenticated, context), header.mac)) {
    dataKey.wipe()
    throw cannotOpen()
  }
  return dataKey
}

/**
 * Unwraps the first stanza, in the header's order, whose suite is known and that is addressed to one of us. If it
 * does not open, nothing else is tried; only when the holder of its key cannot be asked do we go on.
 */
async function unwrapOurs(
  header: Header,
  identities: readonly Identity[],
  keyContext: EncryptionContext,
  suites: SuiteTable,
): Promise<Secret> {
  const known = header.stanzas.filter((stanza) => suites.of(stanza) !== undefined)
  if (known.length === 0) {
    const met = header.stanzas.map(suiteIdText).join(', ')
    throw new LongholdError('unsupported', `no stanza of a known suite (KEM/KDF/AEAD: ${met})`)
  }
  let unreachable: LongholdError | undefined
  for (const stanza of known) {
    for (const identity of identities) {
      try {
        if (await identity.owns(stanza.kemId, stanza.recipientId)) {
          return await identity.unwrap(stanza, { keyId: header.keyId, keyContext })
        }
      } catch (error) {
        if (!(error instanceof LongholdError && error.code === 'unavailable')) throw error
        unreachable = error
      }
    }
  }
  if (unreachable !== undefined) throw unreachable
  throw new LongholdError('not_a_recipient', 'none of our identities is a recipient', {
    hint: `it was wrapped for recipient ${known.map(({ recipientId }) => toHex(recipientId)).join(', ')}`,
  })
}

function headerMac(dataKey: DataKey, authenticated: Uint8Array, keyContext: CanonicalContext): Uint8Array {
  const headerKey = headerKeyOf(dataKey)
  const hmac = backend().hmac('sha256', headerKey)
  headerKey.fill(0)
  const mac = hmac.mac(macLabel, authenticated, keyContext.bytes)
  hmac.wipe()
  return mac
}

/** @throws LongholdError `bad_input`, `unsupported`; what makes a list of recipients unfit is found before any wrap. */
export function checkRecipients(recipients: readonly Recipient[], suites: SuiteTable): void {
  if (!Array.isArray(recipients)) throw badInput('recipients must be an array')
  if (recipients.length === 0) throw badInput('no recipients: nobody could ever open it')
  if (recipients.length > maxStanzas)
    throw badInput(`${recipients.length} recipients, at most ${maxStanzas} are allowed`)
  const seen = new Set<string>()
  for (const recipient of recipients) {
    if (!isRecipient(recipient))
      throw badInput(
        'recipients: one is no recipient',
        'parseRecipient makes one from lhrecipient1-…, and an identity has one: identity.recipient',
      )
    const id = toHex(recipient.recipientId)
    if (seen.has(id)) throw badInput(`recipient ${id} stands twice in the list`)
    if (suites.ofKem(recipient.kemId) === undefined)
      throw unknownSuite(id, `KEM 0x${recipient.kemId.toString(16)}`)
    seen.add(id)
  }
}

function isRecipient(recipient: Partial<Recipient> | undefined): recipient is Recipient {
  if (!isBytes(recipient?.recipientId) || recipient.recipientId.length !== recipientIdBytes) return false
  return typeof recipient.kemId === 'number' && typeof recipient.wrap === 'function'
}

/** What no reader would accept, or a suite that may not be post-quantum, is refused before anything is written. */
function checkStanza(stanza: Stanza, { kemId, recipientId }: Recipient, suites: SuiteTable): void {
  if (!isBytes(stanza?.recipientId) || !isBytes(stanza.payload))
    throw badInput(`recipient ${toHex(recipientId)} made no stanza`)
  if (stanza.kemId !== kemId || !equalBytes(stanza.recipientId, recipientId))
    throw badInput(`recipient ${toHex(recipientId)} wrapped the data key for another one`)
  const suite = suites.of(stanza)
  if (suite === undefined) throw unknownSuite(toHex(recipientId), suiteIdText(stanza))
  if (stanzaPrefixBytes + stanza.payload.length !== suite.stanzaBytes)
    throw badInput(`recipient ${toHex(recipientId)} made a stanza of a wrong length`)
}

function unknownSuite(recipientId: string, ids: string): LongholdError {
  return new LongholdError(
    'unsupported',
    `recipient ${recipientId} is of a suite that is not in use (${ids})`,
    {
      hint: 'name the suites to be used in the option "suites"',
    },
  )
}

/** @throws LongholdError `bad_input`. */
export function checkIdentities(identities: readonly Identity[]): void {
  if (!Array.isArray(identities)) throw badInput('identities must be an array')
  for (const identity of identities as readonly Identity[]) {
    if (typeof identity?.owns !== 'function' || typeof identity.unwrap !== 'function')
      throw badInput('identities: one is no identity', 'parseIdentity makes one from LONGHOLD-IDENTITY-1-…')
  }
}
