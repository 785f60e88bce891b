/**
 * The data key that one name writes under: found or made, reserved from in portions, and followed by the next one
 * before it is used up. A portion is counted in the store before the first record of it is encrypted, so that a crash
 * can waste some of a data key's life but never exceed it.
 */

import { copyBytes, equalBytes, toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import { blockFor, isDue } from './data-key-limits.ts'
import type { DataKey } from './data-key.ts'
import { findOrMake, makeNext, reserveFrom } from './keyring-acquire.ts'
import type { Acquired } from './keyring-acquire.ts'
import type { HeldKey } from './keyring-cache.ts'
import { checkWrites } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { DataKeyOwner, DataKeyPortion, DataKeyUse } from './wrapped-key-store.ts'

/** After a failure in the background nothing is tried for that long, unless somebody waits for it. */
const pauseMs = 1000
const oneMessage: DataKeyUse = { messages: 1, bytes: 0 }

interface Current {
  readonly keyId: Uint8Array
  readonly held: HeldKey
  readonly createdAtMs: number
  /** In the store: what all processes have reserved. */
  counted: DataKeyUse
  /** Of that, what this process has reserved and not used. */
  left: { messages: number; bytes: number }
  blocks: number
  checkedAtMs: number
}

/** Room that is one caller's alone, until the event loop turns. */
export interface KeptRoom {
  readonly of: unknown
  messages: number
  bytes: number
}

export class Writer {
  readonly #parts: KeyringParts
  readonly #owner: DataKeyOwner
  #current: Current | undefined
  #working: Promise<void> | undefined
  #failed: { readonly atMs: number; readonly error: unknown } | undefined
  readonly #kept = new Set<KeptRoom>()

  constructor(owner: DataKeyOwner, parts: KeyringParts) {
    this.#owner = owner
    this.#parts = parts
  }

  get isBusy(): boolean {
    return this.#working !== undefined
  }

  /** Resolves when what is under way has ended, well or not. */
  async idle(): Promise<void> {
    await this.#working?.catch(() => undefined) // whoever waits for it hears of it
  }

  /** The key id records are written under, once one is ready. */
  get keyId(): Uint8Array | undefined {
    return this.#current?.keyId
  }

  /** Calls `run` when that many records can be encrypted, and in the same turn: nobody else takes them meanwhile. */
  async whenReady<T>(wanted: DataKeyUse, run: () => T): Promise<T> {
    const { maxMessages, maxBytes } = this.#parts.limits
    if (wanted.messages > maxMessages || wanted.bytes > maxBytes) {
      throw new LongholdError(
        'limit_exceeded',
        `${wanted.messages} records of ${wanted.bytes} bytes; a data key is for ${maxMessages} of ${maxBytes}`,
        { hint: 'raise the limits of the keyring, or write fewer at once' },
      )
    }
    let isFresh = this.#isFresh()
    while (!(this.#has(wanted) && isFresh)) {
      await (this.#working ?? this.#work(() => this.#improve(wanted)))
      isFresh = true
    }
    this.#prepareIfNeeded()
    return run()
  }

  /**
   * The data key for one record of that many bytes, which is counted.
   *
   * @param room The caller's own, taken from first.
   * @throws LongholdError `limit_exceeded` when the reserved portion, or the life of the data key, is used up.
   */
  take(bytes: number, room?: KeptRoom): DataKey {
    const current = this.#current
    if (room !== undefined && room.of === current && room.messages > 0 && bytes <= room.bytes) {
      if (current !== undefined && this.#ageMs(current) < this.#parts.limits.maxAgeMs) {
        room.messages--
        room.bytes -= bytes
        return current.held.dataKey
      }
    }
    const wanted = { messages: 1, bytes }
    if (current === undefined || !this.#has(wanted)) {
      checkWrites(this.#parts)
      this.#prepareIfNeeded(wanted)
      throw this.#usedUp(bytes)
    }
    current.left.messages--
    current.left.bytes -= bytes
    this.#prepareIfNeeded()
    return current.held.dataKey
  }

  /**
   * Keeps room for one caller until the event loop turns: of many that were told at once that there is room, each then has
   * its own. To be called by what `whenReady` runs, for as much.
   */
  keep({ messages, bytes }: DataKeyUse): KeptRoom {
    const current = this.#current
    const room: KeptRoom = { of: current, messages, bytes }
    if (current === undefined) return room
    current.left.messages -= messages
    current.left.bytes -= bytes
    if (this.#kept.size === 0) setTimeout(() => this.#takeBackKept(), 0)
    this.#kept.add(room)
    this.#prepareIfNeeded()
    return room
  }

  /** Takes bytes for a record that was begun under that data key, if it is in turn and has room. */
  takeBytes(keyId: Uint8Array, bytes: number): boolean {
    const current = this.#current
    if (current === undefined || !equalBytes(current.keyId, keyId) || bytes > current.left.bytes) return false
    current.left.bytes -= bytes
    this.#prepareIfNeeded()
    return true
  }

  /** Gives back what was taken of a data key and not used. */
  giveBack(portion: DataKeyPortion): void {
    const current = this.#current
    if (current !== undefined && equalBytes(current.keyId, portion.keyId)) {
      current.left.messages += portion.messages
      current.left.bytes += portion.bytes
    } else this.#release(portion)
  }

  /** Makes a new data key and writes under it from now on. @returns Its key id. */
  async rotate(): Promise<Uint8Array> {
    // One after the other with what is under way; whoever waits for that hears of its failure.
    while (this.#working !== undefined) await this.#working.catch(() => undefined)
    let keyId = new Uint8Array()
    await this.#work(async () => {
      const made = await makeNext(this.#owner, oneMessage, this.#parts)
      keyId = copyBytes(made.stored.keyId)
      this.#become(made)
    })
    return keyId
  }

  /** No more records under that data key: it was moved or destroyed by this keyring. */
  leave(keyId: string): void {
    const current = this.#current
    if (current === undefined || toHex(current.keyId) !== keyId) return
    this.#current = undefined
    current.held.release()
  }

  /** @returns What is reserved and not used: to be given back. */
  async close(): Promise<DataKeyPortion | undefined> {
    await this.idle()
    this.#takeBackKept()
    const current = this.#current
    this.#current = undefined
    current?.held.release(true)
    return current && { keyId: current.keyId, ...current.left }
  }

  #takeBackKept(): void {
    for (const room of this.#kept) {
      if (room.of === this.#current && this.#current !== undefined) {
        this.#current.left.messages += room.messages
        this.#current.left.bytes += room.bytes
      }
      room.messages = 0
      room.bytes = 0
    }
    this.#kept.clear()
  }

  /** Nobody waits for it, and what is not given back only makes the count too high. */
  #release(portion: DataKeyPortion): void {
    this.#parts.store.release([portion]).catch(() => undefined)
  }

  #has({ messages, bytes }: DataKeyUse): boolean {
    const current = this.#current
    return (
      current !== undefined &&
      this.#ageMs(current) < this.#parts.limits.maxAgeMs &&
      messages <= current.left.messages &&
      bytes <= current.left.bytes
    )
  }

  #isFresh(): boolean {
    const current = this.#current
    return current !== undefined && this.#parts.now() - current.checkedAtMs < this.#parts.refreshMs
  }

  #isDue(current: Current): boolean {
    const { counted, left } = current
    const used = { messages: counted.messages - left.messages, bytes: counted.bytes - left.bytes }
    return isDue(this.#parts.limits, used, this.#ageMs(current))
  }

  #ageMs({ createdAtMs }: { readonly createdAtMs: number }): number {
    return this.#parts.now() - createdAtMs
  }

  /** In the background: the next data key, the next portion, or a look at whether this one is still writing. */
  #prepareIfNeeded(wanted: DataKeyUse = oneMessage): void {
    const current = this.#current
    const isNeeded =
      current === undefined ||
      !this.#has(wanted) ||
      !this.#isFresh() ||
      this.#isDue(current) ||
      this.#isLow(current)
    if (!isNeeded || this.#working !== undefined) return
    if (this.#failed !== undefined && this.#parts.now() - this.#failed.atMs < pauseMs) return
    // Its failure is remembered, and told to whoever meets the limit.
    this.#work(() => this.#improve(wanted)).catch(() => undefined)
  }

  /** Half of the last portion is used, and there may be more to have. */
  #isLow({ left, counted, blocks }: Current): boolean {
    const { limits } = this.#parts
    const block = blockFor(limits, {
      used: { messages: 0, bytes: 0 },
      wanted: oneMessage,
      blocks: blocks - 1,
    })
    const hasMore = counted.messages < limits.maxMessages && counted.bytes < limits.maxBytes
    return (
      block !== undefined && hasMore && (left.messages < block.messages / 2 || left.bytes < block.bytes / 2)
    )
  }

  /** @param run Resolves to what it had to put up with, if anything. */
  async #work(run: () => Promise<unknown>): Promise<void> {
    const work = run()
    this.#working = work.then(() => undefined)
    this.#working.catch(() => undefined) // told below
    try {
      this.#failedWith(await work)
    } catch (error) {
      this.#failedWith(error)
      throw error
    } finally {
      this.#working = undefined
    }
  }

  #failedWith(error: unknown): void {
    this.#failed = error === undefined ? undefined : { atMs: this.#parts.now(), error }
  }

  /** @returns Why there is no next data key, where the one at hand still does. */
  async #improve(wanted: DataKeyUse): Promise<unknown> {
    const current = this.#current
    if (current === undefined || !this.#isDue(current)) {
      if (current !== undefined && (await this.#extend(current, wanted))) return undefined
      this.#become(await findOrMake(this.#owner, wanted, this.#parts))
      return undefined
    }
    try {
      this.#become(await findOrMake(this.#owner, wanted, this.#parts))
      return undefined
    } catch (error) {
      // Up to its limits the old one will do, if it is still writing.
      const isTooOld = this.#ageMs(current) >= this.#parts.limits.maxAgeMs
      if (isTooOld || !(await this.#extend(current, wanted))) throw notPrepared(error)
      return error
    }
  }

  /** Reserves more of the data key at hand, or only sees whether it is still writing. `false`: another one is needed. */
  async #extend(current: Current, wanted: DataKeyUse): Promise<boolean> {
    const { left } = current
    if (this.#has(wanted) && !this.#isLow(current)) {
      const stored = await this.#parts.store.get(current.keyId)
      if (stored?.state === 'writing') current.checkedAtMs = this.#parts.now()
      else this.leave(toHex(current.keyId))
      return stored?.state === 'writing'
    }
    const missing = {
      messages: Math.max(1, wanted.messages - left.messages),
      bytes: Math.max(0, wanted.bytes - left.bytes),
    }
    const { counted: known, blocks } = current
    const reserved = await reserveFrom(current.keyId, { known, wanted: missing, blocks }, this.#parts)
    if (reserved === 'not writing') this.leave(toHex(current.keyId))
    if (typeof reserved === 'string') return false
    left.messages += reserved.block.messages
    left.bytes += reserved.block.bytes
    current.counted = reserved.stored
    current.blocks++
    current.checkedAtMs = this.#parts.now()
    return true
  }

  #become({ held, stored, block }: Acquired): void {
    const before = this.#current
    if (this.#parts.left.has(toHex(stored.keyId))) {
      held.release() // moved or destroyed while we reserved from it: whoever waits looks for another one
      return
    }
    this.#takeBackKept()
    this.#current = {
      keyId: stored.keyId,
      held,
      createdAtMs: stored.createdAt.getTime(),
      counted: stored,
      left: { ...block },
      blocks: 1,
      checkedAtMs: this.#parts.now(),
    }
    if (before === undefined) return
    before.held.release(true)
    this.#release({ keyId: before.keyId, ...before.left })
  }

  #usedUp(bytes: number): LongholdError {
    const current = this.#current
    const { maxAgeMs } = this.#parts.limits
    const failure = this.#failed?.error
    const why =
      failure instanceof Error
        ? `the next data key could not be prepared: ${failure.message}`
        : 'keyring.encrypt waits for room; to encrypt at once, await dataKey.ready({ messages, bytes }) first, which keeps it for you'
    const what =
      current === undefined
        ? 'no data key is ready'
        : this.#ageMs(current) >= maxAgeMs
          ? `the data key is older than ${maxAgeMs} ms`
          : `a record of ${bytes} bytes, ${current.left.messages} records of ${current.left.bytes} bytes are reserved`
    return new LongholdError('limit_exceeded', what, { hint: why, cause: failure })
  }
}

/** The hard limit, and why there is no next data key. */
function notPrepared(error: unknown): unknown {
  if (!(error instanceof LongholdError)) return error
  return new LongholdError('limit_exceeded', 'the data key is used up and the next could not be prepared', {
    hint: error.message,
    cause: error,
  })
}
