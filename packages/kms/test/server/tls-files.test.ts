import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { readTlsFiles } from '../../src/server/tls-files.ts'
import { makeCertificate, writeCertificate } from '../support/certificate.ts'
import { temporaryDirectory } from '../support/files.ts'

test('a certificate and its key are read', () => {
  const files = writeCertificate(temporaryDirectory())
  const { certificate, privateKey, leaf } = readTlsFiles(files)
  expect([certificate, privateKey]).toEqual([files.certificate, files.privateKey])
  expect(leaf.subject).toBe('CN=localhost')
})

test.each<[string, (files: ReturnType<typeof writeCertificate>) => void, RegExp]>([
  [
    'a key that others may read',
    ({ keyFile }) => chmodSync(keyFile, 0o640),
    /tls\.key may be read or written by others/u,
  ],
  [
    'another key',
    ({ keyFile }) => writeFileSync(keyFile, makeCertificate().privateKey),
    /tls\.key is not the key of/u,
  ],
  ['no certificate', ({ certFile }) => writeFileSync(certFile, 'x'), /tls\.crt is no certificate in PEM/u],
  ['no key', ({ keyFile }) => writeFileSync(keyFile, 'x'), /tls\.key is no private key in PEM/u],
  [
    'the two exchanged',
    (files) => void ([files.certFile, files.keyFile] = [files.keyFile, files.certFile]),
    /others|no certificate/u,
  ],
])('%s is refused by name', (_, spoil, problem) => {
  const files = { ...writeCertificate(temporaryDirectory()) }
  spoil(files)
  expect(() => readTlsFiles(files)).toThrow(
    expect.objectContaining({ code: 'bad_config', message: expect.stringMatching(problem) as string }),
  )
})

test('a file that is not there is named', () => {
  const files = writeCertificate(temporaryDirectory())
  const certFile = join(files.certFile, '..', 'other.crt')
  expect(() => readTlsFiles({ ...files, certFile })).toThrow(`${certFile} cannot be read (ENOENT)`)
})
