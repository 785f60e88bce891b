/**
 * The data keys a keyring has at hand, by key id: at most so many, for so long, each unwrapped once however many ask.
 * Who needs one across an `await` holds it; what nobody holds is wiped when it is evicted or has expired.
 */

import { toHex } from '../bytes.ts'
import { badInput } from '../errors.ts'
import type { LongholdError } from '../errors.ts'
import { checkOptions } from '../options.ts'
import type { DataKey } from './data-key.ts'
import { keyContextJson, ownerText } from './wrapped-key-store.ts'
import type { DataKeyOwner } from './wrapped-key-store.ts'

/** How many data keys a keyring has at hand, and how long. */
export interface CacheOptions {
  /** How many data keys besides those in use. Default 1,000. */
  readonly maxKeys?: number
  /** After that its state is looked up again, so that one retired or destroyed elsewhere is noticed. Default 5 minutes. */
  readonly maxAgeMs?: number
}

/** A data key as it came from the store. */
export interface LoadedKey {
  readonly dataKey: DataKey
  readonly owner: DataKeyOwner
  readonly createdAt: Date
  readonly isVouched: boolean
}

/** A data key at hand, and whose it is. */
export interface CachedKey {
  readonly dataKey: DataKey
  /** Whether new records may be written under it (SPEC §12.1). */
  readonly isVouched: boolean
  /** See `ownerText`. */
  readonly owner: string
  readonly keyContext: string
}

export interface HeldKey extends CachedKey {
  /** To be called once. `restart`: it was just known to be in use, and its time begins anew. */
  release(restart?: boolean): void
}

interface Slot extends CachedKey {
  readonly id: string
  expiresAtMs: number
  /** Too old to be read from then on, whoever holds it. */
  readonly endsAtMs: number
  holds: number
}

export class DataKeyCache {
  readonly #maxKeys: number
  readonly #maxAgeMs: number
  readonly #now: () => number
  readonly #maxReadAgeMs: number
  /** The least recently used first. */
  readonly #slots = new Map<string, Slot>()
  readonly #loading = new Map<string, Promise<Slot>>()
  #isClosed = false

  /** @throws LongholdError `bad_input`. */
  constructor(options: CacheOptions, now: () => number, maxReadAgeMs: number) {
    checkOptions(options, ['maxKeys', 'maxAgeMs'], 'cache')
    const { maxKeys = 1000, maxAgeMs = 5 * 60 * 1000 } = options
    if (!Number.isSafeInteger(maxKeys) || maxKeys < 1) throw badInput('cache: maxKeys must be 1 or more')
    if (!Number.isSafeInteger(maxAgeMs) || maxAgeMs < 1) throw badInput('cache: maxAgeMs must be 1 or more')
    this.#maxKeys = maxKeys
    this.#maxAgeMs = maxAgeMs
    this.#now = now
    this.#maxReadAgeMs = maxReadAgeMs
  }

  get maxKeys(): number {
    return this.#maxKeys
  }

  /**
   * A data key that is at hand. To be used before anything is awaited.
   *
   * @throws LongholdError `bad_input` once the keyring was closed: nothing would be at hand ever again.
   */
  peek(id: string): CachedKey | undefined {
    if (this.#isClosed) throw closed()
    return this.#usable(id)
  }

  /** A data key until it is released; `load` is called unless it is at hand or being loaded. */
  async hold(id: string, load: () => Promise<LoadedKey>): Promise<HeldKey> {
    for (;;) {
      const slot = this.#usable(id) ?? (await this.#load(id, load))
      // While we waited others may have pushed it out again.
      if (this.#slots.get(id) === slot) return this.#held(slot)
    }
  }

  /** Takes over a data key that was made here, and holds it. */
  adopt(dataKey: DataKey, owner: DataKeyOwner): HeldKey {
    const loaded = { dataKey, owner, createdAt: new Date(this.#now()), isVouched: true }
    return this.#held(this.#put(toHex(dataKey.keyId), loaded))
  }

  /** Wipes a data key at once, whoever holds it. */
  forget(id: string): void {
    const slot = this.#slots.get(id)
    this.#slots.delete(id)
    slot?.dataKey.wipe()
  }

  /** Wipes all of them and takes no more. */
  close(): void {
    this.#isClosed = true
    for (const id of this.#slots.keys()) this.forget(id)
  }

  #usable(id: string): Slot | undefined {
    const slot = this.#slots.get(id)
    if (slot === undefined || slot.endsAtMs < this.#now()) return undefined
    if (slot.holds === 0 && slot.expiresAtMs <= this.#now()) {
      this.forget(id)
      return undefined
    }
    this.#slots.delete(id)
    this.#slots.set(id, slot)
    return slot
  }

  async #load(id: string, load: () => Promise<LoadedKey>): Promise<Slot> {
    const underWay = this.#loading.get(id)
    if (underWay !== undefined) return await underWay
    const loading = load().then((loaded) => this.#put(id, loaded))
    this.#loading.set(id, loading)
    try {
      return await loading
    } finally {
      this.#loading.delete(id)
    }
  }

  #put(id: string, { dataKey, owner, createdAt, isVouched }: LoadedKey): Slot {
    if (this.#isClosed) {
      dataKey.wipe()
      throw closed()
    }
    this.forget(id)
    const slot = {
      id,
      dataKey,
      isVouched,
      owner: ownerText(owner),
      keyContext: keyContextJson(owner.keyContext),
      expiresAtMs: this.#now() + this.#maxAgeMs,
      endsAtMs: createdAt.getTime() + this.#maxReadAgeMs,
      holds: 0,
    }
    this.#slots.set(id, slot)
    this.#sweep(slot)
    return slot
  }

  #held(slot: Slot): HeldKey {
    slot.holds++
    const { dataKey, isVouched, owner, keyContext } = slot
    return {
      dataKey,
      isVouched,
      owner,
      keyContext,
      release: (restart = false) => {
        slot.holds--
        if (restart) slot.expiresAtMs = this.#now() + this.#maxAgeMs
        // Cheap where nothing is to be done: this runs for each batch of records that is opened.
        if (this.#slots.size > this.#maxKeys || slot.expiresAtMs <= this.#now()) this.#sweep()
      },
    }
  }

  /** Wipes what has expired, and the least recently used above the bound; never what is held or just came. */
  #sweep(justCame?: Slot): void {
    const idle = [...this.#slots.values()].filter((slot) => slot.holds === 0 && slot !== justCame)
    const now = this.#now()
    const live = idle.filter((slot) => slot.expiresAtMs > now)
    for (const slot of idle) if (slot.expiresAtMs <= now) this.forget(slot.id)
    const room = this.#maxKeys - (justCame === undefined ? 0 : 1)
    for (const slot of live.slice(0, Math.max(0, live.length - room))) this.forget(slot.id)
  }
}

function closed(): LongholdError {
  return badInput('the keyring was closed')
}
