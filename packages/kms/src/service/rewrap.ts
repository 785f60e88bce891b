/**
 * New headers for old: opened completely, written anew for the same readers at their newest versions. Nobody is
 * dropped silently, and nobody is added whom the source key does not allow.
 */

import {
  canonicalContext,
  equalBytes,
  fromHex,
  inspect,
  parseRecipient,
  rewrap as rewrapHeader,
  toHex,
} from '@longhold/core'
import type { EncryptionContext, Identity, PublicKeyRecipient, Recipient } from '@longhold/core'

import { auditItems, itemError } from './batch.ts'
import type { ItemResult } from './batch.ts'
import { requireIssued } from './data-keys.ts'
import type { DecapsulationQueue } from './decapsulation-queue.ts'
import { notFound, ServiceError } from './errors.ts'
import { requirePurpose, requireRewrapping } from './key-uses.ts'
import { keyPattern } from './keys.ts'
import type { Keys } from './keys.ts'
import { mayUse, permissionDenied } from './policy.ts'
import type { Caller } from './policy.ts'
import type { KeyRow } from './rows.ts'
import { versionStates } from './states.ts'
import { findVersions, stanzaName, usesIn } from './unwrap.ts'
import type { FoundVersion, OpenerOptions } from './unwrap.ts'

export interface RewrapItem {
  readonly id: string
  readonly wrappedKey: Uint8Array
  readonly context: EncryptionContext
  /** Keys to take the place of the source key, and recipient texts for readers the service does not know. */
  readonly to: readonly string[]
}

export interface Rewrapped {
  readonly wrappedKey: Uint8Array
  /** What opened the old header. */
  readonly key: string
  readonly version: number
}

export interface RewrapOptions extends OpenerOptions {
  readonly keys: Keys
}

interface Addressee {
  readonly kemId: number
  readonly recipientId: Uint8Array
}

interface Parsed {
  readonly item: RewrapItem
  readonly keyId: Uint8Array
  readonly addressees: readonly Addressee[]
}

/** One answer for each item, in order. Throws as `unwrap` does. */
export async function rewrap(
  options: RewrapOptions,
  caller: Caller,
  items: readonly RewrapItem[],
): Promise<ItemResult<Rewrapped>[]> {
  const parsed = items.map(parse)
  const rows = await findVersions(
    options.ledger,
    caller.principal,
    parsed.flatMap((one) => (one.header instanceof ServiceError ? [] : one.header.addressees)),
  )
  const plan = new Planner(options, caller, rows)
  const settled = await Promise.allSettled(
    parsed.map(async ({ item, header }): Promise<ItemResult<Rewrapped>> => {
      const known = { id: item.id, context: item.context }
      if (header instanceof ServiceError)
        return { ...known, keyId: undefined, row: undefined, answer: header }
      const source = sourceOf(rows, header)
      const answer = await rewrapOne(options, caller, plan, header, source)
      return { ...known, keyId: header.keyId, row: source?.row, answer }
    }),
  )
  for (const one of settled) if (one.status === 'rejected') throw one.reason
  const results = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const event = { action: 'rewrap' as const, caller, items: auditItems(results) }
  await options.usage.record(event, usesIn(results))
  return results
}

async function rewrapOne(
  { ledger, identities, queue }: RewrapOptions,
  { principal }: Caller,
  plan: Planner,
  { item, keyId, addressees }: Parsed,
  found: FoundVersion | undefined,
): Promise<Rewrapped | ServiceError> {
  try {
    if (found === undefined) throw notFound('the key it was wrapped for')
    const { row: source, key } = found
    if (!mayUse(principal, 'rewrap', key, item.context)) throw permissionDenied('rewrap')
    requireRewrapping(key, source)
    await requireIssued(ledger, key, keyId)
    const recipients = await plan.recipients(item, addressees, key)
    const identity: Identity = {
      owns: (kemId, recipientId) => kemId === source.kemId && equalBytes(recipientId, source.recipientId),
      unwrap: (stanza, bound) => queue.run(async () => identities.get(source).unwrap(stanza, bound)),
    }
    const wrappedKey = await rewrapHeader(item.wrappedKey, {
      identities: [identity],
      recipients: recipients.map((recipient) => inTurn(recipient, queue)),
      keyContext: item.context,
    })
    return { wrappedKey, key: source.key, version: source.version }
  } catch (error) {
    return itemError(error)
  }
}

/** Wraps a few at a time: a header may have many readers, a batch a thousand headers. */
function inTurn(recipient: PublicKeyRecipient, queue: DecapsulationQueue): Recipient {
  const { kemId, recipientId } = recipient
  return { kemId, recipientId, wrap: (dataKey, bound) => queue.run(() => recipient.wrap(dataKey, bound)) }
}

/** The version that opens the header: of those the caller may know of, the first, in order, that still may. */
function sourceOf(rows: ReadonlyMap<string, FoundVersion>, { addressees }: Parsed): FoundVersion | undefined {
  const known = addressees.flatMap((addressee) => rows.get(stanzaName(addressee)) ?? [])
  return known.find(({ row }) => versionStates[row.state].rewrapFrom) ?? known[0]
}

/** Decides who reads the new header. Keeps what it looked up for the rest of the batch. */
class Planner {
  readonly #options: RewrapOptions
  readonly #caller: Caller
  readonly #rows: ReadonlyMap<string, FoundVersion>
  readonly #primaries = new Map<string, Promise<PublicKeyRecipient>>()

  constructor(options: RewrapOptions, caller: Caller, rows: ReadonlyMap<string, FoundVersion>) {
    this.#options = options
    this.#caller = caller
    this.#rows = rows
  }

  /**
   * @throws ServiceError `recipient_unknown` for a reader who would be lost, `permission_denied` for one who may not
   * be added.
   */
  async recipients(
    { to }: RewrapItem,
    addressees: readonly Addressee[],
    source: KeyRow,
  ): Promise<PublicKeyRecipient[]> {
    const supplied = to.filter((text) => text.startsWith('lhrecipient')).map((text) => parseRecipient(text))
    const named = to.filter((text) => !text.startsWith('lhrecipient'))
    // Not repeated in the answer: it is any text of the caller's.
    if (!named.every((key) => keyPattern.test(key))) {
      throw new ServiceError(
        'malformed_request',
        'a text in "to" is neither the name of a key nor a recipient',
      )
    }
    for (const key of named) await this.#checkTarget(key, source)

    const chosen = new Map<string, PublicKeyRecipient>()
    const add = (recipient: PublicKeyRecipient): void => {
      chosen.set(toHex(recipient.recipientId), recipient)
    }
    for (const addressee of addressees) {
      const row = this.#rows.get(stanzaName(addressee))?.row
      if (row?.key === source.key) {
        for (const key of named.length > 0 ? named : [source.key]) add(await this.#primary(key))
      } else if (row !== undefined) {
        add(await this.#primary(row.key))
      } else {
        const recipient = supplied.find((one) => stanzaName(one) === stanzaName(addressee))
        if (recipient === undefined) throw recipientUnknown(addressee)
        add(recipient)
      }
    }
    const foreign = supplied.find(({ recipientId }) => !chosen.has(toHex(recipientId)))
    if (foreign !== undefined) {
      throw new ServiceError(
        'permission_denied',
        `recipient ${toHex(foreign.recipientId)} is not one of the old header, and a rewrap adds none`,
      )
    }
    return [...chosen.values()]
  }

  async #checkTarget(key: string, source: KeyRow): Promise<void> {
    if (key === source.key) return
    if (!source.rewrapTo.includes(key)) {
      throw new ServiceError('permission_denied', `the key ${source.key} does not allow a rewrap to ${key}`, {
        hint: 'such targets are named when a key is created or edited',
      })
    }
    // Its data keys are those that were made for it; this one was not.
    if ((await this.#options.keys.row(this.#caller, key)).issuedOnly) {
      throw new ServiceError('invalid_state', `the key ${key} takes no data keys from elsewhere`)
    }
  }

  #primary(key: string): Promise<PublicKeyRecipient> {
    const known = this.#primaries.get(key)
    if (known !== undefined) return known
    const primary = (async () => {
      const row = await this.#options.keys.row(this.#caller, key)
      if (!mayUse(this.#caller.principal, 'wrap', row)) throw permissionDenied('wrap')
      requirePurpose(row, 'wrap')
      const { recipient } = await this.#options.keys.primary(key)
      return recipient
    })()
    this.#primaries.set(key, primary)
    return primary
  }
}

function recipientUnknown({ recipientId }: Addressee): ServiceError {
  return new ServiceError(
    'recipient_unknown',
    `recipient ${toHex(recipientId)} of the old header is not a key of this service, and would be lost`,
    { hint: 'give its public key (lhrecipient1-…) in "to"' },
  )
}

function parse(item: RewrapItem): { item: RewrapItem; header: Parsed | ServiceError } {
  try {
    canonicalContext(item.context)
    const { kind, keyId, stanzas } = inspect(item.wrappedKey)
    if (kind !== 'wrapped key')
      throw new ServiceError('malformed_request', `this is a ${kind}, not a wrapped key`)
    const addressees = stanzas.map(({ kemId, recipientId }) => ({ kemId, recipientId: bytesOf(recipientId) }))
    return { item, header: { item, keyId: bytesOf(keyId), addressees } }
  } catch (error) {
    return { item, header: itemError(error) }
  }
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex)
  // `inspect` writes hexadecimal.
  if (bytes === undefined) throw new Error('not hexadecimal')
  return bytes
}
