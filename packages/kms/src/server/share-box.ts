/** The shares that were given so far. They are forgotten as soon as they opened something, or somebody says so. */

import { toHex } from '@longhold/core'

import { parseShare } from '../seal/share-text.ts'
import type { Share } from '../seal/share-text.ts'
import { checkShare, readShareSet, Shares } from '../seal/shares.ts'
import type { ShareSet } from '../seal/shares.ts'
import { ServiceError } from '../service/errors.ts'

export class ShareBox {
  /** By set, then by index. */
  readonly #given = new Map<string, Map<number, Share>>()

  /**
   * @param rows What the slots of shares hold.
   * @returns What opens, once there are as many as it takes; the caller closes it.
   * @throws ServiceError `wrong_secret` for a share that is none, of no set, or wrong: alone, whatever came before.
   */
  async add(text: string, rows: readonly Uint8Array[]): Promise<Shares | undefined> {
    const share = parseShare(text)
    const id = toHex(share.setId)
    const set = rows.map(readShareSet).find(({ setId }) => toHex(setId) === id)
    if (set === undefined) {
      share.value.fill(0)
      throw new ServiceError('wrong_secret', 'this share is of no set that opens this service', {
        hint: 'an older one, or of another service? find the right one',
      })
    }
    return await this.#addTo(set, share)
  }

  /** Of the set that is furthest. */
  progress(rows: readonly Uint8Array[]): { given: number; threshold: number } | undefined {
    return rows
      .map(readShareSet)
      .map(({ setId, threshold }) => ({ given: this.#given.get(toHex(setId))?.size ?? 0, threshold }))
      .filter(({ given }) => given > 0)
      .toSorted((a, b) => a.threshold - a.given - (b.threshold - b.given))[0]
  }

  forget(): void {
    for (const shares of this.#given.values()) for (const { value } of shares.values()) value.fill(0)
    this.#given.clear()
  }

  async #addTo(set: ShareSet, share: Share): Promise<Shares | undefined> {
    const id = toHex(set.setId)
    try {
      checkShare(set, share)
    } catch (error) {
      share.value.fill(0)
      throw error
    }
    const given = this.#given.get(id) ?? new Map<number, Share>()
    this.#given.set(id, given)
    given.get(share.index)?.value.fill(0)
    given.set(share.index, share)
    return given.size < set.threshold ? undefined : await Shares.from(set, [...given.values()])
  }
}
