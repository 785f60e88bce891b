import { describe, expect, test } from 'vitest'

import { Passphrase } from '../../src/seal/passphrase.ts'
import { slotOpenerContract } from '../contracts/slot-opener.ts'

const cheap = { memory: 64, passes: 1, lanes: 1 }
const bound = new Uint8Array(3)
const root = new Uint8Array(32).fill(7)
let made = 0

slotOpenerContract('passphrase', () => Passphrase.from(`correct horse ${++made}`, cheap))

describe('a passphrase', () => {
  test('opens with whatever bytes the keyboard makes of the same characters', async () => {
    const sealed = await Passphrase.from('Gru\u0308ße aus Köln', cheap).seal(root, bound)
    const opened = await Passphrase.from('Gr\u00fcße aus Ko\u0308ln', cheap).open(sealed, bound)
    expect(opened.use((bytes) => new Uint8Array(bytes))).toEqual(root)
  })

  test('is judged by its characters: 12 at the least', () => {
    expect(Passphrase.isLongEnough('elevenchars')).toBe(false)
    expect(Passphrase.isLongEnough('twelve chars')).toBe(true)
    expect(Passphrase.isLongEnough('u\u0308'.repeat(11))).toBe(false)
  })

  test('is not read without end', () => {
    expect(() => Passphrase.from('x'.repeat(4097))).toThrow(/too long/u)
  })

  test('opens at the cost its row names, and seals at that of RFC 9106', async () => {
    const sealed = await Passphrase.from('the same words', cheap).seal(root, bound)
    const usual = Passphrase.from('the same words')
    expect((await usual.open(sealed, bound)).length).toBe(32)
    const head = new DataView((await usual.seal(root, bound)).buffer)
    expect([head.getUint32(17), head.getUint32(21), head.getUint8(25)]).toEqual([65_536, 3, 4])
  })

  test.each([
    { what: 'more memory than 1 GiB', at: 17, value: 1024 * 1024 + 1 },
    { what: 'no memory', at: 17, value: 0 },
    { what: 'passes without end', at: 21, value: 65_537 },
    { what: 'no pass', at: 21, value: 0 },
  ])('is not computed for a row that asks for $what', async ({ at, value }) => {
    const slot = Passphrase.from('the same words', cheap)
    const sealed = await slot.seal(root, bound)
    new DataView(sealed.buffer).setUint32(at, value)
    await expect(slot.open(sealed, bound)).rejects.toThrow(/its row is not what this service wrote/u)
  })

  test.each([0, 17, 255])('is not computed for a row that asks for %i lanes', async (lanes) => {
    const slot = Passphrase.from('the same words', cheap)
    const sealed = await slot.seal(root, bound)
    sealed[25] = lanes
    await expect(slot.open(sealed, bound)).rejects.toThrow(/its row is not what this service wrote/u)
  })

  test('has its cost authenticated: a cheaper one does not open', async () => {
    const slot = Passphrase.from('the same words', { memory: 64, passes: 2, lanes: 1 })
    const sealed = await slot.seal(root, bound)
    new DataView(sealed.buffer).setUint32(21, 1)
    await expect(slot.open(sealed, bound)).rejects.toMatchObject({ code: 'wrong_secret' })
  })

  test('and no part of it stands in the row', async () => {
    const text = 'a passphrase to look for'
    const sealed = Buffer.from(await Passphrase.from(text, cheap).seal(root, bound))
    for (let at = 0; at + 4 <= text.length; at++) expect(sealed.includes(text.slice(at, at + 4))).toBe(false)
  })
})
