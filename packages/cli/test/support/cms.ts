/** CMS messages: by `openssl`, and by a writer of our own for what `openssl` does not write. */

import { createCipheriv, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto'
import type { CipherCCMTypes, KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'

import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import type { Directory } from './migration.ts'
import { runTool } from './tools.ts'

/** A private key with a certificate of its own, in files. */
export interface CertifiedKey {
  readonly key: KeyObject
  readonly keyPem: string
  readonly certificatePem: string
  readonly certificateFile: string
}

let made = 0

/** @param options.serial In decimal. @param options.subject As `openssl req -subj` takes it. */
export function certify(
  directory: Directory,
  { bits = 2048, subject = `/CN=Old CA/O=Example`, serial, key }: Partial<CertifyOptions> = {},
): CertifiedKey {
  const privateKey = key ?? generateKeyPairSync('rsa', { modulusLength: bits }).privateKey
  const name = directory.file(`key-${made++}`)
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  writeFileSync(`${name}.pem`, keyPem)
  const args = ['req', '-x509', '-key', `${name}.pem`, '-subj', subject, '-days', '3650']
  const certificatePem = runTool('openssl', [
    ...args,
    ...(serial === undefined ? [] : ['-set_serial', serial]),
  ]).toString()
  writeFileSync(`${name}.crt`, certificatePem)
  return { key: privateKey, keyPem, certificatePem, certificateFile: `${name}.crt` }
}

interface CertifyOptions {
  readonly bits: number
  readonly subject: string
  readonly serial: string
  readonly key: KeyObject
}

/** The keys as files with their certificates beside them give them. */
export function certifiedSet(...keys: readonly CertifiedKey[]): PrivateKeySet {
  const found = keys.flatMap(({ keyPem, certificatePem }) =>
    readKeyFile(Buffer.from(keyPem + certificatePem), undefined),
  )
  return new PrivateKeySet(found.map((one, index) => ({ ...one, name: `key ${index}`, keyIds: [] })))
}

export interface EncryptOptions {
  readonly cipher?: string
  /** `DER`, `PEM`, `SMIME`. */
  readonly form?: string
  readonly args?: readonly string[]
  /** After each certificate. */
  readonly keyOptions?: readonly string[]
  /** Without it `openssl` takes the plaintext for text of a mail. */
  readonly isBinary?: boolean
  readonly program?: 'cms' | 'smime'
}

/** What `openssl cms -encrypt` writes. */
export function opensslEncrypt(
  plaintext: Uint8Array | string,
  recipients: readonly CertifiedKey[],
  {
    cipher = 'aes-256-cbc',
    form = 'DER',
    args = [],
    keyOptions = [],
    isBinary = true,
    program = 'cms',
  }: EncryptOptions = {},
): Buffer {
  const options = keyOptions.flatMap((option) => ['-keyopt', option])
  return runTool(
    'openssl',
    [
      program,
      '-encrypt',
      `-${cipher}`,
      ...(isBinary ? ['-binary'] : []),
      '-outform',
      form,
      ...args,
      ...(program === 'smime'
        ? recipients.map(({ certificateFile }) => certificateFile)
        : recipients.flatMap(({ certificateFile }) => ['-recip', certificateFile, ...options])),
    ],
    { input: plaintext },
  )
}

/** One element, of definite length. */
export function der(identifier: number, ...content: readonly Uint8Array[]): Buffer {
  const all = Buffer.concat(content)
  const digits = all.length < 0x80 ? '' : all.length.toString(16)
  const length = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  const first = all.length < 0x80 ? all.length : 0x80 + length.length
  return Buffer.concat([Buffer.from([identifier, first]), length, all])
}

/** One element of indefinite length. */
export function ber(identifier: number, ...content: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([identifier, 0x80]), ...content, Buffer.from([0, 0])])
}

export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const base128 = (arc: number): number[] => {
    const bytes = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      bytes.unshift(128 + (left % 128))
    return bytes
  }
  return der(0x06, Buffer.from([40 * first + second, ...rest].flatMap(base128)))
}

export const integer = (value: number): Buffer => der(0x02, Buffer.from([value]))
export const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes)

export interface MessageParts {
  readonly type?: string
  readonly recipients?: readonly Uint8Array[]
  readonly algorithm: Uint8Array
  /** The element, with its header. */
  readonly content: Uint8Array
  /** Elements behind the content. */
  readonly tail?: readonly Uint8Array[]
}

export const envelopedType = '1.2.840.113549.1.7.3'
export const authEnvelopedType = '1.2.840.113549.1.9.16.1.23'

export function messageOf({
  type = envelopedType,
  recipients = [],
  algorithm,
  content,
  tail = [],
}: MessageParts): Buffer {
  const info = der(0x30, oid('1.2.840.113549.1.7.1'), algorithm, content)
  const data = der(0x30, integer(0), der(0x31, ...recipients), info, ...tail)
  return der(0x30, oid(type), der(0xa0, data))
}

/** By subject key identifier, RSAES-PKCS1-v1_5 unless told otherwise. */
export function recipientOf(
  key: KeyObject,
  dataKey: Uint8Array,
  {
    algorithm = der(0x30, oid('1.2.840.113549.1.1.1'), der(0x05)),
    wrapped,
    identifier = Buffer.from('id'),
  }: {
    algorithm?: Uint8Array
    wrapped?: Uint8Array
    identifier?: Uint8Array
  } = {},
): Buffer {
  const encrypted = wrapped ?? publicEncrypt({ key: createPublicKey(key), padding: 1 }, dataKey)
  return der(0x30, integer(2), der(0x80, identifier), algorithm, octets(encrypted))
}

const aeads: Readonly<Record<string, string>> = {
  'aes-128-gcm': '2.16.840.1.101.3.4.1.6',
  'aes-256-gcm': '2.16.840.1.101.3.4.1.46',
  'aes-128-ccm': '2.16.840.1.101.3.4.1.7',
  'aes-192-ccm': '2.16.840.1.101.3.4.1.27',
  'aes-256-ccm': '2.16.840.1.101.3.4.1.47',
}

/** An AuthEnvelopedData with attributes under its tag, after RFC 5083 and RFC 5084. */
export function authEnveloped(
  plaintext: Uint8Array,
  key: KeyObject,
  {
    cipher = 'aes-256-gcm',
    attributes,
    tagBytes = 16,
    isTagAtEnd = false,
    saysTagBytes = true,
  }: {
    cipher?: string
    /** Content of the SET OF. */
    attributes?: Uint8Array
    tagBytes?: number
    isTagAtEnd?: boolean
    saysTagBytes?: boolean
  } = {},
): Buffer {
  const dataKey = randomBytes(Number(cipher.slice(4, 7)) / 8)
  const nonce = randomBytes(12)
  // One call for both modes, which differ for the types alone.
  const sealer = createCipheriv(cipher as CipherCCMTypes, dataKey, nonce, { authTagLength: tagBytes })
  if (attributes !== undefined) sealer.setAAD(der(0x31, attributes), { plaintextLength: plaintext.length })
  const ciphertext = Buffer.concat([sealer.update(plaintext), sealer.final()])
  const mac = sealer.getAuthTag()
  const parameters = der(0x30, octets(nonce), ...(saysTagBytes ? [integer(tagBytes)] : []))
  return messageOf({
    type: isTagAtEnd ? envelopedType : authEnvelopedType,
    recipients: [recipientOf(key, dataKey)],
    algorithm: der(0x30, oid(aeads[cipher] ?? ''), parameters),
    content: der(0x80, isTagAtEnd ? Buffer.concat([ciphertext, mac]) : ciphertext),
    tail: isTagAtEnd ? [] : [...(attributes === undefined ? [] : [der(0xa1, attributes)]), octets(mac)],
  })
}
