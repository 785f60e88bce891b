import { generateIdentity, LocalIdentity } from '@longhold/core'
import { describe, expect, test, vi } from 'vitest'

import { createVersion, Identities } from '../../src/service/identities.ts'
import { createRoot } from '../../src/service/root-opening.ts'
import { MemoryOpener } from '../support/memory-opener.ts'

async function makeRoot() {
  return (await createRoot({ opener: new MemoryOpener(), minSlots: 1, now: 1000 })).root
}

describe('identities of versions', () => {
  test('a version has a seed of its own, sealed, and opens to the same public key', async () => {
    const root = await makeRoot()
    const [one, two] = [
      createVersion(root, { key: 'a', version: 1, state: 'primary', now: 5 }),
      createVersion(root, { key: 'a', version: 2, state: 'primary', now: 5 }),
    ]
    expect(one.publicKey).not.toEqual(two.publicKey)
    expect(one).toMatchObject({ state: 'primary', kemId: 0x647a, createdAt: 5, rootVersion: 1 })
    const identities = new Identities(root)
    expect(identities.get(one).recipient.publicKey).toEqual(one.publicKey)
    expect(identities.get(one)).toBe(identities.get(one))
  })

  test('a row with anything of it changed is a violation, opened before or not', async () => {
    const root = await makeRoot()
    const [row, other] = [
      createVersion(root, { key: 'a', version: 1, state: 'primary', now: 5 }),
      createVersion(root, { key: 'a', version: 2, state: 'primary', now: 5 }),
    ]
    const thief = generateIdentity()
    const altered = [
      { ...row, publicKey: other.publicKey },
      { ...row, publicKey: thief.recipient.publicKey, recipientId: thief.recipientId },
      { ...row, recipientId: other.recipientId },
      { ...row, kemId: 0x0051 },
      { ...row, rootVersion: 2 },
      { ...row, key: 'b' },
      { ...row, version: 2 },
    ]
    const sealed = [
      ...altered,
      { ...row, sealedSeed: other.sealedSeed },
      { ...row, sealedSeed: new Uint8Array(60) },
    ]
    for (const changed of sealed) {
      const identities = new Identities(root)
      expect(() => identities.get(changed)).toThrow(expect.objectContaining({ code: 'integrity_violation' }))
    }
    for (const changed of altered.slice(0, 3)) {
      const identities = new Identities(root)
      identities.get(row)
      expect(() => identities.get(changed)).toThrow(expect.objectContaining({ code: 'integrity_violation' }))
      expect(identities.get(row).recipient.publicKey).toEqual(row.publicKey)
    }
  })

  test('the row of another cluster does not open', async () => {
    const row = createVersion(await makeRoot(), { key: 'a', version: 1, state: 'primary', now: 5 })
    const identities = new Identities(await makeRoot())
    expect(() => identities.get(row)).toThrow(expect.objectContaining({ code: 'integrity_violation' }))
  })

  test('at most 256 stay open; the least recently used is wiped, and opens again', async () => {
    const root = await makeRoot()
    const wipe = vi.spyOn(LocalIdentity.prototype, 'wipe')
    const rows = Array.from({ length: 257 }, (_, index) =>
      createVersion(root, { key: 'a', version: index + 1, state: 'primary', now: 5 }),
    )
    const identities = new Identities(root)
    const [first, second] = rows
    if (first === undefined || second === undefined) throw new Error('no rows')
    wipe.mockClear()
    for (const row of rows.slice(0, 256)) identities.get(row)
    const [firstOpened, secondOpened] = [identities.get(first), identities.get(second)]
    identities.get(first)
    expect(wipe).not.toHaveBeenCalled()
    // The third is the oldest now.
    for (const row of rows.slice(256)) identities.get(row)
    expect(wipe).toHaveBeenCalledTimes(1)
    expect(identities.get(first)).toBe(firstOpened)
    expect(identities.get(second)).toBe(secondOpened)
    identities.close()
    expect(wipe).toHaveBeenCalledTimes(1 + 256)
    expect(() => firstOpened.useSeed(() => undefined)).toThrow()
    wipe.mockRestore()
  })
})
