/**
 * AES-GCM does not commit to its key: one ciphertext can be made that is right under two. What keeps a body to one data
 * key and one context is the commitment, and a header to one context its MAC (SPEC §10). Here such ciphertexts are made.
 */

import { createCipheriv } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { concat, fromHex, toHex, utf8 } from '../src/bytes.ts'
import { canonicalize } from '../src/format/context.ts'
import type { ContextInput } from '../src/format/context.ts'
import { unwrapDataKey } from '../src/index.ts'
import { bodyContext } from '../src/keys/body-context.ts'
import { backend } from '../src/primitives/backend.ts'
import { deriveMessageKey, openBody } from '../src/primitives/cobblestone.ts'
import { describeBackends } from './backends.ts'
import { codeOf, syncCodeOf } from './refusals.ts'
import { dataKeyOf, filled, identityOf, stanzaFor, wrappedKeyOf } from './samples.ts'

type MessageKey = ReturnType<typeof deriveMessageKey>
/** What comes out of a list of two. */
type Two<T> = [T, T]

const nothing = new Uint8Array()
const salt = filled(0x11, 24)

// GF(2^128) as SP 800-38D §6.3 has it: the first bit of a block is the coefficient of x^0.
const toField = (block: Uint8Array) => BigInt(`0x${toHex(block)}`)
const fromField = (element: bigint) => fromHex(element.toString(16).padStart(32, '0')) ?? nothing
const reduction = 0xe1n << 120n

function multiply(x: bigint, y: bigint): bigint {
  let product = 0n
  let shifted = y
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((x >> bit) & 1n) product ^= shifted
    shifted = shifted & 1n ? (shifted >> 1n) ^ reduction : shifted >> 1n
  }
  return product
}

/** x^(2^128 − 2), since the group has 2^128 − 1 elements. */
function invert(x: bigint): bigint {
  let power = x
  let inverse = 1n << 127n // one
  for (let i = 1; i < 128; i++) {
    power = multiply(power, power)
    inverse = multiply(inverse, power)
  }
  return inverse
}

function encryptBlock(key: Uint8Array, block: Uint8Array): bigint {
  return toField(createCipheriv('aes-256-ecb', key, null).update(block))
}

/**
 * A ciphertext of one block and its tag, right under both keys. The tag under one key is c·H² ⊕ L·H ⊕ E(J), with H the
 * encrypted zero block, L the block of lengths and J the first counter block; c makes the two equal.
 */
function rightUnderBoth(one: MessageKey, other: MessageKey): Uint8Array {
  const lengths = 128n // no additional data, 128 bits of ciphertext
  const [a, b] = [one, other].map(({ key, baseNonce }) => ({
    h: encryptBlock(key, filled(0, 16)),
    mask: encryptBlock(key, concat(baseNonce, Uint8Array.of(0, 0, 0, 1))),
  })) as Two<{ h: bigint; mask: bigint }>
  const sum = multiply(lengths, a.h ^ b.h) ^ a.mask ^ b.mask
  const c = multiply(sum, invert(multiply(a.h, a.h) ^ multiply(b.h, b.h)))
  const tag = multiply(c, multiply(a.h, a.h)) ^ multiply(lengths, a.h) ^ a.mask
  return concat(fromField(c), fromField(tag))
}

/** Whether AES-GCM by itself takes the chunk. */
function opensAlone({ key, baseNonce }: MessageKey, chunk: Uint8Array): boolean {
  return backend().aes256gcm(key).open(baseNonce, chunk, nothing) !== undefined
}

describeBackends(() => {
  test('one body under two data keys: the commitment alone decides', () => {
    const inputKeys = [filled(1), filled(2)].map((key) => backend().hmac('sha512', key))
    const [one, other] = inputKeys.map((key) => deriveMessageKey(key, salt, [])) as Two<MessageKey>
    const chunk = rightUnderBoth(one, other)
    expect([opensAlone(one, chunk), opensAlone(other, chunk)]).toEqual([true, true])

    const opens = (commitment: Uint8Array) =>
      inputKeys.map(
        (key) => openBody(key, { context: [], body: concat(salt, commitment, chunk) }) !== undefined,
      )
    expect(opens(one.commitment)).toEqual([true, false])
    expect(opens(other.commitment)).toEqual([false, true])
    expect(opens(filled(0))).toEqual([false, false])
  })

  test('one record under two contexts of one data key: the commitment alone decides', () => {
    const dataKey = dataKeyOf(1)
    const contexts: ContextInput[] = [{ tenant: 'a' }, { tenant: 'b' }]
    const keys = contexts.map((context) =>
      dataKey.use((bytes) =>
        deriveMessageKey(
          backend().hmac('sha512', bytes),
          salt,
          bodyContext('data', dataKey.keyId, canonicalize(context)),
        ),
      ),
    )
    const [one, other] = keys as Two<MessageKey>
    const chunk = rightUnderBoth(one, other)
    expect([opensAlone(one, chunk), opensAlone(other, chunk)]).toEqual([true, true])

    const record = (commitment: Uint8Array) =>
      concat(utf8('LHR\u0001'), dataKey.keyId, salt, commitment, chunk)
    const open = (commitment: Uint8Array, recordContext: ContextInput) =>
      dataKey.decrypt(record(commitment), { recordContext })
    expect(open(one.commitment, { tenant: 'a' })).toHaveLength(16)
    expect(open(other.commitment, { tenant: 'b' })).toHaveLength(16)
    expect(syncCodeOf(() => open(one.commitment, { tenant: 'b' }))).toBe('cannot_open')
    expect(syncCodeOf(() => open(other.commitment, { tenant: 'a' }))).toBe('cannot_open')
  })

  describe('one header under two contexts: the MAC alone decides', () => {
    const dataKey = dataKeyOf(2)
    const [anna, ben] = [identityOf(1), identityOf(2)]
    const open = (wrapped: Uint8Array, identity: typeof anna, keyContext: ContextInput) =>
      unwrapDataKey(wrapped, { identities: [identity], keyContext })

    test('each recipient’s stanza opens under the context it was made for', async () => {
      const stanzas = [
        await stanzaFor(anna.recipient, dataKey, { tenant: 'a' }),
        await stanzaFor(ben.recipient, dataKey, { tenant: 'b' }),
      ] as const
      const bound = { keyId: dataKey.keyId, keyContext: [['tenant', 'b']] as const }
      const opened = await ben.unwrap(stanzas[1], bound)
      expect(opened.use((bytes) => [...bytes])).toEqual([...filled(2)])

      const wrapped = wrappedKeyOf(dataKey, stanzas, { tenant: 'a' })
      expect((await open(wrapped, anna, { tenant: 'a' })).keyId).toEqual(dataKey.keyId)
      for (const tenant of ['a', 'b']) {
        expect(await codeOf(() => open(wrapped, ben, { tenant }))).toBe('cannot_open')
      }
      expect(await codeOf(() => open(wrapped, anna, { tenant: 'b' }))).toBe('cannot_open')
    })
  })
})
