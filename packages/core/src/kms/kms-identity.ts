/** The service as an identity, and its keys as recipients: what core's functions take. */

import { toHex } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import { encodeStanza } from '../format/header.ts'
import type { Stanza } from '../format/header.ts'
import type { Identity } from '../keys/identity.ts'
import type { Bound } from '../keys/recipient.ts'
import { suiteTable } from '../keys/suite.ts'
import type { SuitesOption } from '../keys/suite.ts'
import { checkOptions } from '../options.ts'
import type { Secret } from '../secret.ts'
import { recipientIdsOf, recipientOf } from './bundle-keys.ts'
import type { KmsClient } from './client.ts'
import { DataKeyCache, unwrapName } from './data-key-cache.ts'
import type { PublicKeyBundle } from './wire.ts'

/** Which keys of the service an identity stands for. */
export interface KmsIdentityOptions extends SuitesOption {
  /**
   * Names of keys, each of one of `suites`. Default: all the token may list, which takes the permission `keys.list` too,
   * and of those the ones of `suites`.
   */
  readonly keys?: readonly string[]
  /**
   * For how long an unwrapped data key is kept and given again without asking: until then, a token that was revoked or a
   * version that was switched off is still as good as before, and the service's log says nothing of it. In milliseconds,
   * at most an hour. Default 0: nothing is kept.
   */
  readonly cacheMs?: number
  /** How many data keys are kept, the oldest leaving first. Default 1,000. */
  readonly cacheSize?: number
}

interface Owned {
  /** kem id and recipient id. */
  readonly names: ReadonlySet<string>
  readonly expiresAtMs: number
  /** Why a key's bundle could not be had: what it names is not known to be foreign then. */
  readonly failure: LongholdError | undefined
}

interface Waiting {
  readonly stanza: Stanza
  readonly bound: Bound
  resolve(dataKey: Secret): void
  reject(reason: unknown): void
}

/** How many ids that are not ours are remembered, so that each is not looked up each time. */
const maxForeign = 10_000
/** And for how long: a version that was switched off may be switched on again. */
const foreignLifeMs = 60_000
/** No bundle is good for longer, whatever it says. */
const maxLifeMs = 24 * 60 * 60 * 1000
const maxAsking = 8
const maxCacheMs = 60 * 60 * 1000
const maxCacheSize = 100_000
/** What its two length bytes can say (SPEC §5). */
const maxStanzaBytes = 65_535

/**
 * An identity whose private keys stay with the key service. It owns what its keys' bundles say, asked again when they
 * expire and, at most once a minute, for each id it does not know. A key whose bundle cannot be had does not stand in
 * the way of the others. Unwraps asked for in one turn of the event loop travel together.
 */
export class KmsIdentity implements Identity {
  readonly #client: KmsClient
  readonly #keys: readonly string[] | undefined
  readonly #suites: SuitesOption
  readonly #cache: DataKeyCache | undefined
  #owned: Owned | undefined
  #refreshing: Promise<Owned> | undefined
  /** Until when an id counts as not ours. */
  readonly #foreign = new Map<string, number>()
  #waiting: Waiting[] = []

  constructor(client: KmsClient, options: KmsIdentityOptions = {}) {
    checkOptions(options, ['keys', 'suites', 'cacheMs', 'cacheSize'], 'KmsIdentity')
    const { keys, suites } = options
    suiteTable(suites) // refuses what is none
    this.#client = client
    this.#keys = keys && [...keys]
    this.#suites = suites === undefined ? {} : { suites: [...suites] }
    const { cacheMs = 0, cacheSize = 1000 } = options
    if (!(cacheMs >= 0 && cacheMs <= maxCacheMs)) throw badInput(`cacheMs is from 0 to ${maxCacheMs}`)
    if (!(Number.isInteger(cacheSize) && cacheSize >= 1 && cacheSize <= maxCacheSize)) {
      throw badInput(`cacheSize is a whole number from 1 to ${maxCacheSize}`)
    }
    this.#cache = cacheMs === 0 ? undefined : new DataKeyCache(cacheMs, cacheSize)
  }

  /** Wipes the data keys that are kept; it can be used further. Never throws. */
  clearCache(): void {
    this.#cache?.clear()
  }

  /** @throws LongholdError `unavailable` when the service could not be asked. */
  async owns(kemId: number, recipientId: Uint8Array): Promise<boolean> {
    const name = nameOf(kemId, recipientId)
    const owned = this.#owned
    if (owned !== undefined && owned.expiresAtMs > Date.now()) {
      if (owned.names.has(name)) return true
      if ((this.#foreign.get(name) ?? 0) > Date.now()) return false
    }
    // What is under way may have been asked before this id came to be.
    const underWay = await this.#refreshing
    if (underWay?.names.has(name) === true) return true
    const { names, failure } = await this.#refresh()
    if (names.has(name)) return true
    if (failure !== undefined) throw failure
    if (this.#foreign.size >= maxForeign) this.#foreign.clear()
    this.#foreign.set(name, Date.now() + foreignLifeMs)
    return false
  }

  /**
   * @throws LongholdError `cannot_open`; `not_a_recipient` when the service has no such key any more; `unavailable`
   * when it could not be asked or refuses; `bad_input`, `bad_context`.
   */
  async unwrap(stanza: Stanza, bound: Bound): Promise<Secret> {
    // Refused here: in the request it would fail for all who travel in it.
    if (!(bound.keyId instanceof Uint8Array) || bound.keyId.length !== 16)
      throw badInput('a key id has 16 bytes')
    canonicalize(bound.keyContext)
    if (encodeStanza(stanza).length > maxStanzaBytes)
      throw badInput(`a stanza has at most ${maxStanzaBytes} bytes`)
    const cache = this.#cache
    if (cache === undefined) return await this.#unwrapNext(stanza, bound)
    const name = unwrapName(stanza, bound)
    const kept = cache.get(name)
    if (kept !== undefined) return kept
    const dataKey = await this.#unwrapNext(stanza, bound)
    cache.put(name, dataKey)
    return dataKey
  }

  /** With all others of this turn. */
  async #unwrapNext(stanza: Stanza, bound: Bound): Promise<Secret> {
    return await new Promise((resolve, reject) => {
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

  /** Of those the token may list, the keys that unwrap at all. */
  async #listed(): Promise<string[]> {
    const keys = await this.#client.listKeys()
    return keys.filter(({ enabled, purpose }) => enabled && purpose === 'wrap').map(({ key }) => key)
  }

  async #fetchOwned(): Promise<Owned> {
    const askedAtMs = Date.now()
    const keys = this.#keys ?? (await this.#listed())
    const names = new Set<string>()
    let lifeMs = maxLifeMs
    let failure: LongholdError | undefined
    for (let at = 0; at < keys.length; at += maxAsking) {
      const group = keys.slice(at, at + maxAsking)
      const settled = await Promise.allSettled(group.map((key) => this.#client.publicKey(key)))
      const bundles = settled.flatMap((one) => {
        if (one.status === 'fulfilled') return [one.value]
        failure ??= failureFrom(one.reason)
        return []
      })
      // Nobody answers: the rest would wait in vain as well.
      if (bundles.length === 0 && failure !== undefined) throw failure
      for (const bundle of bundles) {
        const kemId = this.#kemIdOf(bundle)
        if (kemId !== undefined) {
          for (const id of recipientIdsOf(this.#client, bundle)) names.add(nameOf(kemId, id))
        }
        // As a span of time: the two clocks need not agree.
        lifeMs = Math.min(lifeMs, Date.parse(bundle.not_after) - Date.parse(bundle.issued_at))
      }
    }
    this.#owned = { names, expiresAtMs: askedAtMs + lifeMs, failure }
    return this.#owned
  }

  /** `undefined` for a key of a suite that is not ours to read, unless it was named. */
  #kemIdOf(bundle: PublicKeyBundle): number | undefined {
    try {
      return recipientOf(this.#client, bundle, this.#suites).kemId
    } catch (error) {
      const isOther = error instanceof LongholdError && error.code === 'unsupported'
      if (isOther && this.#keys === undefined) return undefined
      throw error
    }
  }
}

/** A key that is not there, or anything nobody foresaw, is an error at once; the rest may pass. */
function failureFrom(reason: unknown): LongholdError {
  if (reason instanceof LongholdError && reason.code === 'unavailable') return reason
  throw reason
}

function nameOf(kemId: number, recipientId: Uint8Array): string {
  return `${kemId} ${toHex(recipientId)}`
}
