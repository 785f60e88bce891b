import { combine } from 'shamir-secret-sharing'
import { describe, expect, test } from 'vitest'

import { formatShare, parseShare } from '../../src/seal/share-text.ts'
import type { Share } from '../../src/seal/share-text.ts'
import { checkShare, readShareSet, Shares } from '../../src/seal/shares.ts'
import { slotOpenerContract } from '../contracts/slot-opener.ts'

const bound = new Uint8Array(3)
const root = new Uint8Array(32).fill(7)

slotOpenerContract('shares', async () => (await Shares.make(2, 3)).shares)

/** A slot of `threshold` of `count`, and its shares read back from their texts. */
async function slotOf(threshold: number, count: number) {
  const { shares, texts } = await Shares.make(threshold, count)
  const sealed = await shares.seal(root, bound)
  shares.close()
  return { sealed, set: readShareSet(sealed), shares: texts.map(parseShare), texts }
}

async function openWith(sealed: Uint8Array, shares: readonly Share[]) {
  const slot = await Shares.from(readShareSet(sealed), shares)
  const opened = await slot.open(sealed, bound)
  return opened.use((bytes) => new Uint8Array(bytes))
}

describe('shares', () => {
  test('open by any three of five, in any order, and by all', async () => {
    const { sealed, shares } = await slotOf(3, 5)
    for (const [a = 0, b = 0, c = 0] of threeOfFive()) {
      const chosen = [shares[c], shares[a], shares[b]].filter((share) => share !== undefined)
      expect(await openWith(sealed, chosen), `${a} ${b} ${c}`).toEqual(root)
    }
    expect(await openWith(sealed, shares)).toEqual(root)
  })

  test.each([
    [2, 2],
    [2, 64],
    [64, 64],
  ])('may be %i of %i', async (threshold, count) => {
    const { sealed, shares } = await slotOf(threshold, count)
    expect(await openWith(sealed, shares.slice(count - threshold))).toEqual(root)
  })

  test.each([
    [1, 1],
    [1, 3],
    [4, 3],
    [2, 65],
    [2.5, 5],
    [0, 0],
  ])('cannot be %d of %d', async (threshold, count) => {
    await expect(Shares.make(threshold, count)).rejects.toMatchObject({ code: 'malformed_request' })
  })

  test('do not open when one is missing, nor with one twice in its place', async () => {
    const { sealed, shares } = await slotOf(3, 5)
    const [one, two] = shares
    if (one === undefined || two === undefined) throw new Error('there are five')
    await expect(openWith(sealed, [one, two])).rejects.toThrow(/2 of the 3 shares/u)
    await expect(openWith(sealed, [one, two, two])).rejects.toThrow(/2 of the 3 shares/u)
  })

  test('are each found wrong by themselves', async () => {
    const { set, shares } = await slotOf(2, 3)
    for (const share of shares) {
      checkShare(set, share)
      const altered = { ...share, value: share.value.map((byte, at) => (at === 9 ? byte ^ 1 : byte)) }
      // With a right check: somebody who knows the format wrote it.
      const wrong = parseShare(formatShare(altered))
      expect(() => checkShare(set, wrong)).toThrow(`the share with index ${share.index} is wrong`)
      for (const other of [{ threshold: 3 }, { index: share.index ^ 128 }]) {
        expect(() => checkShare(set, { ...share, ...other })).toThrow(/is wrong/u)
      }
    }
  })

  test('of another set are refused as such', async () => {
    const [ours, theirs] = [await slotOf(2, 3), await slotOf(2, 3)]
    const [share] = theirs.shares
    if (share === undefined) throw new Error('there are three')
    expect(() => checkShare(ours.set, share)).toThrow(/of another set/u)
    await expect(openWith(ours.sealed, theirs.shares)).rejects.toThrow(/of another set/u)
  })

  test('are in no part in the row, nor is what they share', async () => {
    const { sealed, shares } = await slotOf(2, 3)
    for (const { value } of shares) expect(Buffer.from(sealed).includes(value.subarray(0, 8))).toBe(false)
  })

  test('have digests that nobody can exchange: the row stops opening', async () => {
    const { sealed, shares, set } = await slotOf(2, 3)
    const forged = new Uint8Array(sealed)
    const last = 11 + 33 * set.digests.size - 1
    forged[last] = (forged[last] ?? 0) ^ 1
    const others = shares.filter(({ index }) => index !== [...set.digests.keys()].at(-1))
    await expect(openWith(forged, others)).rejects.toThrow(/its row was altered/u)
  })
})

describe('the arithmetic', () => {
  // f(x) = 7 + 0x80·x over GF(2^8) with x^8 + x^4 + x^3 + x + 1 (FIPS 197 §4): f(1) = 0x87, f(2) = 0x07 ^ 0x1b.
  test('is that of a line through two points, by hand', async () => {
    expect(await combine([Uint8Array.of(0x87, 1), Uint8Array.of(0x1c, 2)])).toEqual(Uint8Array.of(7))
  })

  // By a polynomial of degree 2, evaluated in another language: f(x) = 0x53 + 0xca·x + 0x01·x².
  test('is that of a parabola through three', async () => {
    const points = [
      [1, 0x98],
      [3, 0x13],
      [200, 0xd8],
    ].map(([x = 0, y = 0]) => Uint8Array.of(y, x))
    expect(await combine(points)).toEqual(Uint8Array.of(0x53))
  })
})

describe('the text of a share', () => {
  const share = {
    setId: new Uint8Array(8).fill(1),
    threshold: 2,
    index: 9,
    value: new Uint8Array(32).fill(3),
  }

  test('is always the same', () => {
    expect(formatShare(share)).toBe(
      'LONGHOLD-SHARE-1-AQEBAQEBAQECCQMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDfZrviA',
    )
    expect(parseShare(`  ${formatShare(share)}\n`)).toEqual(share)
  })

  test('shows every slip: each letter changed, a letter missing, two swapped', () => {
    const text = formatShare({ ...share, value: Uint8Array.from({ length: 32 }, (_, at) => at * 7) })
    const refused = expect.objectContaining({ code: 'wrong_secret' }) as Error
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'B' ? 'C' : 'B'
      expect(() => parseShare(text.slice(0, at) + other + text.slice(at + 1)), `${at}`).toThrow(refused)
      expect(() => parseShare(text.slice(0, at) + text.slice(at + 1))).toThrow(refused)
    }
    const swapped = text.slice(0, 30) + text.slice(31, 32) + text.slice(30, 31) + text.slice(32)
    expect(() => parseShare(swapped)).toThrow(/mistyped or altered/u)
  })

  test('is not repeated by any message', () => {
    const text = formatShare(share)
    for (const wrong of [text.replace('CQM', 'CQN'), text.slice(0, -1), text.slice(1), `${text}=`]) {
      const message = messageOf(() => parseShare(wrong))
      expect(message).toMatch(/this is no share/u)
      expect(message).not.toContain(text.slice(30, 40))
    }
  })

  test.each([
    { threshold: 1, index: 3 },
    { threshold: 2, index: 0 },
  ])('with threshold $threshold and index $index is none', (other) => {
    expect(() => parseShare(formatShare({ ...share, ...other }))).toThrow(/that no share has/u)
  })
})

function messageOf(refused: () => unknown): string {
  try {
    refused()
  } catch (error) {
    return String(error)
  }
  throw new Error('it was not refused')
}

function threeOfFive(): number[][] {
  const all = [0, 1, 2, 3, 4]
  return all
    .flatMap((a) => all.flatMap((b) => all.map((c) => [a, b, c])))
    .filter(([a = 0, b = 0, c = 0]) => a < b && b < c)
}
