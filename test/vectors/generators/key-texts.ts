/** Key pairs, and keys as text. */

import { LocalIdentity } from '@longhold/core'

import { backend } from '../../../packages/core/src/primitives/backend.ts'
import { suites } from '../operations.ts'
import { CaseFile } from './case-file.ts'
import { Drbg } from './drbg.ts'
import { defaultKem, flip, join, over, secondKem, toHex } from './parts.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Another letter for the same bytes: its unused low bits are set. */
const withLastLetter = (text: string) =>
  text.slice(0, -1) + alphabet.charAt(alphabet.indexOf(text.slice(-1)) | 1)

export function keyTexts(): CaseFile {
  const file = new CaseFile('keys.json')
  const drbg = new Drbg('keys')
  const people = [defaultKem, secondKem, defaultKem].map((kem) => {
    const seed = drbg.bytes(32)
    return { kem, seed, identity: LocalIdentity.fromSeed(seed, kem, { suites }) }
  })
  for (const [i, { kem, seed, identity }] of people.entries()) {
    const { recipient } = identity
    file.valid('key', `key pair ${i + 1}`, {
      kem,
      seed: toHex(seed),
      publicKey: toHex(recipient.publicKey),
      recipientId: toHex(recipient.recipientId),
      recipientText: recipient.toString(),
      identityText: identity.exportText(),
    })
  }
  const { identity, seed } = people[0] ?? { identity: LocalIdentity.generate(), seed: drbg.bytes(32) }
  const good = identity.exportText()
  const prefix = 'LONGHOLD-IDENTITY-1-'
  const written = (bytes: Uint8Array, head = prefix) => {
    const check = backend()
      .sha256(join(utf8(head), bytes))
      .subarray(0, 4)
    return head + Buffer.from(join(bytes, check)).toString('base64url')
  }
  const kemAnd = (kem: number, key: Uint8Array) => join(Uint8Array.of(kem >> 8, kem), key)
  const identities: readonly (readonly ['bad-text' | 'unsupported', string, string, string])[] = [
    ['bad-text', 'empty', '', 'no prefix'],
    ['bad-text', 'prefix alone', prefix, 'fewer than 6 bytes'],
    ['bad-text', 'prefix in lower case', good.toLowerCase(), 'text is case-sensitive'],
    ['bad-text', 'another version', good.replace('-1-', '-2-'), 'another prefix'],
    ['bad-text', 'a space in front', ` ${good}`, 'white space'],
    ['bad-text', 'a newline at the end', `${good}\n`, 'white space'],
    ['bad-text', 'a space within', `${good.slice(0, 30)} ${good.slice(30)}`, 'not in the alphabet'],
    ['bad-text', 'padding', `${good}=`, 'padding'],
    ['bad-text', 'the other alphabet', `${good.slice(0, -1)}+`, 'plus is not in the alphabet'],
    ['bad-text', 'a character less', good.slice(0, -1), 'the check is cut'],
    ['bad-text', 'a character more', `${good}A`, 'a byte more: the check is another'],
    [
      'bad-text',
      'two letters exchanged',
      good.slice(0, 30) + (good[31] ?? '') + (good[30] ?? '') + good.slice(32),
      'the check is another',
    ],
    ['bad-text', 'unused bits set', withLastLetter(good), 'the last letter has two bits too many'],
    [
      'bad-text',
      'five bytes',
      prefix + Buffer.from(drbg.bytes(5)).toString('base64url'),
      'fewer than 6 bytes',
    ],
    [
      'bad-text',
      'check of the recipient',
      prefix + written(kemAnd(defaultKem, seed), 'lhrecipient1-').slice(13),
      'the check covers the prefix',
    ],
    [
      'bad-text',
      'a seed of 31 bytes',
      written(kemAnd(defaultKem, seed.subarray(1))),
      'a length of no suite, check right',
    ],
    [
      'bad-text',
      'a seed of 33 bytes',
      written(kemAnd(defaultKem, join(seed, Uint8Array.of(0)))),
      'a length of no suite, check right',
    ],
    [
      'bad-text',
      'no seed',
      written(kemAnd(defaultKem, new Uint8Array())),
      'a length of no suite, check right',
    ],
    ['bad-text', 'a recipient', identity.recipient.toString(), 'it is public'],
    ['unsupported', 'kem_id 0', written(kemAnd(0, seed)), 'unknown, check right'],
    ['unsupported', 'kem_id of X25519 alone', written(kemAnd(0x0020, seed)), 'no suite of ours, check right'],
    [
      'unsupported',
      'kem_id of the TLS group',
      written(kemAnd(0x11ec, seed)),
      'no suite of ours, check right',
    ],
  ]
  for (const [kind, name, text, comment] of identities)
    file.refused('parseKeyText', kind, `identity: ${name}`, comment, { text, what: 'identity' })

  const publicKey = identity.recipient.publicKey
  const head = 'lhrecipient1-'
  const recipient = (key: Uint8Array, kem = defaultKem) => written(kemAnd(kem, key), head)
  const second = people[1]?.identity.recipient.publicKey ?? publicKey
  const recipients: readonly (readonly ['bad-text' | 'unsupported' | 'bad-key', string, string, string])[] = [
    ['bad-text', 'an identity', good, 'it is secret: pass its recipient'],
    ['bad-text', 'the key cut short', recipient(publicKey.subarray(0, -1)), '1,215 bytes, check right'],
    ['bad-text', 'the key of another suite', recipient(second), '1,665 bytes, check right'],
    [
      'bad-text',
      'a bit flipped, check not mended',
      head +
        Buffer.from(flip(Buffer.from(recipient(publicKey).slice(13), 'base64url'), 100)).toString(
          'base64url',
        ),
      'the check is another',
    ],
    ['bad-text', 'a newline at the end', `${recipient(publicKey)}\n`, 'white space'],
    [
      'unsupported',
      'an unknown kem_id',
      recipient(publicKey.subarray(0, 32), 0x7f77),
      'unknown, check right',
    ],
    [
      'bad-key',
      'a coefficient of 3,329',
      recipient(over(publicKey, 0, 0x01, 0x0d)),
      'not reduced (FIPS 203 §7.2)',
    ],
    [
      'bad-key',
      'an X25519 key of zeros',
      recipient(over(publicKey, 1184, ...new Uint8Array(32))),
      'low order',
    ],
    ['bad-key', 'a point off the curve', recipient(flip(second, -1), secondKem), 'P-384'],
    [
      'bad-key',
      'a hybrid point',
      recipient(over(second, 1568, 6), secondKem),
      'P-384: uncompressed points only',
    ],
  ]
  for (const [kind, name, text, comment] of recipients)
    file.refused('parseKeyText', kind, `recipient: ${name}`, comment, { text, what: 'recipient' })
  return file
}
