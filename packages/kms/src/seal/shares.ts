/**
 * A slot that is several people: its key is split by Shamir's scheme over GF(2^8) (How to share a secret, CACM 1979)
 * into n shares, of which any t give it back and fewer say nothing. The arithmetic is the reviewed one of
 * `shamir-secret-sharing`; what that leaves to its users is here: the row of the slot holds a digest of each share,
 * so a wrong one is found by itself, before the others are there.
 */

import { createHash, hkdfSync, randomBytes } from 'node:crypto'

import { concat, equalBytes, Secret } from '@longhold/core'
import { combine, split } from 'shamir-secret-sharing'

import { ServiceError } from '../service/errors.ts'
import { framed } from '../service/framing.ts'
import { open, seal } from '../service/sealing.ts'
import type { SlotOpener } from '../service/slot-opener.ts'
import { formatShare, setIdBytes, shareSecretBytes } from './share-text.ts'
import type { Share } from './share-text.ts'

export const maxShares = 64

const format = 1
const digestBytes = 32
/** Format (1), set id (8), threshold (1), count (1); then index (1) and digest (32) of each share. */
const fixedBytes = 1 + setIdBytes + 1 + 1
const entryBytes = 1 + digestBytes

/** What the row of a slot of shares says of them; nothing of it is secret. */
export interface ShareSet {
  readonly setId: Uint8Array
  readonly threshold: number
  /** By index. A share is 32 uniformly random bytes, so its digest gives nothing of it away. */
  readonly digests: ReadonlyMap<number, Uint8Array>
}

export class Shares implements SlotOpener {
  readonly kind = 'shares'
  readonly #key: Secret
  readonly #set: ShareSet

  private constructor(key: Secret, set: ShareSet) {
    this.#key = key
    this.#set = set
  }

  /**
   * A new set. The texts of its shares are secret, and are nowhere else: each goes to another person.
   *
   * @throws ServiceError `malformed_request` unless 2 ≤ threshold ≤ count ≤ 64.
   */
  static async make(threshold: number, count: number): Promise<{ shares: Shares; texts: string[] }> {
    const isPossible = Number.isInteger(threshold) && Number.isInteger(count) && count <= maxShares
    if (!isPossible || threshold < 2 || threshold > count) {
      throw new ServiceError('malformed_request', `${threshold} of ${count} shares cannot be`, {
        hint: `at least 2 open, and there are no fewer than that and at most ${maxShares}`,
      })
    }
    const setId = new Uint8Array(randomBytes(setIdBytes))
    const secret = new Uint8Array(randomBytes(shareSecretBytes))
    const points = await split(secret, count, threshold)
    try {
      const made = points.map((point) => shareOf(point, setId, threshold))
      const digests = new Map(made.map((share) => [share.index, digest(share)]))
      const texts = made.map(formatShare)
      for (const { value } of made) value.fill(0)
      return { shares: new Shares(keyFrom(secret), { setId, threshold, digests }), texts }
    } finally {
      secret.fill(0)
      for (const point of points) point.fill(0)
    }
  }

  /**
   * The secret of a set again, from as many shares as it takes. Borrowed. Each was checked by `checkShare`.
   *
   * @throws ServiceError `wrong_secret` for too few, or one twice.
   */
  static async from(set: ShareSet, shares: readonly Share[]): Promise<Shares> {
    const byIndex = new Map(shares.map((share) => [share.index, share]))
    for (const share of byIndex.values()) checkShare(set, share)
    if (byIndex.size < set.threshold) {
      throw wrong(`${byIndex.size} of the ${set.threshold} shares that it takes are there`)
    }
    const points = [...byIndex.values()]
      .slice(0, set.threshold)
      .map(({ value, index }) => concat(value, Uint8Array.of(index)))
    const secret = await combine(points)
    try {
      return new Shares(keyFrom(secret), set)
    } finally {
      secret.fill(0)
      for (const point of points) point.fill(0)
    }
  }

  async seal(slotSecret: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
    const head = encodeSet(this.#set)
    return this.#key.use((key) => concat(head, seal(key, framed(head, bound), slotSecret)))
  }

  async open(sealed: Uint8Array, bound: Uint8Array): Promise<Secret> {
    const { head, sealed: inner } = divide(sealed)
    const slotSecret = this.#key.use((key) => open(key, framed(head, bound), inner))
    if (slotSecret !== undefined) return slotSecret
    throw wrong('they are of another slot, or its row was altered', {
      hint: 'give the shares that were handed out with it; nothing was changed',
    })
  }

  close(): void {
    this.#key.wipe()
  }
}

/**
 * What a row says of its shares. It is not authenticated before `open`: whoever altered it stops the slot from
 * opening, and no more.
 *
 * @throws ServiceError `wrong_secret` for a row that no set wrote.
 */
export function readShareSet(row: Uint8Array): ShareSet {
  const { head } = divide(row)
  const digests = new Map<number, Uint8Array>()
  for (let at = fixedBytes; at < head.length; at += entryBytes) {
    digests.set(head[at] ?? 0, head.slice(at + 1, at + entryBytes))
  }
  return { setId: head.slice(1, 1 + setIdBytes), threshold: head[1 + setIdBytes] ?? 0, digests }
}

/** @throws ServiceError `wrong_secret` for a share of another set, and for one that is wrong, by its index. */
export function checkShare(set: ShareSet, share: Share): void {
  if (!equalBytes(share.setId, set.setId)) {
    throw wrong('this share is of another set', {
      hint: 'an older one, or another service’s? find the right one',
    })
  }
  const known = set.digests.get(share.index)
  if (share.threshold !== set.threshold || known === undefined || !equalBytes(known, digest(share))) {
    throw wrong(`the share with index ${share.index} is wrong`, {
      hint: 'the others may be right: replace this one',
    })
  }
}

/** The package puts the index behind the value. */
function shareOf(point: Uint8Array, setId: Uint8Array, threshold: number): Share {
  return { setId, threshold, index: point[shareSecretBytes] ?? 0, value: point.slice(0, shareSecretBytes) }
}

function digest({ setId, threshold, index, value }: Share): Uint8Array {
  const bytes = framed('longhold/kms/v1/share', setId, threshold, index, value)
  try {
    return new Uint8Array(createHash('sha256').update(bytes).digest())
  } finally {
    bytes.fill(0)
  }
}

/** Derived: what is shared is never a key of AES itself. */
function keyFrom(secret: Uint8Array): Secret {
  return Secret.take(
    new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), 'longhold/kms/v1/shares', 32)),
  )
}

function encodeSet({ setId, threshold, digests }: ShareSet): Uint8Array {
  const entries = [...digests].map(([index, bytes]) => concat(Uint8Array.of(index), bytes))
  return concat(Uint8Array.of(format), setId, Uint8Array.of(threshold, digests.size), ...entries)
}

function divide(row: Uint8Array): { head: Uint8Array; sealed: Uint8Array } {
  const count = row[fixedBytes - 1] ?? 0
  const threshold = row[fixedBytes - 2] ?? 0
  const headBytes = fixedBytes + count * entryBytes
  const isPossible = threshold >= 2 && threshold <= count && count <= maxShares
  if (row[0] !== format || !isPossible || row.length < headBytes) {
    throw wrong('the row of its slot is not what this service wrote', {
      hint: 'use another slot, keep the database for examination and restore a backup',
    })
  }
  return { head: row.slice(0, headBytes), sealed: row.subarray(headBytes) }
}

function wrong(why: string, options: { hint?: string } = {}): ServiceError {
  return new ServiceError('wrong_secret', `the shares do not open the root key: ${why}`, options)
}
