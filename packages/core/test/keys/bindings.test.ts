/** What wraps and bodies are bound to, byte for byte (SPEC §5.2, §6.1). */

import { expect, test } from 'vitest'

import { concat, utf8 } from '../../src/bytes.ts'
import { canonicalContext, canonicalize } from '../../src/format/context.ts'
import { bodyContext } from '../../src/keys/body-context.ts'
import { headerKeyOf } from '../../src/keys/data-key.ts'
import { recipientIdOf } from '../../src/keys/recipient.ts'
import { wrapInfo } from '../../src/keys/wrap-info.ts'
import { backend } from '../../src/primitives/backend.ts'
import { hkdfExpand } from '../../src/primitives/kdf.ts'
import { describeBackends } from '../backends.ts'
import { context, dataKeyOf, filled, identityOf, wrappedKeyOf } from '../samples.ts'

const zero = Uint8Array.of(0)
const keyId = filled(0xaa, 16)
const recipientId = filled(0xbb, 16)
const canonical = canonicalContext(context)

test('the info of a wrap', () => {
  const expected = concat(utf8('longhold/v1/wrap'), zero, keyId, recipientId, canonical)
  expect(wrapInfo(keyId, recipientId, canonicalize(context).pairs)).toEqual(expected)
})

test.each([
  ['data', 'longhold/v1/data'],
  ['value', 'longhold/v1/value'],
] as const)('the context of a body of the kind %s', (kind, label) => {
  const expected = concat(utf8(label), zero, keyId, canonical)
  expect(concat(...bodyContext(kind, keyId, canonicalize(context)))).toEqual(expected)
})

describeBackends(() => {
  test('key id and header key', () => {
    const derived = (label: string, length: number) =>
      hkdfExpand(backend().hmac('sha512', filled(3)), [utf8(label)], length)
    const dataKey = dataKeyOf(3)
    expect(dataKey.keyId).toEqual(derived('longhold/v1/key-id', 16))
    expect(headerKeyOf(dataKey)).toEqual(derived('longhold/v1/header-key', 32))
  })

  test('the MAC of a header', () => {
    const dataKey = dataKeyOf(3)
    const header = wrappedKeyOf(dataKey, [], context).subarray(4)
    const mac = backend()
      .hmac('sha256', headerKeyOf(dataKey))
      .mac(utf8('longhold/v1/header'), zero, header.subarray(0, -32), canonical)
    expect(header.slice(-32)).toEqual(new Uint8Array(mac))
  })

  test('the recipient id', () => {
    const { kemId, publicKey, recipientId: id } = identityOf(1).recipient
    const hash = backend().sha256(concat(utf8('longhold/v1/recipient'), Uint8Array.of(0x64, 0x7a), publicKey))
    expect(id).toEqual(new Uint8Array(hash.subarray(0, 16)))
    expect(recipientIdOf(kemId, publicKey)).toEqual(id)
  })
})
