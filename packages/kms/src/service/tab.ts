/**
 * Grants for a number of requests. A request that is allowed something by such a grant, and by no other rule, owes it
 * one use, however often it leans on it; what it owes is taken in the transaction of what it does, or before it is
 * answered. Who is refused, or only asks what would happen, owes nothing; a batch is answered, whatever became of its
 * items.
 */

import { update } from './changes.ts'
import { ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import type { Ride, Rider } from './rider.ts'

/** What one request owes. */
export class Tab implements Rider {
  readonly #reads: RowReads
  readonly #principal: string | null
  readonly #owed = new Set<string>()
  readonly #paid = new Set<string>()
  #planned: readonly string[] = []

  /** @param principal Whose grants they are; null: of nobody, and there are none. */
  constructor(reads: RowReads, principal: string | null) {
    this.#reads = reads
    this.#principal = principal
  }

  get isDue(): boolean {
    return this.#owed.size > 0
  }

  /** Whether leaning on it costs no more than is owed already. */
  has(grant: string): boolean {
    return this.#owed.has(grant) || this.#paid.has(grant)
  }

  owe(grants: readonly string[]): void {
    for (const grant of grants) if (!this.#paid.has(grant)) this.#owed.add(grant)
  }

  async plan(): Promise<Ride> {
    const principal = this.#principal
    this.#planned = [...this.#owed]
    if (principal === null) return { changes: [] }
    const changes = await Promise.all(
      this.#planned.map(async (grant) => {
        const row = await this.#reads.row('grants', { principal, grant })
        if (row === undefined || row.usesLeft === null || row.usesLeft <= 0) throw usedUp()
        return update('grants', row, { usesLeft: row.usesLeft - 1 })
      }),
    )
    return { changes, uses: this.#planned.map((grant) => ({ principal, grant })) }
  }

  arrived(): void {
    for (const grant of this.#planned) {
      this.#owed.delete(grant)
      this.#paid.add(grant)
    }
  }
}

/** Another request took the last one meanwhile. */
function usedUp(): ServiceError {
  return new ServiceError('permission_denied', 'the grant has no use left', { hint: 'have another one made' })
}
