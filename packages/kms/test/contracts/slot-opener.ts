/** What every kind of slot does. */

import { utf8 } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import type { SlotOpener } from '../../src/service/slot-opener.ts'

/**
 * @param make A slot with a secret of its own at each call.
 * @param step Every how many bytes one is altered, where opening takes long.
 */
export function slotOpenerContract(
  name: string,
  make: () => SlotOpener | Promise<SlotOpener>,
  step = 1,
): void {
  describe(`SlotOpener contract: ${name}`, () => {
    const secret = Uint8Array.from({ length: 32 }, (_, index) => index + 100)
    const bound = utf8('this row')

    test('opens what it sealed, in this row', async () => {
      const slot = await make()
      const given = new Uint8Array(secret)
      const sealed = await slot.seal(given, bound)
      expect(given).toEqual(secret)
      const opened = await slot.open(sealed, bound)
      expect(opened.use((bytes) => new Uint8Array(bytes))).toEqual(secret)
    })

    test('seals differently each time, and never the secret itself', async () => {
      const slot = await make()
      const [one, two] = [await slot.seal(secret, bound), await slot.seal(secret, bound)]
      expect(one).not.toEqual(two)
      expect(Buffer.from(one).includes(secret)).toBe(false)
    })

    test('refuses another row, another secret and every altered byte, always the same way', async () => {
      const slot = await make()
      const sealed = await slot.seal(secret, bound)
      const refused = { code: 'wrong_secret' }
      await expect(slot.open(sealed, utf8('that row'))).rejects.toMatchObject(refused)
      await expect((await make()).open(sealed, bound)).rejects.toMatchObject(refused)
      for (let at = 0; at < sealed.length; at += step) {
        const altered = new Uint8Array(sealed)
        altered[at] = (altered[at] ?? 0) ^ 1
        await expect(slot.open(altered, bound), `byte ${at}`).rejects.toMatchObject(refused)
      }
      for (const length of [0, 12, 27, sealed.length - 1]) {
        await expect(slot.open(sealed.subarray(0, length), bound)).rejects.toMatchObject(refused)
      }
    })

    test('does nothing more once it is closed', async () => {
      const slot = await make()
      const sealed = await slot.seal(secret, bound)
      slot.close()
      await expect(slot.open(sealed, bound)).rejects.toThrow()
    })
  })
}
