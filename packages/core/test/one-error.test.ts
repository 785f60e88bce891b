/**
 * Whatever fails once decryption began is the one error `cannot_open`, which does not tell what it was (SPEC §5.4). Each
 * cause is made here by itself: everything before it in the order of SPEC §5.3 and §6.3 is right.
 */

import { describe, expect, test } from 'vitest'

import { concat, utf8 } from '../src/bytes.ts'
import { LongholdError } from '../src/errors.ts'
import { canonicalize } from '../src/format/context.ts'
import { encodeAuthenticated } from '../src/format/header.ts'
import { Secret, decrypt, detach, encrypt, rewrap, unwrapDataKey } from '../src/index.ts'
import type { Identity, Stanza } from '../src/index.ts'
import { headerKeyOf } from '../src/keys/data-key.ts'
import { sealStanzas } from '../src/keys/wrapped-key.ts'
import { backend } from '../src/primitives/backend.ts'
import { describeBackends } from './backends.ts'
import { refusalOf } from './refusals.ts'
import { changed, context, dataKeyOf, filled, flipped, identityOf, patterned, stanzaFor } from './samples.ts'

const [anna, ben] = [identityOf(1), identityOf(2)]
const dataKey = dataKeyOf(5)
const other = dataKeyOf(6)
const plaintext = patterned(16_384 + 100)
const stanza = await stanzaFor(anna.recipient, dataKey, context)
const canonical = canonicalize(context)
const { record } = detach(await encrypt(plaintext, { recipients: [anna.recipient], context, dataKey }))
const body = record.subarray(20)

/** A header of this one stanza with a MAC that is right for `keyContext`. */
const headerOf = (of: Stanza, keyContext = canonical) => sealStanzas(dataKey, [of], keyContext)
async function headerByAnother(): Promise<Uint8Array> {
  const bound = { keyId: dataKey.keyId, keyContext: canonical.pairs }
  const authenticated = encodeAuthenticated(dataKey.keyId, [await anna.recipient.wrap(filled(6), bound)])
  const mac = backend().hmac('sha256', headerKeyOf(other))
  return concat(authenticated, mac.mac(utf8('longhold/v1/header\0'), authenticated, canonical.bytes))
}
const wrappedKey = (header: Uint8Array) => concat(utf8('LHK\u0001'), header)
const envelope = (header: Uint8Array, of: Uint8Array) => concat(utf8('LHE\u0001'), header, of)
const withPayload = (payload: Uint8Array) => headerOf({ ...stanza, payload })
const { payload } = stanza
const header = headerOf(stanza)

const headers: Readonly<Record<string, Uint8Array>> = {
  'a low order point': withPayload(changed(payload, 1088, ...filled(0))),
  'another point of the curve': withPayload(
    changed(payload, 1088, ...identityOf(3).recipient.publicKey.subarray(1184)),
  ),
  'an altered ML-KEM ciphertext': withPayload(flipped(payload, 77)),
  'an altered wrapped data key': withPayload(flipped(payload, 1120 * 8)),
  'an altered tag of the wrap': withPayload(flipped(payload, payload.length * 8 - 1)),
  'a stanza of another context': headerOf(await stanzaFor(anna.recipient, dataKey, {})),
  'a stanza made for somebody else': headerOf({
    ...(await stanzaFor(ben.recipient, dataKey, context)),
    recipientId: anna.recipientId,
  }),
  // Sealed under this header's key id, so that the tag is right, yet another data key: HPKE alone does not see it.
  'another data key under this key id': headerOf(
    await anna.recipient.wrap(filled(6), { keyId: dataKey.keyId, keyContext: canonical.pairs }),
  ),
  // And now with a MAC by that data key, so that the key id alone is wrong.
  'another data key under this key id, and its MAC': await headerByAnother(),
  'an altered MAC': flipped(header, header.length * 8 - 1),
  'a MAC of another context': headerOf(stanza, canonicalize({ tenant: 'b' })),
}

const last = 56 + 16_400
const bodies: Readonly<Record<string, Uint8Array>> = {
  'an altered salt': flipped(body, 0),
  'an altered commitment': flipped(body, 24 * 8),
  'an altered first chunk': flipped(body, 56 * 8),
  'an altered tag of the first chunk': flipped(body, last * 8 - 1),
  'an altered last chunk': flipped(body, last * 8),
  'an altered last tag': flipped(body, body.length * 8 - 1),
  'a missing last chunk': body.subarray(0, last),
  'a last chunk cut within its tag': body.subarray(0, last + 15),
  'a last chunk cut to a tag': body.subarray(0, last + 16),
  'a body cut within its first chunk': body.subarray(0, 1000),
  'a body without chunks': body.subarray(0, 72),
  'bytes behind its end': concat(body, filled(0, 1)),
  'a second last chunk': concat(body, body.subarray(last)),
  'a body of another context': dataKey.encrypt(plaintext, { recordContext: {} }).subarray(20),
  'a body of another data key': other.encrypt(plaintext, { recordContext: context }).subarray(20),
}

/** All that can be seen of an error but the stack, which is for operators. */
function seen(error: LongholdError): object {
  const own = Reflect.ownKeys(error).filter((key) => key !== 'stack')
  const values = own.map((key) => [key, Object.getOwnPropertyDescriptor(error, key)?.value as unknown])
  return { class: Object.getPrototypeOf(error) === LongholdError.prototype, values, text: String(error) }
}
const expected = seen(
  new LongholdError(
    'cannot_open',
    'cannot open: the key is another, the context is not the one given when encrypting, or bytes were altered or cut off',
  ),
)
const identities = [anna]

describeBackends(() => {
  test('what is put together here opens when nothing is wrong', async () => {
    expect(await decrypt(envelope(header, body), { identities, context })).toEqual(plaintext)
  })

  describe.each(Object.entries(headers))('%s', (_, wrong) => {
    test.each([
      ['a wrapped key', () => unwrapDataKey(wrappedKey(wrong), { identities, keyContext: context })],
      ['an envelope', () => decrypt(envelope(wrong, body), { identities, context })],
      [
        'a rewrap',
        () => rewrap(wrappedKey(wrong), { identities, recipients: [ben.recipient], keyContext: context }),
      ],
    ])('in %s', async (__, open) => {
      expect(seen(await refusalOf(open))).toEqual(expected)
    })
  })

  describe.each(Object.entries(bodies))('%s', (_, wrong) => {
    test.each([
      ['a record', () => dataKey.decrypt(concat(record.subarray(0, 20), wrong), { recordContext: context })],
      ['an envelope', () => decrypt(envelope(header, wrong), { identities, context })],
    ])('in %s', async (__, open) => {
      expect(seen(await refusalOf(open))).toEqual(expected)
    })
  })

  test('a record of another key id, and another data key under this one', async () => {
    for (const [key, bytes] of [
      [other, record],
      [other, changed(record, 4, ...other.keyId)],
      [dataKey, changed(record, 4, ...other.keyId)],
    ] as const) {
      expect(seen(await refusalOf(() => key.decrypt(bytes, { recordContext: context })))).toEqual(expected)
    }
  })

  test('an identity of one’s own that answers with another data key', async () => {
    const lying: Identity = { owns: () => true, unwrap: async () => Secret.copyOf(filled(6)) }
    const open = () => unwrapDataKey(wrappedKey(header), { identities: [lying], keyContext: context })
    expect(seen(await refusalOf(open))).toEqual(expected)
  })
})
