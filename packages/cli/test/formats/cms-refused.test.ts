import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import { cms } from '../../src/formats/cms.ts'
import { jwe } from '../../src/formats/jwe.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { PrivateKey, PrivateKeys } from '../../src/formats/legacy-format.ts'
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
import { keySet, makeJwe, oldKey, openNow, otherKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { runTool } from '../support/tools.ts'

const directory = new Directory()
afterAll(() => directory[Symbol.dispose]())
const mine = certify(directory, { key: oldKey })
const others = certify(directory, { key: otherKey, subject: '/CN=Somebody else' })
const ours = certifiedSet(mine)
const text = 'a secret of some length, longer than a block or two of AES'
const oaepOptions = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256']

function outcome(cell: string | Uint8Array, keys: PrivateKeys = ours): string {
  const value = cms.recognize([cell])
  if (value === undefined) return 'not recognised'
  try {
    return openNow(value, keys).toString()
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

describe('which private key', () => {
  const plain = opensslEncrypt(text, [mine])
  const oaep = opensslEncrypt(text, [mine], { keyOptions: oaepOptions })
  const tagged = opensslEncrypt(text, [mine], { cipher: 'aes-256-gcm' })

  test('the one whose certificate is named, wherever it stands', () => {
    for (const message of [plain, oaep, tagged]) {
      expect(outcome(message, certifiedSet(others, mine))).toBe(text)
      expect(outcome(message, certifiedSet(mine, others))).toBe(text)
    }
  })

  test('a bare key opens what has one recipient, since nothing speaks against it', () => {
    for (const message of [plain, oaep, tagged]) expect(outcome(message, keySet(oldKey))).toBe(text)
  })

  test('of several bare keys one is tried only where a wrong one shows', () => {
    const bare = keySet(otherKey, oldKey)
    expect(outcome(tagged, bare)).toBe(text)
    expect(outcome(oaep, bare)).toBe(text)
    expect(outcome(plain, bare)).toBe('unauthenticated')
    const many = opensslEncrypt(text, [others, mine])
    expect(outcome(many, keySet(oldKey))).toBe('unauthenticated')
  })

  test('keys of another size are not meant', () => {
    const large = certify(directory, { bits: 3072 })
    expect(outcome(plain, keySet(large.key, oldKey))).toBe(text)
    expect(outcome(plain, keySet(large.key))).toBe('no_private_key')
  })

  test('the same key twice is one key', () => {
    expect(outcome(plain, keySet(oldKey, oldKey))).toBe(text)
  })

  test('a renewed certificate does not name what was encrypted for the old one', () => {
    const renewed = certifiedSet(certify(directory, { key: oldKey, subject: '/CN=Renewed' }))
    expect(outcome(tagged, renewed)).toBe(text)
    expect(outcome(oaep, renewed)).toBe(text)
    expect(outcome(plain, renewed)).toBe('no_private_key')
    const keyIds = [cms.recognize([plain])?.keyId ?? '']
    expect(outcome(plain, new PrivateKeySet([{ name: 'said', key: oldKey, keyIds }]))).toBe(text)
  })

  test('what somebody said of key ids goes before certificates', () => {
    const said = new PrivateKeySet([
      { name: 'mine', key: oldKey, keyIds: ['another'], certificates: ours.all[0]?.certificates ?? [] },
    ])
    expect(outcome(tagged, said)).toBe('no_private_key')
  })

  test('two keys whose certificates have one issuer and serial number', () => {
    const first = certify(directory, { key: oldKey, subject: '/', serial: '1' })
    const second = certify(directory, { key: otherKey, subject: '/', serial: '1' })
    const both = certifiedSet(second, first)
    const message = opensslEncrypt(text, [first])
    expect(cms.recognize([message])?.keyId).toBe('serial 01')
    expect(outcome(message, both)).toBe('unauthenticated')
    expect(outcome(message, certifiedSet(first))).toBe(text)
    expect(outcome(opensslEncrypt(text, [first], { cipher: 'aes-128-gcm' }), both)).toBe(text)
    expect(outcome(opensslEncrypt(text, [first], { keyOptions: oaepOptions }), both)).toBe(text)
    // Made of the key itself: the same for no two.
    expect(outcome(opensslEncrypt(text, [first], { args: ['-keyid'] }), both)).toBe(text)
  })

  test('names are compared as names: other string types, case and spaces', () => {
    const shouting = certify(directory, { key: oldKey, subject: '/CN=OLD  ca/O=example', serial: '255' })
    const printable = certify(directory, { key: oldKey, subject: '/CN=Old CA/O=Example', serial: '255' })
    expect(outcome(opensslEncrypt(text, [printable]), certifiedSet(shouting))).toBe(text)
    expect(outcome(opensslEncrypt(text, [mine]), certifiedSet(printable))).toBe('no_private_key')
  })

  test('no key at all', () => {
    for (const message of [plain, oaep, tagged]) expect(outcome(message, keySet())).toBe('no_private_key')
  })

  test('a wrong key is never a silent success where a tag or OAEP tells, 100 times', () => {
    const wrong = new PrivateKeySet([
      { name: 'wrong', key: otherKey, keyIds: [cms.recognize([plain])?.keyId ?? ''] },
    ])
    for (let i = 0; i < 100; i++) {
      expect(outcome(tagged, wrong)).toBe('cannot_open')
      expect(outcome(oaep, wrong)).toBe('cannot_open')
    }
    // CBC behind RSAES-PKCS1-v1_5 may give garbage: that is what this says, and the engine asks before it opens.
    expect(cms.recognize([plain])?.isAuthenticated).toBe(false)
    expect(cms.recognize([oaep])?.isAuthenticated).toBe(false)
  })
})

describe('what is not read is named', () => {
  const messageOfCipher = (algorithm: Uint8Array) =>
    messageOf({
      recipients: [recipientOf(oldKey, Buffer.alloc(16))],
      algorithm,
      content: der(0x80, Buffer.alloc(16)),
    })
  const problem = (message: Uint8Array): string => {
    const value = cms.recognize([message])
    try {
      return value === undefined ? 'not recognised' : openNow(value, keySet(oldKey)).toString()
    } catch (error) {
      return String(error)
    }
  }

  test('ciphers', () => {
    const rc2 = der(0x30, oid('1.2.840.113549.3.2'), der(0x30, integer(58), octets(Buffer.alloc(8))))
    expect(problem(messageOfCipher(rc2))).toMatch(/content encryption with RC2 is not read/)
    const des = der(0x30, oid('1.3.14.3.2.7'), octets(Buffer.alloc(8)))
    expect(problem(messageOfCipher(des))).toMatch(/with DES is not read/)
    const unknown = der(0x30, oid('1.2.3.4'), octets(Buffer.alloc(8)))
    expect(problem(messageOfCipher(unknown))).toMatch(/with 1\.2\.3\.4 is not read/)
    expect(cms.recognize([messageOfCipher(rc2)])?.body).toBe('RC2')
  })

  test('recipients', () => {
    const password = runTool(
      'openssl',
      ['cms', '-encrypt', '-aes256', '-pwri_password', 'x', '-outform', 'DER'],
      {
        input: text,
      },
    )
    expect(problem(password)).toMatch(/recipient by password is not read/)
    const secret = ['-secretkey', '00112233445566778899AABBCCDDEEFF', '-secretkeyid', '01']
    const kek = runTool('openssl', ['cms', '-encrypt', '-aes256', ...secret, '-outform', 'DER'], {
      input: text,
    })
    expect(problem(kek)).toMatch(/recipient by key encryption key is not read/)
    writeFileSync(
      directory.file('ec.pem'),
      runTool('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']),
    )
    const ec = [
      'req',
      '-x509',
      '-key',
      directory.file('ec.pem'),
      '-subj',
      '/CN=EC',
      '-out',
      directory.file('ec.crt'),
    ]
    runTool('openssl', ec)
    const agreed = ['cms', '-encrypt', '-aes256', '-outform', 'DER', '-recip', directory.file('ec.crt')]
    expect(problem(runTool('openssl', agreed, { input: text }))).toMatch(
      /recipient by key agreement is not read/,
    )
    expect(cms.recognize([password])).toMatchObject({ keyId: undefined, wrapping: 'password' })
    // Beside one that is read it does no harm.
    const both = runTool('openssl', [...agreed, '-recip', mine.certificateFile], { input: text })
    expect(outcome(both)).toBe(text)
    const quoted = 'Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: quoted-printable\n\nx'
    expect(outcome(quoted)).toBe('not recognised')
  })

  test('SignedAndEnvelopedData of PKCS #7 version 1.5', () => {
    const type = '1.2.840.113549.1.7.4'
    const algorithm = der(0x30, oid('2.16.840.1.101.3.4.1.2'), octets(Buffer.alloc(16)))
    const message = messageOf({ type, algorithm, content: der(0x80, Buffer.alloc(16)) })
    expect(problem(message)).toMatch(/SignedAndEnvelopedData is not read/)
    expect(outcome(message)).toBe('unsupported')
  })

  test('content kept elsewhere', () => {
    const algorithm = der(0x30, oid('2.16.840.1.101.3.4.1.2'), octets(Buffer.alloc(16)))
    const recipients = [recipientOf(oldKey, Buffer.alloc(16))]
    expect(outcome(messageOf({ recipients, algorithm, content: Buffer.alloc(0) }))).toBe('unsupported')
  })
})

describe('broken messages', () => {
  const gcm = opensslEncrypt(text, [mine], { cipher: 'aes-256-gcm' })
  const stream = opensslEncrypt(text, [mine], { args: ['-stream'] })

  test('bytes after the end', () => {
    for (const message of [gcm, stream]) {
      expect(outcome(Buffer.concat([message, Buffer.alloc(1)]))).toBe('malformed')
      expect(outcome(Buffer.concat([message, message]))).toBe('malformed')
    }
    const pem = opensslEncrypt(text, [mine], { form: 'PEM' }).toString()
    expect(outcome(`${pem}\n \n`)).toBe(text)
    expect(outcome(`${pem}x`)).toBe('malformed')
    expect(outcome(pem + pem)).toBe('malformed')
    expect(outcome(pem.replace(/-----END CMS-----/, '-----END PKCS7-----'))).toBe('malformed')
    expect(outcome(pem.replace(/-----END[^]*/, ''))).toBe('malformed')
    expect(outcome(pem.replace(/\n(.)/, '\n=$1'))).not.toBe(text)
  })

  test('cut off anywhere', () => {
    for (const message of [gcm, stream]) {
      expect(outcome(message)).toBe(text)
      for (let length = 40; length < message.length; length++) {
        expect(outcome(message.subarray(0, length))).toBe('malformed')
      }
    }
  })

  test('every altered byte behind the recipients of a message with a tag', () => {
    const start = gcm.lastIndexOf(oid('1.2.840.113549.1.7.1')) + 11
    for (let at = start; at < gcm.length; at++) {
      const altered = Buffer.from(gcm)
      altered[at] = (altered[at] ?? 0) ^ 0x01
      expect(['malformed', 'cannot_open', 'unsupported']).toContain(outcome(altered))
    }
  })

  test('a tag of another length than it says', () => {
    const message = authEnveloped(Buffer.from(text), oldKey, { tagBytes: 16 })
    const shorter = Buffer.concat([message.subarray(0, -18), der(0x04, message.subarray(-16, -4))])
    // The outer lengths are too long now, which is said first.
    expect(outcome(shorter, keySet(oldKey))).toBe('malformed')
  })

  test('more than 64 MiB of plaintext', () => {
    const body = der(0x80, Buffer.alloc(64 * 1024 * 1024 + 32))
    const algorithm = der(0x30, oid('2.16.840.1.101.3.4.1.2'), octets(Buffer.alloc(16)))
    const recipients = [recipientOf(oldKey, Buffer.alloc(16))]
    expect(outcome(messageOf({ recipients, algorithm, content: body }))).toBe('limit_exceeded')
  })

  test('many recipients, and many parts of the content, are bounded in time and memory', () => {
    const algorithm = der(0x30, oid('2.16.840.1.101.3.4.1.2'), octets(Buffer.alloc(16)))
    const recipient = recipientOf(otherKey, Buffer.alloc(16))
    const content = der(0x80, Buffer.alloc(16))
    const recipients = Array.from({ length: 1001 }, () => recipient)
    expect(outcome(messageOf({ recipients, algorithm, content }))).toBe('limit_exceeded')
    const part = octets(Buffer.alloc(1))
    const parts = Buffer.alloc(12 * 1024 * 1024, part)
    const before = process.memoryUsage().arrayBuffers
    const many = messageOf({ recipients: [recipient], algorithm, content: ber(0xa0, parts) })
    expect(outcome(many, keySet(oldKey))).toBe('no_private_key')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(512 * 1024 * 1024)
  })

  const seeds = [
    gcm,
    stream,
    opensslEncrypt('x', [mine, others], { keyOptions: oaepOptions }),
    opensslEncrypt(text, [mine], { args: ['-stream', '-keyid'] }),
    authEnveloped(Buffer.from(text), oldKey, { attributes: der(0x30, oid('1.2.3'), der(0x31, integer(1))) }),
    Buffer.from(mine.certificatePem.replaceAll(/-----[^-]+-----|\n/g, ''), 'base64'),
  ]
  const mutation = fc.record({
    kind: fc.constantFrom('set', 'cut', 'insert', 'repeat'),
    at: fc.nat(),
    byte: fc.nat(255),
  })
  const mutate = (bytes: Buffer, { kind, at, byte }: { kind: string; at: number; byte: number }): Buffer => {
    const place = bytes.length === 0 ? 0 : at % bytes.length
    const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)]
    if (kind === 'cut') return Buffer.concat([before, after.subarray(byte % 8)])
    if (kind === 'insert') return Buffer.concat([before, Buffer.from([byte]), after])
    if (kind === 'repeat') return Buffer.concat([before, after.subarray(0, byte), after])
    return Buffer.concat([before, Buffer.from([byte]), after.subarray(1)])
  }

  test('mutated messages and certificates throw nothing but a LegacyError', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        (seed, mutations) => {
          const bytes = mutations.reduce(mutate, Buffer.from(seed))
          const key: PrivateKey = {
            name: 'mutated',
            modulusBytes: 256,
            publicKey: bytes,
            certificates: [bytes],
            unwrapOaep: () => undefined,
            unwrapPkcs1: () => undefined,
          }
          for (const cell of [bytes, bytes.toString('base64'), bytes.toString('latin1')]) {
            const value = cms.recognize([cell])
            expect(value?.keyId?.length ?? 0).toBeLessThan(100_000)
            for (const keys of [keySet(oldKey), ours]) outcome(cell, keys)
          }
          outcome(gcm, { all: [key], candidates: () => [key] })
        },
      ),
      { numRuns: 1500 },
    )
  })

  test('no bytes take long or much memory: lengths and depths are looked at first', () => {
    const header = gcm.subarray(0, gcm.lastIndexOf(oid('1.2.840.113549.1.7.1')))
    for (const length of [
      '8400ffffff',
      '88001fffffffffffff',
      '88ffffffffffffffff',
      '8900ffffffffffffffff',
      'ff',
      '1f00',
    ]) {
      expect(outcome(Buffer.concat([header, Buffer.from('30' + length, 'hex')]))).toBe('malformed')
    }
    const deep = Buffer.concat([
      Buffer.from('3080', 'hex'),
      oid('1.2.840.113549.1.7.3'),
      Buffer.alloc(200_000, '3080', 'hex'),
    ])
    expect(outcome(deep)).toBe('malformed')
  })
})

describe('neighbours are not taken for it', () => {
  test('by their bytes and as text', async () => {
    const certificate = runTool('openssl', ['x509', '-in', mine.certificateFile, '-outform', 'DER'])
    writeFileSync(directory.file('key.pem'), mine.keyPem)
    const key = directory.file('key.pem')
    const store = ['pkcs12', '-export', '-inkey', key, '-in', mine.certificateFile, '-passout', 'pass:x']
    const sign = ['cms', '-sign', '-signer', mine.certificateFile, '-inkey', key]
    const neighbours: [string, string | Uint8Array][] = [
      ['a certificate', certificate],
      ['a certificate, PEM', mine.certificatePem],
      ['a private key', mine.keyPem],
      ['a private key, DER', oldKey.export({ type: 'pkcs8', format: 'der' })],
      ['PKCS #12', runTool('openssl', store)],
      ['SignedData', runTool('openssl', [...sign, '-nodetach', '-outform', 'DER'], { input: text })],
      ['SignedData, PEM', runTool('openssl', [...sign, '-nodetach', '-outform', 'PEM'], { input: text })],
      [
        'SignedData, S/MIME',
        runTool('openssl', [...sign, '-nodetach', '-outform', 'SMIME'], { input: text }),
      ],
      ['a signed mail', runTool('openssl', [...sign, '-outform', 'SMIME'], { input: text })],
      [
        'EncryptedData',
        runTool(
          'openssl',
          ['cms', '-EncryptedData_encrypt', '-aes256', '-secretkey', '00'.repeat(32), '-outform', 'DER'],
          { input: text },
        ),
      ],
      ['Data', runTool('openssl', ['cms', '-data_create', '-outform', 'DER'], { input: text })],
      ['JWE', await makeJwe(text)],
      ['age', 'age-encryption.org/v1\n-> ssh-rsa mhir0Q\n'],
      ['age, armoured', '-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n'],
      ['OpenPGP', '-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n'],
      ['OpenPGP, binary', Buffer.from('85010c03', 'hex')],
      ['eyaml', `ENC[PKCS7,${opensslEncrypt(text, [mine]).toString('base64')}]`],
      ['base64 of text', Buffer.from('0 is the first character of this text').toString('base64')],
      ['text', 'MIME is what this note is about'],
      ['a word', 'MIIB'],
      ['a mail', 'Subject: hello\n\nbody'],
      ['nothing', ''],
      ['one byte', Buffer.from([0x30])],
      ['random bytes', randomBytes(300)],
    ]
    for (const [what, cell] of neighbours) expect([what, cms.recognize([cell])]).toEqual([what, undefined])
    for (const cell of [null, 7n, 1.5]) expect(cms.recognize([cell])).toBeUndefined()
  })

  test('and it is not taken for JWE', () => {
    const pem = opensslEncrypt(text, [mine], { form: 'PEM' }).toString()
    expect(jwe.recognize([pem])).toBeUndefined()
    expect(readFileSync(mine.certificateFile, 'utf8')).toBe(mine.certificatePem)
  })
})
