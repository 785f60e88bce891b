import { createHash, generateKeyPairSync, sign } from 'node:crypto'

import { describe, expect, onTestFinished, test, vi } from 'vitest'

import { concat, toBase64url, utf8 } from '../../src/bytes.ts'
import { generateIdentity } from '../../src/keys/key-parsing.ts'
import { kmsRecipient } from '../../src/kms/kms-recipient.ts'
import type { PublicKeyBundle } from '../../src/kms/wire.ts'
import { clientOf, failureOf } from './fake-service.ts'

const dayMs = 86_400_000
const clusterId = '00112233445566778899aabbccddeeff'
const signer = generateKeyPairSync('ml-dsa-65')
const publicKey = new Uint8Array(signer.publicKey.export({ format: 'raw-public' }))
const pin = createHash('sha256').update(publicKey).digest('hex')
const [identity, other] = [generateIdentity(), generateIdentity()]

/** As docs/kms.md says, written a second time. */
function framed(...parts: (string | number | Uint8Array)[]): Uint8Array {
  return concat(
    ...parts.flatMap((part) => {
      const bytes = Buffer.alloc(8)
      if (typeof part === 'number') bytes.writeBigUInt64BE(BigInt(part))
      const content = typeof part === 'string' ? utf8(part) : typeof part === 'number' ? bytes : part
      const length = Buffer.alloc(4)
      length.writeUInt32BE(content.length)
      return [length, content]
    }),
  )
}

interface Given {
  name?: string
  kind?: string
  cluster?: string
  signedBy?: typeof signer
}

function bundleOf(changes: Partial<PublicKeyBundle> = {}, given: Given = {}): PublicKeyBundle {
  const bundle = {
    key: 'a',
    version: 1,
    generation: 3,
    recipient: identity.recipient.toString(),
    recipient_ids: [toBase64url(identity.recipientId)],
    issued_at: new Date().toISOString(),
    not_after: new Date(Date.now() + dayMs).toISOString(),
    cluster_id: clusterId,
    ...changes,
  }
  const { name = 'a', kind = 'bundle', cluster = clusterId, signedBy = signer } = given
  const message = framed(
    `longhold/kms/v1/${kind}`,
    Buffer.from(cluster, 'hex'),
    name,
    bundle.key,
    bundle.version,
    bundle.generation,
    bundle.recipient,
    Buffer.concat(bundle.recipient_ids.map((id) => Buffer.from(id, 'base64url'))),
    Date.parse(bundle.issued_at),
    Date.parse(bundle.not_after),
  )
  return { ...bundle, signature: toBase64url(sign(null, message, signedBy.privateKey)) }
}

const identityAnswer = {
  cluster_id: clusterId,
  algorithm: 'ML-DSA-65',
  public_key: toBase64url(publicKey),
  fingerprint: pin,
}

/** A service that gives this bundle. */
function service(bundle: () => unknown, options: { pin?: string } = { pin }) {
  return clientOf(({ url }) => (url.endsWith('/identity') ? identityAnswer : bundle()), options)
}

describe('a pinned service', () => {
  test('is believed what it signed, and asked once who it is', async () => {
    const { client, asked } = service(() => bundleOf())
    for (let count = 0; count < 3; count++) await client.publicKey('a')
    expect((await kmsRecipient(client, 'a')).toString()).toBe(identity.recipient.toString())
    expect(asked.filter(({ url }) => url.endsWith('/identity'))).toHaveLength(1)
  })

  test('may be written in groups, in upper case', async () => {
    const spaced = pin
      .toUpperCase()
      .replaceAll(/(.{4})/gu, '$1 ')
      .trim()
    const { client } = service(() => bundleOf(), { pin: spaced })
    expect(await client.publicKey('a')).toMatchObject({ key: 'a' })
  })

  const theirs = generateKeyPairSync('ml-dsa-65')
  test.each<[string, () => PublicKeyBundle]>([
    ['another recipient', () => ({ ...bundleOf(), recipient: other.recipient.toString() })],
    ['another key', () => ({ ...bundleOf(), key: 'b' })],
    ['another version', () => ({ ...bundleOf(), version: 2 })],
    ['another generation', () => ({ ...bundleOf(), generation: 4 })],
    [
      'one more recipient id',
      () => {
        const bundle = bundleOf()
        return { ...bundle, recipient_ids: [...bundle.recipient_ids, toBase64url(other.recipientId)] }
      },
    ],
    ['a longer life', () => ({ ...bundleOf(), not_after: new Date(Date.now() + 2 * dayMs).toISOString() })],
    ['another time', () => ({ ...bundleOf(), issued_at: new Date(Date.now() - 1000).toISOString() })],
    ['the answer to another name', () => bundleOf({}, { name: 'b' })],
    ['a signature of another kind', () => bundleOf({}, { kind: 'checkpoint' })],
    ['a signature for another cluster', () => bundleOf({}, { cluster: 'ff'.repeat(16) })],
    ['another cluster', () => bundleOf({ cluster_id: 'ff'.repeat(16) }, { cluster: 'ff'.repeat(16) })],
    ['a signature of somebody else', () => bundleOf({}, { signedBy: theirs })],
    ['an empty signature', () => ({ ...bundleOf(), signature: '' })],
    ['a signature that is null', () => ({ ...bundleOf(), signature: null as unknown as string })],
  ])('is not believed %s', async (_, bundle) => {
    const error = await failureOf(service(bundle).client.publicKey('a'))
    expect(error).toMatchObject({ code: 'unavailable' })
    expect(error.message).toMatch(/is not signed by it|not a key service/u)
  })

  test('with another key than the pinned one is refused, and asked again the next time', async () => {
    const { client, asked } = service(() => bundleOf(), { pin: '00'.repeat(32) })
    for (let count = 0; count < 2; count++) {
      expect((await failureOf(client.publicKey('a'))).message).toContain('whose fingerprint was given')
    }
    expect(asked.filter(({ url }) => url.endsWith('/identity'))).toHaveLength(2)
  })

  test.each(['', 'x', 'ab', `${pin}00`, `0x${pin.slice(2)}`])('takes no pin %j', (text) => {
    expect(() => service(() => bundleOf(), { pin: text })).toThrow(
      expect.objectContaining({ code: 'bad_input' }),
    )
  })
})

describe('a bundle, pinned or not,', () => {
  test.each([{ pin }, {}])('that is older than one seen is refused', async (options) => {
    let given = bundleOf()
    const { client } = service(() => given, options)
    await client.publicKey('a')
    given = bundleOf({ generation: 5, version: 2 })
    await client.publicKey('a')
    given = bundleOf({ generation: 4, version: 2 })
    expect((await failureOf(client.publicKey('a'))).message).toContain('older public key of a')
    // Of one generation there is one primary.
    given = bundleOf({ generation: 5, version: 1 })
    expect((await failureOf(client.with({ timeoutMs: 5000 }).publicKey('a'))).message).toContain('older')
    given = bundleOf({ generation: 5, version: 2 })
    expect(await client.publicKey('a')).toMatchObject({ generation: 5 })
  })

  test('is good until its end', async () => {
    const given = bundleOf()
    const { client } = service(() => given)
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    await client.publicKey('a')
    vi.setSystemTime(Date.parse(given.not_after) - 1)
    await client.publicKey('a')
    vi.setSystemTime(Date.parse(given.not_after))
    expect((await failureOf(client.publicKey('a'))).message).toContain('is not good now')
  })

  test.each([
    ['that is to come', { issued_at: new Date(Date.now() + 600_000).toISOString() }],
    [
      'that promises more than a day',
      {
        issued_at: new Date(Date.now() - 2 * dayMs).toISOString(),
        not_after: new Date(Date.now() + 9 * dayMs).toISOString(),
      },
    ],
  ])('%s is refused', async (_, times) => {
    expect((await failureOf(service(() => bundleOf(times)).client.publicKey('a'))).code).toBe('unavailable')
  })

  test.each<[string, unknown]>([
    ['nothing', null],
    ['a list', []],
    ['no generation', { ...bundleOf(), generation: undefined }],
    ['a generation that is text', { ...bundleOf(), generation: '3' }],
    ['no times', { ...bundleOf(), issued_at: undefined }],
    ['a time that is none', { ...bundleOf(), not_after: 'tomorrow' }],
    ['short recipient ids', { ...bundleOf(), recipient_ids: ['AAAA'] }],
    ['recipient ids that are none', { ...bundleOf(), recipient_ids: [7] }],
  ])('that is %s is of no key service', async (_, bundle) => {
    const { client } = clientOf(() => Response.json(bundle))
    expect((await failureOf(client.publicKey('a'))).message).toContain('not a key service')
  })
})
