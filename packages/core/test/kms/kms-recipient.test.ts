import { describe, expect, onTestFinished, test, vi } from 'vitest'

import { toBase64url } from '../../src/bytes.ts'
import { unwrapDataKey, wrapDataKey } from '../../src/envelope/wrap.ts'
import { DataKey } from '../../src/keys/data-key.ts'
import { generateIdentity } from '../../src/keys/key-parsing.ts'
import { kmsRecipient } from '../../src/kms/kms-recipient.ts'
import { clientOf, failureOf } from './fake-service.ts'

const dayMs = 86_400_000
const identities = [generateIdentity(), generateIdentity()]

/** A service whose key has this version as its primary; undefined: it does not answer. */
function service(primary: () => number | undefined) {
  return clientOf(
    () => {
      const version = primary()
      const identity = identities[(version ?? 0) - 1]
      if (version === undefined || identity === undefined) throw new TypeError('fetch failed')
      return {
        key: 'a',
        version,
        generation: version,
        recipient: identity.recipient.toString(),
        recipient_ids: identities.slice(0, version).map(({ recipientId }) => toBase64url(recipientId)),
        issued_at: new Date().toISOString(),
        not_after: new Date(Date.now() + dayMs).toISOString(),
      }
    },
    { attempts: 1 },
  )
}

/** The version that opens what is wrapped now. */
async function wrappedFor(recipient: Awaited<ReturnType<typeof kmsRecipient>>): Promise<number> {
  const wrappedKey = await wrapDataKey(DataKey.generate(), { recipients: [recipient] })
  const opened = await Promise.allSettled(
    identities.map((identity) => unwrapDataKey(wrappedKey, { identities: [identity] })),
  )
  return opened.findIndex(({ status }) => status === 'fulfilled') + 1
}

describe('a key of the service as a recipient', () => {
  test('wraps for a day without asking, then asks, and a rotation takes effect', async () => {
    let primary: number | undefined = 1
    const { client, asked } = service(() => primary)
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const recipient = await kmsRecipient(client, 'a')
    primary = 2
    vi.setSystemTime(recipient.notAfterMs - 1)
    expect([await wrappedFor(recipient), recipient.version]).toEqual([1, 1])
    expect(asked).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect([await wrappedFor(recipient), recipient.version]).toEqual([2, 2])
    expect(asked).toHaveLength(2)
    expect(recipient.recipientId).toEqual(identities[1]?.recipientId)
    expect(recipient.toJSON()).toBe(identities[1]?.recipient.toString())
  })

  test('does not wrap when its time is over and the service does not answer, and does when it does again', async () => {
    let primary: number | undefined = 1
    const { client } = service(() => primary)
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const recipient = await kmsRecipient(client, 'a')
    primary = undefined
    expect(await wrappedFor(recipient)).toBe(1)
    vi.setSystemTime(recipient.notAfterMs)
    const wrapping = wrapDataKey(DataKey.generate(), { recipients: [recipient] })
    expect((await failureOf(wrapping)).code).toBe('unavailable')
    primary = 1
    expect(await wrappedFor(recipient)).toBe(1)
  })

  test('asks once for all who wrap at that moment, and at once when told to', async () => {
    let primary: number | undefined = 1
    const { client, asked } = service(() => primary)
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const recipient = await kmsRecipient(client, 'a')
    vi.advanceTimersByTime(dayMs)
    await Promise.all(Array.from({ length: 5 }, () => wrappedFor(recipient)))
    expect(asked).toHaveLength(2)
    primary = 2
    await recipient.refresh()
    expect(await wrappedFor(recipient)).toBe(2)
  })

  test('takes nothing older than it had', async () => {
    let primary: number | undefined = 2
    const { client } = service(() => primary)
    const recipient = await kmsRecipient(client, 'a')
    primary = 1
    expect((await failureOf(recipient.refresh())).message).toContain('older public key')
    expect(await wrappedFor(recipient)).toBe(2)
  })
})
