import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'

import { layoutEntry, toLayout } from '../../src/commands/reencrypt-layout.ts'

const read = (yaml: string) => toLayout('mine', layoutEntry.parse(parse(yaml)), 'body')

const base = `
wrapped-key: { column: wrapped_key, encoding: base64 }
iv: front
ciphertext: { encoding: base64 }
pkcs1: true
cipher: aes-256-cbc
`

describe('a layout', () => {
  test('with encryption key and MAC key', () => {
    expect(read(`${base}mac: { hash: sha256, key: behind, place: end }`)).toMatchObject({
      padding: 'pkcs1',
      iv: 'front',
      tag: 'none',
      mac: {
        hash: 'sha256',
        key: 'behind',
        keyBytes: 32,
        place: 'end',
        bytes: 32,
        covers: ['iv', 'ciphertext'],
      },
    })
    const cut =
      'mac: { hash: sha512, key: front, key-bytes: 64, place: { column: mac, encoding: hex }, bytes: 32, covers: [aad, iv, ciphertext] }\naad: [{ column: owner, encoding: utf8 }]'
    expect(read(`${base}${cut}`)).toMatchObject({
      mac: {
        bytes: 32,
        keyBytes: 64,
        place: { column: 'mac', encoding: 'hex' },
        covers: ['aad', 'iv', 'ciphertext'],
      },
      aad: [{ column: 'owner', encoding: 'utf8' }],
    })
  })

  test('of Fernet, of a password line, and of RSA alone', () => {
    const noIv = base.replace('iv: front\n', '')
    const fernet = noIv.replace('aes-256-cbc', 'fernet')
    expect(read(`${fernet}data-key: base64url`)).toMatchObject({
      cipher: 'fernet',
      iv: 'none',
      dataKeyEncoding: 'base64url',
    })
    expect(read(`${noIv}password: { kdf: evp, digest: md5 }`).password).toEqual({
      digest: 'md5',
      iterations: undefined,
    })
    expect(read(`${noIv}password: { kdf: pbkdf2, digest: sha256, iterations: 10000 }`).password).toEqual({
      digest: 'sha256',
      iterations: 10000,
    })
    const rsa = 'ciphertext: { encoding: binary }\noaep: { hash: sha1, mgf1-hash: sha1 }\ncipher: rsa'
    expect(read(rsa)).toMatchObject({
      wrappedKey: undefined,
      cipher: 'rsa',
      padding: { hash: 'sha1', mgf1Hash: 'sha1' },
    })
  })

  test('with several recipients, and a wrapped vector', () => {
    const list =
      'wrapped-key: [{ key-id: a, column: one, encoding: hex }, { key-id: b, column: two, encoding: hex }]'
    expect(read(base.replace(/wrapped-key: .*/, list)).wrappedKey).toEqual([
      { keyId: 'a', place: { column: 'one', encoding: 'hex' } },
      { keyId: 'b', place: { column: 'two', encoding: 'hex' } },
    ])
    const byKeyId = 'wrapped-key: { by-key-id: { member: keys, encoding: base64 } }'
    expect(read(base.replace(/wrapped-key: .*/, byKeyId)).wrappedKey).toEqual({
      byKeyId: { column: 'body', member: 'keys', encoding: 'base64' },
    })
    expect(read(base.replace('iv: front', 'iv: { wrapped: { column: iv, encoding: hex } }')).iv).toEqual({
      wrapped: { column: 'iv', encoding: 'hex' },
    })
  })

  test('with a witness of any kind', () => {
    for (const kind of ['md5', 'sha1', 'sha256', 'sha512'])
      expect(read(`${base}witness: { ${kind}: { column: d, encoding: hex } }`).witness).toEqual({
        kind,
        place: { column: 'd', encoding: 'hex' },
      })
    expect(read(`${base}witness: { text: true }`).witness).toEqual({ kind: 'text' })
  })

  test('with a short tag', () => {
    const gcm = `${base.replace('cbc', 'gcm')}tag: end\ntag-bytes: 12`
    expect(read(gcm)).toMatchObject({ tagBytes: 12, tag: 'end' })
    expect(read(`${gcm.replace('12', '8')}\nwitness: { json: true }`)).toMatchObject({ tagBytes: 8 })
    expect(() => read(`${gcm}\nwitness: { json: true }`)).toThrow(/needs no witness/)
    expect(() => layoutEntry.parse(parse(gcm.replace('12', '9')))).toThrow()
  })

  test.each([
    ['no padding', base.replace('pkcs1: true\n', ''), /nothing says how RSA pads/],
    ['two paddings', `${base}oaep: { hash: sha1, mgf1-hash: sha1 }`, /or two things do/],
    ['no wrapped key', base.replace(/wrapped-key: .*\n/, ''), /aes-256-cbc needs wrapped-key/],
    ['no vector', base.replace('iv: front\n', ''), /aes-256-cbc needs iv/],
    ['a vector with Fernet', base.replace('aes-256-cbc', 'fernet'), /fernet does not go with iv/],
    ['a wrapped key with RSA alone', base.replace('aes-256-cbc', 'rsa'), /rsa does not go with wrapped-key/],
    [
      'a vector with a password line',
      `${base}password: { kdf: evp, digest: md5 }`,
      /a password line does not go with iv/,
    ],
    [
      'a password line with GCM',
      `${base.replace('cbc', 'gcm')}tag: end\npassword: { kdf: evp, digest: md5 }`,
      /does not go with password/,
    ],
    ['AAD that nothing covers', `${base}aad: [{ text: x }]`, /neither tag nor additional data/],
    [
      'a MAC longer than its hash',
      `${base}mac: { hash: sha1, key: same, place: end, bytes: 32 }`,
      /has 20 bytes, not 32/,
    ],
    ['a tag-bytes without a tag', `${base}tag-bytes: 12`, /does not go with tag-bytes/],
  ])('with %s is refused', (_, yaml, message) => {
    expect(() => read(yaml)).toThrow(message)
  })

  test('whose MAC leaves the ciphertext out is no layout', () => {
    const mac = `${base}mac: { hash: sha256, key: same, place: end, covers: [iv] }`
    expect(() => layoutEntry.parse(parse(mac))).toThrow(/leaves the ciphertext out/)
  })
})
