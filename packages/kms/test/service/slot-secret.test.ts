import { Secret } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import type { SlotOpener } from '../../src/service/slot-opener.ts'
import { isOwnWrap, SlotSecret, unwrapRoot, wrapRoot } from '../../src/service/slot-secret.ts'
import type { SlotAddress } from '../../src/service/slot-secret.ts'
import { MemoryOpener } from '../support/memory-opener.ts'

const here: SlotAddress = {
  clusterId: new Uint8Array(16).fill(1),
  slot: '0123456789abcdef',
  kind: 'key-file',
}
const elsewhere: SlotAddress[] = [
  { ...here, clusterId: new Uint8Array(16).fill(2) },
  { ...here, slot: 'fedcba9876543210' },
  { ...here, kind: 'passphrase' },
]
const root = Secret.take(Uint8Array.from({ length: 32 }, (_, at) => at))

function bytesOf(secret: Secret | undefined): Uint8Array | undefined {
  return secret?.use((bytes) => new Uint8Array(bytes))
}

function keysOf(slot: SlotSecret) {
  const identity = slot.identity()
  return { identity, recipient: identity.recipient, authKey: slot.authKey() }
}

describe('the secret of a slot', () => {
  test('is opened by what sealed it, at its place', async () => {
    const opener = new MemoryOpener()
    const slot = SlotSecret.generate()
    const sealed = await slot.seal(here, opener)
    const again = await SlotSecret.open(here, opener, sealed)
    expect(again?.identity().recipientId).toEqual(slot.identity().recipientId)
    for (const address of elsewhere) {
      await expect(SlotSecret.open(address, opener, sealed)).rejects.toMatchObject({ code: 'wrong_secret' })
    }
  })

  test('is 32 bytes: what else an opener holds is none', async () => {
    const opener = new MemoryOpener()
    const short: SlotOpener = {
      kind: 'key-file',
      seal: async (secret, bound) => await opener.seal(secret.subarray(1), bound),
      open: async (sealed, bound) => await opener.open(sealed, bound),
      close: () => undefined,
    }
    const sealed = await SlotSecret.generate().seal(here, short)
    expect(await SlotSecret.open(here, short, sealed)).toBeUndefined()
  })

  test('gives other keys for other purposes, and for other slots', () => {
    const [one, two] = [SlotSecret.generate(), SlotSecret.generate()]
    const seed = one.identity().useSeed((bytes) => new Uint8Array(bytes))
    expect(bytesOf(one.authKey())).not.toEqual(seed)
    expect(bytesOf(one.authKey())).not.toEqual(bytesOf(two.authKey()))
    expect(bytesOf(one.authKey())).toEqual(bytesOf(one.authKey()))
  })
})

describe('a root in a slot', () => {
  test('comes back at its place and version alone', async () => {
    const keys = keysOf(SlotSecret.generate())
    const sealed = await wrapRoot(root, here, 3, keys)
    expect(bytesOf(await unwrapRoot(sealed, here, 3, keys))).toEqual(bytesOf(root))
    expect(isOwnWrap(sealed, here, 3, keys)).toBe(true)
    for (const [address, version] of [[here, 2], ...elsewhere.map((one) => [one, 3] as const)] as const) {
      expect(await unwrapRoot(sealed, address, version, keys)).toBeUndefined()
      expect(isOwnWrap(sealed, address, version, keys)).toBe(false)
    }
  })

  test('does not open with the keys of another slot, all or one of them', async () => {
    const [ours, theirs] = [keysOf(SlotSecret.generate()), keysOf(SlotSecret.generate())]
    const sealed = await wrapRoot(root, here, 1, ours)
    expect(await unwrapRoot(sealed, here, 1, theirs)).toBeUndefined()
    expect(await unwrapRoot(sealed, here, 1, { ...ours, identity: theirs.identity })).toBeUndefined()
    expect(await unwrapRoot(sealed, here, 1, { ...ours, authKey: theirs.authKey })).toBeUndefined()
  })

  // The public key of a slot is in its row. That it is known must not be enough to replace the root.
  test('wrapped by somebody who has the public key alone is none', async () => {
    const ours = keysOf(SlotSecret.generate())
    const forged = await wrapRoot(root, here, 1, { ...ours, authKey: Secret.take(new Uint8Array(32)) })
    expect(await unwrapRoot(forged, here, 1, ours)).toBeUndefined()
  })

  test('does not open when any byte is altered, or the end is missing', async () => {
    const keys = keysOf(SlotSecret.generate())
    const sealed = await wrapRoot(root, here, 1, keys)
    for (let at = 0; at < sealed.length; at += 41) {
      const altered = new Uint8Array(sealed)
      altered[at] = (altered[at] ?? 0) ^ 1
      expect(await unwrapRoot(altered, here, 1, keys), `byte ${at}`).toBeUndefined()
    }
    expect(await unwrapRoot(sealed.subarray(0, -1), here, 1, keys)).toBeUndefined()
    expect(await unwrapRoot(new Uint8Array(0), here, 1, keys)).toBeUndefined()
  })
})
