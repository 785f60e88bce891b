/** Which token made which. */

import { update } from './changes.ts'
import { unauthenticated } from './errors.ts'
import { allRows } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import type { Ride, Rider } from './rider.ts'
import type { Stored, TokenRow } from './rows.ts'

/**
 * Those that are not revoked, of all that were made with a token, however far down; the nearest first.
 *
 * @param spared Left out, and with it what it made.
 */
export async function madeWith(reads: RowReads, token: string, spared: string): Promise<Stored<TokenRow>[]> {
  const byMaker = new Map<string | null, Stored<TokenRow>[]>()
  for await (const page of allRows(reads, 'tokens')) {
    for (const row of page) {
      if (row.token === spared) continue
      const known = byMaker.get(row.createdBy)
      if (known === undefined) byMaker.set(row.createdBy, [row])
      else known.push(row)
    }
  }
  const found = [...(byMaker.get(token) ?? [])]
  // Grows while it is read, and ends: none made one that was there before it.
  for (const { token: maker } of found) found.push(...(byMaker.get(maker) ?? []))
  return found.filter(({ revokedAt }) => revokedAt === null)
}

/**
 * Who makes a token is changed in the same transaction: it is not made by one that is revoked at that moment, and none
 * is revoked while it makes one that is then left out.
 */
export class Maker implements Rider {
  readonly isDue: boolean = false
  readonly #reads: RowReads
  readonly #token: string
  readonly #revokedAt: number | null

  /** @param revokedAt Its end, when it makes only this one. */
  constructor(reads: RowReads, token: string, revokedAt: number | null) {
    this.#reads = reads
    this.#token = token
    this.#revokedAt = revokedAt
  }

  async plan(): Promise<Ride> {
    const row = await this.#reads.row('tokens', { token: this.#token })
    if (row === undefined || row.revokedAt !== null) throw unauthenticated()
    return { changes: [update('tokens', row, { revokedAt: this.#revokedAt })] }
  }

  arrived(): void {
    // It is the one request's.
  }
}
