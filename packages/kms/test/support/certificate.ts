/** Certificates for tests, made on the spot: X.509 (RFC 5280) self-signed with ECDSA P-256, for this machine. */

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TestCertificate {
  readonly certificate: Buffer
  readonly privateKey: Buffer
}

export interface CertificateTimes {
  readonly notBefore?: Date
  readonly notAfter?: Date
}

const dayMs = 86_400_000

export function makeCertificate({ notBefore, notAfter }: CertificateTimes = {}): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))
  const name = sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from('localhost')))))
  const validity = sequence(
    time(notBefore ?? new Date(Date.now() - dayMs)),
    time(notAfter ?? new Date(Date.now() + 365 * dayMs)),
  )
  const names = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])))
  const extensions = sequence(
    sequence(oid('551d13'), der(0x01, Buffer.from([0xff])), octets(sequence(der(0x01, Buffer.from([0xff]))))),
    sequence(oid('551d11'), octets(names)),
  )
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  )
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)])
  return {
    certificate: pem('CERTIFICATE', sequence(body, ecdsaWithSha256, der(0x03, signature))),
    privateKey: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}

/** The same in two files of a directory, the key for its owner only. */
export function writeCertificate(directory: string, made: TestCertificate = makeCertificate()) {
  const certFile = join(directory, 'tls.crt')
  const keyFile = join(directory, 'tls.key')
  writeFileSync(certFile, made.certificate)
  writeFileSync(keyFile, made.privateKey)
  chmodSync(keyFile, 0o600)
  return { certFile, keyFile, ...made }
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'))
}

function octets(content: Buffer): Buffer {
  return der(0x04, content)
}

/** UTCTime until 2049. */
function time(at: Date): Buffer {
  const digits = at.toISOString().replace(/[-:T]|\.\d+/gu, '')
  return der(0x17, Buffer.from(digits.slice(2)))
}

function pem(label: string, bytes: Buffer): Buffer {
  const lines = bytes
    .toString('base64')
    .replace(/(.{64})/gu, '$1\n')
    .trimEnd()
  return Buffer.from(`-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`)
}
