/** What one backend writes the other reads. */

import { describe, expect, test } from 'vitest'

import {
  DataKey,
  LocalIdentity,
  decrypt,
  detach,
  encrypt,
  parseIdentity,
  parseRecipient,
  rewrap,
  unwrapDataKey,
  wrapDataKey,
} from '../src/index.ts'
import { onBackend } from './backends.ts'
import type { BackendName } from './backends.ts'
import { context, filled, patterned } from './samples.ts'

/** Everything is made on the backend that shall use it: prepared keys belong to one. */
const makeIdentity = (value: number) => LocalIdentity.fromSeed(filled(value))
const plaintext = patterned(16_384 + 77)
const pairs: readonly [BackendName, BackendName][] = [
  ['native', 'noble'],
  ['noble', 'native'],
]

describe.each(pairs)('written on %s, read on %s:', (writer, reader) => {
  test('a wrapped key', async () => {
    const wrapped = await onBackend(writer, async () =>
      wrapDataKey(DataKey.from(filled(9)), {
        recipients: [makeIdentity(1).recipient, makeIdentity(2).recipient],
        keyContext: context,
      }),
    )
    for (const value of [1, 2]) {
      const opened = await onBackend(reader, async () => {
        const key = await unwrapDataKey(wrapped, { identities: [makeIdentity(value)], keyContext: context })
        return key.use((bytes) => [...bytes])
      })
      expect(opened).toEqual([...filled(9)])
    }
  })

  test('a record', async () => {
    const record = await onBackend(writer, () =>
      DataKey.from(filled(9)).encrypt(plaintext, { recordContext: context }),
    )
    const opened = await onBackend(reader, () =>
      DataKey.from(filled(9)).decrypt(record, { recordContext: context }),
    )
    expect(Buffer.compare(opened, plaintext)).toBe(0)
  })

  test('an envelope, its rewrap and its parts', async () => {
    const envelope = await onBackend(writer, async () =>
      encrypt(plaintext, { recipients: [makeIdentity(1).recipient], context }),
    )
    const [opened, renewed] = await onBackend(reader, async () => {
      const identities = [makeIdentity(1)]
      const recipients = [makeIdentity(2).recipient]
      return [
        await decrypt(envelope, { identities, context }),
        await rewrap(envelope, { identities, recipients, keyContext: context }),
      ] as const
    })
    expect(Buffer.compare(opened, plaintext)).toBe(0)
    const { wrappedKey, record } = detach(renewed)
    const again = await onBackend(writer, async () => {
      const key = await unwrapDataKey(wrappedKey, { identities: [makeIdentity(2)], keyContext: context })
      return key.decrypt(record, { recordContext: context })
    })
    expect(Buffer.compare(again, plaintext)).toBe(0)
  })

  test('key texts', async () => {
    const texts = await onBackend(writer, () => {
      const identity = makeIdentity(3)
      return [identity.exportText(), identity.recipient.toString()] as const
    })
    await onBackend(reader, () => {
      const identity = parseIdentity(texts[0])
      expect(identity.recipient.toString()).toBe(texts[1])
      expect(parseRecipient(texts[1]).recipientId).toEqual(identity.recipientId)
    })
  })

  test('with keys prepared on the other backend', async () => {
    const identity = await onBackend(writer, () => makeIdentity(4))
    const dataKey = await onBackend(writer, () => DataKey.from(filled(5)))
    await onBackend(reader, async () => {
      const envelope = await encrypt(plaintext, { recipients: [identity.recipient], context, dataKey })
      const opened = await decrypt(envelope, { identities: [identity], context })
      expect(Buffer.compare(opened, plaintext)).toBe(0)
    })
  })
})
