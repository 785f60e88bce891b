/**
 * PKCS #12 (RFC 7292): what key stores of Java, Windows and OpenSSL export. Read by node-forge, since node:crypto gives
 * no private key out of one, and old files are encrypted with RC2 and triple DES, which OpenSSL 3 refuses.
 */

import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import forge from 'node-forge'

import { PrivateKeyError } from './private-key-error.ts'

/** What is of use in a store. */
export interface Pkcs12Content {
  readonly keys: readonly { readonly key: KeyObject; readonly alias: string | undefined }[]
  /** DER, in the order of the store. */
  readonly certificates: readonly Uint8Array[]
}

/** True for a PFX: a sequence that begins with version 3 (RFC 7292 §4). */
export function isPkcs12(bytes: Uint8Array): boolean {
  const [tag, length = 0] = bytes
  if (tag !== 0x30) return false
  // Long form: so many bytes of length follow; 0x80 alone is the indefinite form.
  const at = 2 + (length > 0x80 ? length - 0x80 : 0)
  return bytes[at] === 0x02 && bytes[at + 1] === 0x01 && bytes[at + 2] === 0x03
}

/** @throws PrivateKeyError `needs_passphrase`, `wrong_passphrase`, `not_a_key`. */
export function readPkcs12(bytes: Uint8Array, passphrase: string | undefined): Pkcs12Content {
  const store = open(bytes, passphrase)
  const bags = store.safeContents.flatMap(({ safeBags }) => safeBags)
  const keys = bags.flatMap(({ key, asn1, attributes }) => {
    // A key of another kind than RSA is kept as ASN.1, an encrypted one as nothing.
    if (!key && !isPrivateKeyInfo(asn1)) return []
    const info = key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(key)) : asn1
    const alias: unknown = (attributes as { friendlyName?: unknown[] }).friendlyName?.[0]
    return [{ key: keyOf(info), alias: typeof alias === 'string' ? alias : undefined }]
  })
  const certificates = bags.flatMap(({ cert }) => (cert ? [derOf(forge.pki.certificateToAsn1(cert))] : []))
  return { keys, certificates }
}

function open(bytes: Uint8Array, passphrase: string | undefined): forge.pkcs12.Pkcs12Pfx {
  let content: forge.asn1.Asn1
  try {
    content = forge.asn1.fromDer(Buffer.from(bytes).toString('latin1'))
  } catch {
    throw new PrivateKeyError('not_a_key', 'it begins like PKCS #12, and is damaged or cut')
  }
  try {
    // An empty passphrase is spelt in two ways, and some stores have none at all.
    return forge.pkcs12.pkcs12FromAsn1(content, false, passphrase ?? '')
  } catch {
    if (passphrase === undefined) {
      throw new PrivateKeyError(
        'needs_passphrase',
        'it is a PKCS #12 store that is protected by a passphrase',
      )
    }
    // PBES2 takes a passphrase as UTF-8 and the MAC as UTF-16, and the library gives both the same.
    const isAscii = !/[^ -~]/u.test(passphrase)
    const more = isAscii
      ? ''
      : '; one beyond ASCII is not read: openssl pkcs12 -in STORE -out COPY makes PEM of it'
    throw new PrivateKeyError(
      'wrong_passphrase',
      `it is a PKCS #12 store that does not open with this passphrase${more}`,
    )
  }
}

function isPrivateKeyInfo(asn1: unknown): asn1 is forge.asn1.Asn1 {
  return typeof asn1 === 'object' && asn1 !== null
}

function keyOf(info: forge.asn1.Asn1): KeyObject {
  const key = Buffer.from(derOf(info))
  try {
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  } catch {
    throw new PrivateKeyError('not_a_key', 'it is a PKCS #12 store with a private key that cannot be read')
  } finally {
    key.fill(0)
  }
}

function derOf(asn1: forge.asn1.Asn1): Uint8Array {
  return Uint8Array.from(Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'latin1'))
}
