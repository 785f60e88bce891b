/** Private keys as ssh-keygen writes them: openssh-key-v1 (PROTOCOL.key of OpenSSH), RSA, without a passphrase. */

import type { KeyObject } from 'node:crypto'

import { PrivateKeyError } from './private-key-error.ts'
import { rsaKeyOf } from './rsa-numbers.ts'

const magic = 'openssh-key-v1\0'

/**
 * The RSA key of an `OPENSSH PRIVATE KEY`.
 *
 * @throws PrivateKeyError `not_rsa` for a key of another type, `not_a_key` for one with a passphrase too.
 */
export function readOpensshKey(pem: string): KeyObject {
  const [, body = ''] = /-----BEGIN OPENSSH PRIVATE KEY-----([^-]*)-----END/u.exec(pem) ?? []
  const fields = new Fields(Buffer.from(body, 'base64'))
  try {
    if (fields.take(magic.length).toString('latin1') !== magic) throw damaged()
    const cipher = fields.text()
    fields.string() // key derivation
    fields.string() // its parameters
    if (fields.number() !== 1) throw damaged()
    fields.string() // public key
    if (cipher !== 'none') {
      throw new PrivateKeyError(
        'not_a_key',
        'it is an OpenSSH key with a passphrase: ssh-keygen -p -m PEM -f COPY makes PEM of a copy',
      )
    }
    return privateKeyOf(new Fields(fields.string()))
  } finally {
    fields.wipe()
  }
}

function privateKeyOf(fields: Fields): KeyObject {
  // The same number twice: a wrong passphrase would tell them apart.
  if (fields.number() !== fields.number()) throw damaged()
  const type = fields.text()
  if (type !== 'ssh-rsa') {
    const shown = /^[\w@.-]{1,64}$/u.test(type) ? type : 'unknown'
    throw new PrivateKeyError('not_rsa', `its type is ${shown}, it is not an RSA private key`)
  }
  const [n, e, d] = [fields.string(), fields.string(), fields.string()]
  fields.string() // of the Chinese remainder theorem
  const key = rsaKeyOf({ n, e, d, p: fields.string(), q: fields.string() })
  if (key === undefined) throw damaged()
  return key
}

/** Strings and numbers of SSH (RFC 4251 §5). */
class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  take(length: number): Buffer {
    const start = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw damaged()
    return this.#bytes.subarray(start, this.#at)
  }

  number(): number {
    return this.take(4).readUInt32BE()
  }

  string(): Buffer {
    return this.take(this.number())
  }

  text(): string {
    return this.string().toString('latin1')
  }

  wipe(): void {
    this.#bytes.fill(0)
  }
}

function damaged(): PrivateKeyError {
  return new PrivateKeyError('not_a_key', 'it begins like an OpenSSH key, and is damaged or cut')
}
