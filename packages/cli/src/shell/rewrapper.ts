/** New recipients for wrapped keys: by identities of ours, or inside the key service. */

import { inspect, LongholdError, rewrap, toHex } from '@longhold/core'
import type { KmsClient } from '@longhold/core/kms'

import { usage } from './errors.ts'
import { openKmsClient } from './key-service.ts'
import { resolveIdentities, resolveNamedRecipients } from './keys.ts'
import type { KeyOptions, NamedRecipient } from './keys.ts'
import { suitesOf } from './suites.ts'
import type { Terminal } from './terminal.ts'

export interface RewrapItem {
  readonly wrappedKey: Uint8Array
  readonly keyContext: Readonly<Record<string, string>>
}

/** The new wrapped key, or why there is none. */
export type Rewrapped = { readonly wrappedKey: Uint8Array } | { readonly error: LongholdError }

export interface Rewrapper {
  /** Ids of all who can open it afterwards, in hexadecimal. */
  readonly recipientIds: ReadonlySet<string>
  /** Rewraps wrapped keys; the results are in the same order. Throws only what concerns all of them. */
  rewrap(items: readonly RewrapItem[]): Promise<Rewrapped[]>
}

export interface RewrapperOptions extends KeyOptions {
  readonly unwrapHere?: true | undefined
}

/**
 * With identities in files the data key is unwrapped here. With the key service alone it does the whole
 * step and the data key never leaves it, unless `--unwrap-here` says otherwise: the service gives up or takes
 * in no recipient that it does not know.
 */
export async function openRewrapper(terminal: Terminal, options: RewrapperOptions): Promise<Rewrapper> {
  const named = await resolveNamedRecipients(terminal, options)
  const identities = await resolveIdentities(terminal, options)
  const recipients = named.map(({ recipient }) => recipient)
  const recipientIds = new Set(recipients.map(({ recipientId }) => toHex(recipientId)))
  if (recipientIds.size < recipients.length) throw usage('the same recipient is given twice')
  if (options.unwrapHere === undefined && identities.every(({ local }) => local === undefined)) {
    const client = await openKmsClient(terminal, options)
    if (client !== undefined) return new ServiceRewrapper(client, named)
  }
  const owners = identities.map(({ identity }) => identity)
  const local = identities.flatMap((one) => (one.local === undefined ? [] : [one.local]))
  const suites = await suitesOf([...recipients, ...local])
  return {
    recipientIds,
    async rewrap(items) {
      const results: Rewrapped[] = []
      for (const item of items) results.push(await rewrapHere(item))
      return results
    },
  }

  async function rewrapHere({ wrappedKey, keyContext }: RewrapItem): Promise<Rewrapped> {
    try {
      return { wrappedKey: await rewrap(wrappedKey, { identities: owners, recipients, keyContext, suites }) }
    } catch (error) {
      if (error instanceof LongholdError && error.code !== 'unavailable') return { error }
      throw error
    }
  }
}

/** The whole step inside the key service, for those recipients that it knows or that were there before. */
class ServiceRewrapper implements Rewrapper {
  readonly recipientIds: ReadonlySet<string>
  readonly #client: KmsClient
  readonly #to: readonly string[]
  readonly #outsiders: readonly string[]

  constructor(client: KmsClient, named: readonly NamedRecipient[]) {
    const idOf = ({ recipient }: NamedRecipient): string => toHex(recipient.recipientId)
    this.recipientIds = new Set(named.map(idOf))
    this.#client = client
    this.#to = named.map(({ recipient, kmsKey }) => kmsKey ?? recipient.toString())
    this.#outsiders = named.filter(({ kmsKey }) => kmsKey === undefined).map(idOf)
  }

  async rewrap(items: readonly RewrapItem[]): Promise<Rewrapped[]> {
    const refusals = items.map(({ wrappedKey }) => this.#refusal(wrappedKey))
    const asked = items.filter((_, index) => refusals[index] === undefined)
    const answers = (await this.#client.rewrap(asked.map((item) => ({ ...item, to: this.#to })))).values()
    return refusals.map((error) => {
      if (error !== undefined) return { error }
      const { value } = answers.next()
      if (value === undefined) throw new Error('fewer answers than items')
      return 'error' in value ? { error: withWayOut(value.error) } : value
    })
  }

  #refusal(wrappedKey: Uint8Array): LongholdError | undefined {
    const before = new Set(inspect(wrappedKey).stanzas.map(({ recipientId }) => recipientId))
    const added = this.#outsiders.find((id) => !before.has(id))
    if (added === undefined) return undefined
    return new LongholdError('bad_input', `the key service takes in no new recipient like ${added}`, {
      hint: '--unwrap-here unwraps data keys in this process, which can add anybody',
    })
  }
}

/** The service drops nobody whom it does not know. */
function withWayOut(error: LongholdError): LongholdError {
  if (error.code !== 'bad_input') return error
  return new LongholdError(error.code, error.message, {
    hint: 'name all recipients who shall stay, or leave somebody out on purpose with --unwrap-here',
    cause: error,
  })
}

export interface RecipientChange {
  /** True when exactly these recipients can open it already. */
  readonly none: boolean
  readonly added: readonly string[]
  readonly dropped: readonly string[]
}

/** Who could open it so far, beside who is going to. Reads the header, opens nothing. */
export function recipientChange(bytes: Uint8Array, { recipientIds }: Rewrapper): RecipientChange {
  const before = new Set(inspect(bytes).stanzas.map(({ recipientId }) => recipientId))
  const added = [...recipientIds].filter((id) => !before.has(id))
  const dropped = [...before].filter((id) => !recipientIds.has(id))
  return { none: added.length === 0 && dropped.length === 0, added, dropped }
}
