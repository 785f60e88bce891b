import { randomBytes } from 'node:crypto'

import { afterAll, describe, expect, test } from 'vitest'

import { cms } from '../../src/formats/cms.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { PrivateKeys } from '../../src/formats/legacy-format.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import {
  authEnveloped,
  ber,
  certifiedSet,
  certify,
  der,
  integer,
  messageOf,
  octets,
  oid,
  opensslEncrypt,
  recipientOf,
} from '../support/cms.ts'
import { keySet, oldKey, openNow, otherKey, wrapOaep } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { runTool } from '../support/tools.ts'

const directory = new Directory()
afterAll(() => directory[Symbol.dispose]())
const mine = certify(directory, { key: oldKey })
const others = certify(directory, { key: otherKey, subject: '/CN=Somebody else' })
const ours = certifiedSet(mine)

function read(cell: string | Uint8Array, keys: PrivateKeys = ours): string {
  const value = cms.recognize([cell])
  if (value === undefined) throw new Error('not recognised')
  return openNow(value, keys).toString()
}

function codeOf(step: () => unknown): string {
  try {
    step()
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
  return 'opened'
}

const text = 'a secret of some length, longer than a block or two of AES'
const cbc = [
  'aes-128-cbc',
  'aes-192-cbc',
  'aes-256-cbc',
  'des-ede3-cbc',
  'camellia-128-cbc',
  'camellia-256-cbc',
]
const gcm = ['aes-128-gcm', 'aes-192-gcm', 'aes-256-gcm']

describe('what openssl writes', () => {
  test.each([...cbc, ...gcm])('%s, DER, PEM and S/MIME', (cipher) => {
    for (const plaintext of ['', 'x', text, 'y'.repeat(5000)]) {
      for (const form of ['DER', 'PEM', 'SMIME']) {
        const message = opensslEncrypt(plaintext, [mine], { cipher, form })
        expect(read(message)).toBe(plaintext)
        expect(read(form === 'DER' ? message.toString('base64') : message.toString())).toBe(plaintext)
        expect(cms.recognize([message])).toMatchObject({
          keyId: expect.stringMatching(/^serial [0-9a-f]+, issuer CN=Old CA, O=Example$/) as string,
          wrapping: 'RSA PKCS #1 v1.5',
          body: cipher,
          isAuthenticated: cipher.endsWith('gcm'),
        })
      }
    }
  })

  test.each(cbc)('%s with -stream, of indefinite length and many parts', (cipher) => {
    const plaintext = 'z'.repeat(70_000)
    for (const form of ['DER', 'PEM', 'SMIME']) {
      const message = opensslEncrypt(plaintext, [mine], { cipher, form, args: ['-stream'] })
      expect(form === 'DER' ? message[1] : 0x80).toBe(0x80)
      expect(read(message)).toBe(plaintext)
    }
  })

  test.each(['cms', 'smime'] as const)(
    'openssl %s, without -binary: line ends as they were encrypted',
    (program) => {
      const message = opensslEncrypt('one\ntwo\n', [mine], { isBinary: false, form: 'SMIME', program })
      expect(read(message)).toBe('one\r\ntwo\r\n')
    },
  )

  test('base64 alone, as columns have it, with and without line ends', () => {
    const message = opensslEncrypt(text, [mine])
    const lines = message.toString('base64').replaceAll(/(.{64})/g, '$1\r\n')
    expect(read(message.toString('base64'))).toBe(text)
    expect(read(lines)).toBe(text)
    expect(read(Buffer.from(lines))).toBe(text)
    expect(codeOf(() => read(`${lines}!`))).toBe('malformed')
    expect(codeOf(() => read(lines.replace(/.$/, '*')))).toBe('malformed')
  })

  test('S/MIME within a mail, with folded headers and CRLF', () => {
    const [, body = ''] = opensslEncrypt(text, [mine], { form: 'SMIME' }).toString().split('\n\n')
    const headers = [
      'Received: from somewhere',
      '\tby elsewhere',
      'Subject: =?utf-8?q?x?=',
      'Content-Type: application/x-pkcs7-mime;',
      ' smime-type=enveloped-data; name="smime.p7m"',
      'content-transfer-encoding: BASE64',
    ]
    expect(read(`${headers.join('\r\n')}\r\n\r\n${body}`)).toBe(text)
    const binary = Buffer.concat([
      Buffer.from('Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n'),
      opensslEncrypt(text, [mine]),
    ])
    expect(read(binary)).toBe(text)
  })

  const hashes = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512']
  test.each(hashes.flatMap((hash) => hashes.map((mgf1) => ({ hash, mgf1 }))))(
    'OAEP $hash, MGF1 $mgf1',
    ({ hash, mgf1 }) => {
      const keyOptions = ['rsa_padding_mode:oaep', `rsa_oaep_md:${hash}`, `rsa_mgf1_md:${mgf1}`]
      const message = opensslEncrypt(text, [mine], { keyOptions })
      expect(read(message)).toBe(text)
      expect(cms.recognize([message])?.wrapping).toBe(
        `RSA-OAEP ${hash}${hash === mgf1 ? '' : `, MGF1 ${mgf1}`}`,
      )
    },
  )

  test('OAEP with a label', () => {
    const keyOptions = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256', 'rsa_oaep_label:6c6162656c']
    const message = opensslEncrypt(text, [mine], { keyOptions, cipher: 'aes-128-gcm' })
    expect(read(message)).toBe(text)
    expect(cms.recognize([message])?.wrapping).toMatch(/, label$/)
  })

  test('by subject key identifier, with the certificate and without', () => {
    const message = opensslEncrypt(text, [mine], { args: ['-keyid'] })
    expect(cms.recognize([message])?.keyId).toMatch(/^[0-9a-f]{40}$/)
    expect(read(message)).toBe(text)
    expect(read(message, keySet(oldKey))).toBe(text)
    expect(read(message, keySet(otherKey, oldKey))).toBe(text)
  })

  test.each([1024, 2047, 2048, 3072])('keys of %i bits', (bits) => {
    const one = certify(directory, { bits })
    for (const keyOptions of [[], ['rsa_padding_mode:oaep']]) {
      expect(read(opensslEncrypt(text, [one], { keyOptions }), certifiedSet(one))).toBe(text)
      expect(read(opensslEncrypt(text, [one], { keyOptions }), keySet(one.key))).toBe(text)
    }
  })

  test.each(['aes-256-cbc', 'aes-256-gcm'])('several recipients, whichever is ours: %s', (cipher) => {
    const third = certify(directory, { subject: '/CN=Third' })
    const message = opensslEncrypt(text, [others, mine, third], { cipher })
    for (const one of [mine, others, third]) expect(read(message, certifiedSet(one))).toBe(text)
    expect(read(message, certifiedSet(third, others))).toBe(text)
  })

  test('what was signed before it was encrypted comes out as it is', () => {
    const inner = der(0x30, oid('1.2.840.113549.1.7.2'), der(0xa0, der(0x30, integer(1))))
    expect(read(opensslEncrypt(inner, [mine], { args: ['-econtent_type', '1.2.840.113549.1.7.2'] }))).toBe(
      inner.toString(),
    )
  })
})

describe('what openssl does not write', () => {
  test.each(['aes-128-ccm', 'aes-192-ccm', 'aes-256-ccm', 'aes-128-gcm', 'aes-256-gcm'])(
    '%s with attributes under the tag, and tags of 12 to 16 bytes',
    (cipher) => {
      const attributes = der(0x30, oid('1.2.840.113549.1.9.3'), der(0x31, oid('1.2.840.113549.1.7.1')))
      for (const tagBytes of [12, 14, 16]) {
        for (const plaintext of ['', text]) {
          expect(
            read(authEnveloped(Buffer.from(plaintext), oldKey, { cipher, tagBytes }), keySet(oldKey)),
          ).toBe(plaintext)
          const bound = authEnveloped(Buffer.from(plaintext), oldKey, { cipher, tagBytes, attributes })
          expect(read(bound, keySet(oldKey))).toBe(plaintext)
          // The last arc of the attribute's value.
          const at = bound.lastIndexOf(oid('1.2.840.113549.1.7.1')) + 10
          bound[at] = 2
          expect(codeOf(() => read(bound, keySet(oldKey)))).toBe('cannot_open')
        }
      }
      const unsaid = authEnveloped(Buffer.from(text), oldKey, { cipher, tagBytes: 12, saysTagBytes: false })
      expect(read(unsaid, keySet(oldKey))).toBe(text)
      const short = authEnveloped(Buffer.from(text), oldKey, {
        cipher,
        tagBytes: cipher.endsWith('ccm') ? 10 : 8,
      })
      expect(codeOf(() => read(short, keySet(oldKey)))).toBe('unsupported')
    },
  )

  test('AES-GCM in EnvelopedData, the tag at the end of the ciphertext', () => {
    const message = authEnveloped(Buffer.from(text), oldKey, { isTagAtEnd: true })
    expect(read(message, keySet(oldKey))).toBe(text)
    expect(cms.recognize([message])?.isAuthenticated).toBe(true)
    message[message.length - 1] = (message[message.length - 1] ?? 0) ^ 1
    expect(codeOf(() => read(message, keySet(oldKey)))).toBe('cannot_open')
  })

  test('parts within parts, of definite and indefinite length', () => {
    const [dataKey, iv] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)]
    const algorithm = der(0x30, oid('2.16.840.1.101.3.4.1.2'), octets(iv))
    const recipients = [recipientOf(oldKey, dataKey)]
    const body = runTool(
      'openssl',
      ['enc', '-aes-128-cbc', '-K', dataKey.toString('hex'), '-iv', iv.toString('hex')],
      {
        input: text,
      },
    )
    const [a, b, c] = [body.subarray(0, 7), body.subarray(7, 7), body.subarray(7)].map(octets)
    if (a === undefined || b === undefined || c === undefined) throw new Error('no parts')
    const keys = new PrivateKeySet([
      { name: 'said', key: oldKey, keyIds: [Buffer.from('id').toString('hex')] },
    ])
    const attempt = (content: Uint8Array) => read(messageOf({ recipients, algorithm, content }), keys)
    expect(attempt(der(0x80, body))).toBe(text)
    expect(attempt(ber(0xa0, a, b, c))).toBe(text)
    expect(attempt(der(0xa0, ber(0x24, a, der(0x24, b)), c))).toBe(text)
    expect(codeOf(() => attempt(der(0xa0, a, integer(1), c)))).toBe('malformed')
    expect(codeOf(() => attempt(octets(body)))).toBe('malformed')
    let deep: Buffer = c
    for (let i = 0; i < 40; i++) deep = ber(0x24, deep)
    expect(codeOf(() => attempt(ber(0xa0, a, deep)))).toBe('malformed')
    expect(codeOf(() => attempt(Buffer.alloc(0)))).toBe('unsupported')
  })

  test('OAEP parameters are read, never assumed', () => {
    const dataKey = randomBytes(32)
    const gcmOf = (algorithm: Uint8Array, wrapped: Uint8Array) =>
      messageOf({
        recipients: [recipientOf(oldKey, dataKey, { algorithm, wrapped })],
        algorithm: der(0x30, oid('2.16.840.1.101.3.4.1.42'), octets(randomBytes(16))),
        content: der(0x80, Buffer.alloc(16)),
      })
    const oaepOid = oid('1.2.840.113549.1.1.7')
    const wrapped = wrapOaep(dataKey, { hash: 'sha1', mgf1Hash: 'sha1', label: new Uint8Array() })
    const outcome = (algorithm: Uint8Array) => {
      const value = cms.recognize([gcmOf(algorithm, wrapped)])
      return [value?.wrapping, codeOf(() => value?.open(keySet(oldKey)))]
    }
    expect(outcome(der(0x30, oaepOid, der(0x30)))).toEqual(['RSA-OAEP sha1', 'cannot_open'])
    expect(outcome(der(0x30, oaepOid))).toEqual(['1.2.840.113549.1.1.7', 'malformed'])
    expect(outcome(der(0x30, oaepOid, der(0x05)))).toEqual(['1.2.840.113549.1.1.7', 'malformed'])
    const md5 = der(0xa0, der(0x30, oid('1.2.840.113549.2.5')))
    expect(outcome(der(0x30, oaepOid, der(0x30, md5)))).toEqual(['1.2.840.113549.1.1.7', 'unsupported'])
    const otherMask = der(0xa1, der(0x30, oid('1.2.3'), der(0x30, oid('1.3.14.3.2.26'))))
    expect(outcome(der(0x30, oaepOid, der(0x30, otherMask)))[1]).toBe('unsupported')
    const otherLabel = der(0xa2, der(0x30, oid('1.2.3'), octets(Buffer.from('x'))))
    expect(outcome(der(0x30, oaepOid, der(0x30, otherLabel)))[1]).toBe('unsupported')
  })
})
