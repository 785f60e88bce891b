/**
 * Idempotency keys: whoever sends a change again, because no answer came, gets the answer of the first time and no second
 * change; from any node, and after a restart. That a key was used is written in the transaction of the change
 * (`rider.ts`), its answer right after it.
 *
 * A key is one token's, on one route, for its time. With another request under it: `idempotency_key_reused`; while the
 * first one is under way: `idempotency_in_progress`; and where its answer is not known, because it held a secret or the
 * process ended before it was written: `already_done`.
 *
 * Nothing that an answer was promised for is forgotten to make room: where there is none, new keys are refused.
 */

import { createHmac } from 'node:crypto'

import { equalBytes, toHex } from '@longhold/core'

import type { AuditLog } from './audit-log.ts'
import { insert, remove, update } from './changes.ts'
import { ServiceError } from './errors.ts'
import { framed } from './framing.ts'
import { allRows } from './key-store.ts'
import type { Ledger } from './ledger.ts'
import type { OwnKeys } from './own-keys.ts'
import { sharerOf } from './policy.ts'
import type { Principal } from './policy.ts'
import { RateLimited } from './rate-limited.ts'
import type { Ride, Rider } from './rider.ts'
import type { IdempotencyRow, Stored } from './rows.ts'

/** Longer answers are not kept. */
const maxAnswerChars = 64 * 1024
/** The answer of another node may be on its way for so long. */
const graceMs = 5000
const hourMs = 60 * 60 * 1000
const dayMs = 24 * hourMs
/** In one transaction. */
const maxRemoved = 500

export interface IdempotencyLimits {
  /** Of one token or principal. */
  readonly maxKeysOfOne?: number | undefined
  readonly maxKeys?: number | undefined
  /** What each has, however many the others took. */
  readonly keysOfEach?: number | undefined
}

export interface IdempotencyOptions extends IdempotencyLimits {
  readonly ledger: Ledger
  readonly audit: AuditLog
  readonly ownKeys: OwnKeys
  readonly now: () => number
}

/** One request under a key. */
export interface KeyedRequest {
  readonly route: string
  readonly key: string
  /** Everything in which another request under the key would differ. */
  readonly content: readonly string[]
  /** Whether its answer is kept, if it is not too long. */
  readonly isKept: boolean
  /** Whether making it twice is no harm: its key is remembered for ten minutes, and not for a day. */
  readonly isHarmless: boolean
}

/** What was answered. */
export type KeptAnswer = NonNullable<IdempotencyRow['answer']>

export class Idempotency {
  readonly #options: Omit<IdempotencyOptions, keyof IdempotencyLimits>
  readonly #limits: { readonly [name in keyof IdempotencyLimits]-?: number }
  /** Under way in this process, by the names of their rows; and the MACs of their requests. */
  readonly #underWay = new Map<string, Uint8Array>()
  /** Rows by owner, as far as they were counted; other nodes' since then are not among them. */
  #counts = new Map<string, number>()
  #total = 0

  constructor({ maxKeysOfOne = 10_000, maxKeys = 50_000, keysOfEach = 100, ...options }: IdempotencyOptions) {
    this.#options = options
    this.#limits = { maxKeysOfOne, maxKeys, keysOfEach }
  }

  /**
   * Claims a key for a request that is now carried out with the claim as its rider, or gives the answer it had. The
   * claim is to be released.
   *
   * @throws ServiceError `idempotency_key_reused`, `idempotency_in_progress`, `already_done`, `rate_limited`.
   */
  async begin(principal: Principal, request: KeyedRequest): Promise<Claim | KeptAnswer> {
    const { ledger, now } = this.#options
    const at = now()
    const owner = sharerOf(principal)
    const use = toHex(this.#mac('idempotency-key', principal.token, request.route, request.key))
    const mac = this.#mac('idempotent-request', ...request.content)
    const name = `${owner}/${use}`
    const other = this.#underWay.get(name)
    if (other !== undefined) throw equalBytes(other, mac) ? inProgress() : reused()
    this.#underWay.set(name, mac)
    const release = (): void => void this.#underWay.delete(name)
    try {
      const known = await ledger.row('idempotency', { owner, use })
      if (known !== undefined && known.expiresAt > at) {
        const answer = replay(known, mac, at)
        release()
        return answer
      }
      await this.#requireRoom(owner)
      const expiresAt = at + (request.isHarmless ? 10 * 60_000 : dayMs)
      const row = { owner, use, request: mac, isKept: request.isKept, answer: null, doneAt: at, expiresAt }
      return new Claim({ ...this.#options, row, release, onWritten: () => this.#count(owner, 1) })
    } catch (error) {
      release()
      throw error
    }
  }

  /** Removes what is over, and counts the rest. */
  async sweep(): Promise<void> {
    const { ledger, audit, now } = this.#options
    const at = now()
    const counts = new Map<string, number>()
    let total = 0
    let over: Stored<IdempotencyRow>[] = []
    const removeOver = async (): Promise<void> => {
      // Another node does the same: what it removed is gone, what it did not is found the next time.
      if (over.length > 0) await audit.keep(over.map((row) => remove('idempotency', row)))
      over = []
    }
    for await (const page of allRows(ledger, 'idempotency')) {
      for (const row of page) {
        if (row.expiresAt <= at) over.push(row)
        else counts.set(row.owner, (counts.get(row.owner) ?? 0) + 1)
        if (row.expiresAt > at) total += 1
      }
      if (over.length >= maxRemoved) await removeOver()
    }
    await removeOver()
    this.#counts = counts
    this.#total = total
  }

  async #requireRoom(owner: string): Promise<void> {
    const { ledger } = this.#options
    const { maxKeysOfOne, maxKeys, keysOfEach } = this.#limits
    if (!this.#counts.has(owner)) {
      let found = 0
      for await (const page of allRows(ledger, 'idempotency', { owner })) found += page.length
      if (!this.#counts.has(owner)) this.#count(owner, found)
    }
    const count = this.#counts.get(owner) ?? 0
    if (count >= maxKeysOfOne || (this.#total >= maxKeys && count >= keysOfEach)) {
      throw new RateLimited('too many idempotency keys are in use', hourMs)
    }
  }

  #count(owner: string, more: number): void {
    this.#counts.set(owner, (this.#counts.get(owner) ?? 0) + more)
    this.#total += more
  }

  /** Under the pepper of tokens: a body can hold a passphrase, and what is kept of it must not be a way to try guesses. */
  #mac(kind: string, ...parts: readonly string[]): Uint8Array {
    const message = framed(`longhold/kms/v1/${kind}`, ...parts)
    const { secret } = this.#options.ownKeys.newest('token-pepper')
    return secret.use((key) => new Uint8Array(createHmac('sha256', key).update(message).digest()))
  }
}

interface ClaimParts extends Pick<IdempotencyOptions, 'ledger' | 'audit' | 'now'> {
  readonly row: IdempotencyRow
  readonly release: () => void
  readonly onWritten: () => void
}

/** A key that is one request's. */
export class Claim implements Rider {
  readonly isDue: boolean = false
  readonly #parts: ClaimParts
  #isWritten = false

  constructor(parts: ClaimParts) {
    this.#parts = parts
  }

  /** @throws ServiceError `idempotency_in_progress` when another node made the change meanwhile: see `lookAgain`. */
  async plan(): Promise<Ride> {
    return { changes: this.#isWritten ? [] : [await this.#change(this.#parts.row)] }
  }

  arrived(): void {
    if (!this.#isWritten) this.#parts.onWritten()
    this.#isWritten = true
  }

  /** It was carried out; undefined: its answer is not kept. */
  async finish(answer: KeptAnswer | undefined): Promise<void> {
    const { ledger, audit, row } = this.#parts
    const kept = answer !== undefined && answer.body.length <= maxAnswerChars ? answer : null
    if (this.#isWritten && kept === null) return
    try {
      if (this.#isWritten) {
        const stored = await ledger.row('idempotency', row)
        if (stored !== undefined) await audit.keep([update('idempotency', stored, { answer: kept })])
        return
      }
      // It found nothing to change, which it might if it were made again.
      const isWritten = await audit.keep([await this.#change({ ...row, answer: kept })])
      if (isWritten === 'done') this.arrived()
    } catch (error) {
      // The change was made, and whoever asked is to know: sent again, it is answered that it was done.
      if (!(error instanceof ServiceError)) throw error
    }
  }

  /**
   * After it failed: the answer that the same request had from another node meanwhile, where that was why.
   *
   * @throws ServiceError as `begin` does.
   */
  async lookAgain(): Promise<KeptAnswer | undefined> {
    const { ledger, now, row } = this.#parts
    if (this.#isWritten) return undefined
    const known = await ledger.row('idempotency', row)
    const at = now()
    return known === undefined || known.expiresAt <= at ? undefined : replay(known, row.request, at)
  }

  release(): void {
    this.#parts.release()
  }

  async #change(row: IdempotencyRow) {
    const { ledger, now } = this.#parts
    const known = await ledger.row('idempotency', row)
    if (known === undefined) return insert('idempotency', row)
    if (known.expiresAt > now()) throw inProgress()
    return update('idempotency', known, row)
  }
}

function replay(
  { request, answer, isKept, doneAt }: IdempotencyRow,
  wanted: Uint8Array,
  now: number,
): KeptAnswer {
  if (!equalBytes(request, wanted)) throw reused()
  if (answer !== null) return answer
  if (isKept && now < doneAt + graceMs) throw inProgress()
  throw new ServiceError('already_done', 'this was done, and its answer is not kept', {
    hint: 'read what it made; a secret that was lost on its way takes a new one',
  })
}

function reused(): ServiceError {
  return new ServiceError('idempotency_key_reused', 'this idempotency key was used for another request', {
    hint: 'take a new key for each change, and the same one only to send the same again',
  })
}

function inProgress(): ServiceError {
  return new ServiceError('idempotency_in_progress', 'the first request with this key is under way', {
    hint: 'ask again in a moment',
  })
}
