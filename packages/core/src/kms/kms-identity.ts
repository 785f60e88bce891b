/** The service as an identity, and its keys as recipients: what core's functions take. */

import { fromBase64url, toHex } from '../bytes.ts'
import type { Stanza } from '../format/header.ts'
import type { Identity } from '../keys/identity.ts'
import { parseRecipient } from '../keys/key-parsing.ts'
import type { Bound, PublicKeyRecipient } from '../keys/recipient.ts'
import { checkOptions } from '../options.ts'
import type { Secret } from '../secret.ts'
import type { KmsClient } from './client.ts'
import { strangeAnswer } from './problems.ts'
import type { PublicKeyBundle } from './wire.ts'

export interface KmsIdentityOptions {
  /** Names of keys. Default: all the token may list, which takes the permission `keys.list` too. */
  readonly keys?: readonly string[]
}

interface Owned {
  /** kem id and recipient id. */
  readonly names: ReadonlySet<string>
  readonly expiresAtMs: number
}

interface Waiting {
  readonly stanza: Stanza
  readonly bound: Bound
  resolve(dataKey: Secret): void
  reject(reason: unknown): void
}

/** How many ids that are certainly not ours are remembered, so that each is looked up once. */
const maxForeign = 10_000

/**
 * An identity whose private keys stay with the key service. It owns what its keys' bundles say, asked again when they
 * expire and once for each id it does not know. Unwraps asked for in one turn of the event loop travel together.
 */
export class KmsIdentity implements Identity {
  readonly #client: KmsClient
  readonly #keys: readonly string[] | undefined
  #owned: Owned | undefined
  #refreshing: Promise<Owned> | undefined
  readonly #foreign = new Set<string>()
  #waiting: Waiting[] = []

  constructor(client: KmsClient, options: KmsIdentityOptions = {}) {
    checkOptions(options, ['keys'], 'KmsIdentity')
    this.#client = client
    this.#keys = options.keys && [...options.keys]
  }

  /** @throws LongholdError `unavailable` when the service could not be asked. */
  async owns(kemId: number, recipientId: Uint8Array): Promise<boolean> {
    const name = nameOf(kemId, recipientId)
    const owned = this.#owned
    if (owned !== undefined && owned.expiresAtMs > Date.now()) {
      if (owned.names.has(name)) return true
      if (this.#foreign.has(name)) return false
    }
    // What is under way may have been asked before this id came to be.
    const underWay = await this.#refreshing
    if (underWay?.names.has(name) === true) return true
    if ((await this.#refresh()).names.has(name)) return true
    if (this.#foreign.size >= maxForeign) this.#foreign.clear()
    this.#foreign.add(name)
    return false
  }

  /**
   * @throws LongholdError `cannot_open`; `not_a_recipient` when the service has no such key any more; `unavailable`
   * when it could not be asked or refuses.
   */
  unwrap(stanza: Stanza, bound: Bound): Promise<Secret> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ stanza, bound, resolve, reject })
      if (this.#waiting.length === 1) setTimeout(() => void this.#flush(), 0)
    })
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting
    this.#waiting = []
    try {
      const results = await this.#client.unwrap(batch.map(({ stanza, bound }) => ({ stanza, ...bound })))
      results.forEach((result, index) => {
        const waiting = batch[index]
        if ('error' in result) waiting?.reject(result.error)
        else waiting?.resolve(result.dataKey)
      })
    } catch (error) {
      for (const waiting of batch) waiting.reject(error)
    }
  }

  async #refresh(): Promise<Owned> {
    this.#refreshing ??= this.#fetchOwned().finally(() => {
      this.#refreshing = undefined
    })
    return await this.#refreshing
  }

  async #fetchOwned(): Promise<Owned> {
    const askedAtMs = Date.now()
    const keys = this.#keys ?? (await this.#client.listKeys()).map(({ key }) => key)
    const names = new Set<string>()
    let lifeMs = Number.POSITIVE_INFINITY
    for (const key of keys) {
      const bundle = await this.#client.publicKey(key)
      const { kemId } = recipientOf(this.#client, bundle)
      for (const id of recipientIdsOf(this.#client, bundle)) names.add(nameOf(kemId, id))
      // As a span of time: the two clocks need not agree.
      lifeMs = Math.min(lifeMs, Date.parse(bundle.not_after) - Date.parse(bundle.issued_at))
    }
    // Somebody else's id stays that, unless what we own changed.
    if (names.size !== this.#owned?.names.size) this.#foreign.clear()
    this.#owned = { names, expiresAtMs: askedAtMs + lifeMs }
    return this.#owned
  }
}

/**
 * The primary version of a key as a recipient. It wraps here, without the service: fetch it again within a day,
 * so that a rotation takes effect.
 *
 * @throws LongholdError `bad_input` when the service has no such key, `unavailable`.
 */
export async function kmsRecipient(client: KmsClient, key: string): Promise<PublicKeyRecipient> {
  return recipientOf(client, await client.publicKey(key))
}

function recipientOf(client: KmsClient, bundle: PublicKeyBundle): PublicKeyRecipient {
  let recipient: PublicKeyRecipient
  try {
    recipient = parseRecipient(bundle.recipient)
  } catch {
    throw strangeAnswer(client.url)
  }
  const id = toHex(recipient.recipientId)
  if (!recipientIdsOf(client, bundle).some((one) => toHex(one) === id)) throw strangeAnswer(client.url)
  return recipient
}

function recipientIdsOf(client: KmsClient, { recipient_ids: texts }: PublicKeyBundle): Uint8Array[] {
  if (!Array.isArray(texts)) throw strangeAnswer(client.url)
  return texts.map((text) => {
    const id = fromBase64url(text)
    if (id?.length !== 16) throw strangeAnswer(client.url)
    return id
  })
}

function nameOf(kemId: number, recipientId: Uint8Array): string {
  return `${kemId} ${toHex(recipientId)}`
}
