/** Certificate and private key from their files, and whether they can serve. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'

import { ServiceError } from '../service/errors.ts'

/** Where certificate and private key are. */
export interface TlsFiles {
  /** PEM: the certificate, then those that vouch for it. */
  readonly certFile: string
  /** PEM; its owner's alone, else it is refused. */
  readonly keyFile: string
}

export interface TlsMaterial {
  readonly certificate: Buffer
  readonly privateKey: Buffer
  /** The service's own, parsed. */
  readonly leaf: X509Certificate
}

/** @throws ServiceError `bad_config`: not there, not PEM, not a pair, or a key that others may read. */
export function readTlsFiles({ certFile, keyFile }: TlsFiles): TlsMaterial {
  const certificate = read(certFile, 'certificate')
  const privateKey = read(keyFile, 'private key of the certificate', true)
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(certificate)
  } catch {
    throw badFile(
      certFile,
      'is no certificate in PEM',
      'give the certificate first, then those that vouch for it',
    )
  }
  let isPair: boolean
  try {
    isPair = leaf.checkPrivateKey(createPrivateKey(privateKey))
  } catch {
    throw badFile(keyFile, 'is no private key in PEM, or is encrypted', 'give it unencrypted, mode 0600')
  }
  if (!isPair) throw badFile(keyFile, `is not the key of ${certFile}`, 'give the two that were made together')
  return { certificate, privateKey, leaf }
}

function read(path: string, what: string, isSecret = false): Buffer {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw badFile(path, `cannot be read (${code})`, `give the file with the ${what}`)
  }
  try {
    if (isSecret && process.platform !== 'win32' && (fstatSync(file).mode & 0o077) !== 0) {
      throw badFile(path, 'may be read or written by others', `chmod 600 ${path}`)
    }
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

function badFile(path: string, problem: string, hint: string): ServiceError {
  return new ServiceError('bad_config', `${path} ${problem}`, { hint })
}
