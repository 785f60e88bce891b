import { X509Certificate } from 'node:crypto'

import { afterAll, expect, test } from 'vitest'

import { certificatesOf, readCertificates } from '../../src/legacy-keys/certificates.ts'
import { certify } from '../support/cms.ts'
import { oldKey, oldPem, otherKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'

const directory = new Directory()
afterAll(() => directory[Symbol.dispose]())
const mine = certify(directory, { key: oldKey })
const renewed = certify(directory, { key: oldKey, subject: '/CN=Renewed' })
const others = certify(directory, { key: otherKey })
const derOf = (pem: string) => Uint8Array.from(new X509Certificate(pem).raw)

test('PEM, of one and of many, and DER', () => {
  const text = `Bag Attributes\n${mine.certificatePem}\nsubject=\n${others.certificatePem}`
  expect(readCertificates(Buffer.from(text))).toEqual([mine, others].map((one) => derOf(one.certificatePem)))
  expect(readCertificates(derOf(mine.certificatePem))).toEqual([derOf(mine.certificatePem)])
})

test('none in other files', () => {
  const cut = mine.certificatePem.replace(/\n[^\n]+\n-----END/, '\n-----END')
  for (const text of [oldPem, 'a note', '', cut]) expect(readCertificates(Buffer.from(text))).toEqual([])
})

test('those of a key', () => {
  const all = [others, mine, renewed].map((one) => derOf(one.certificatePem))
  expect(certificatesOf(oldKey, [...all, new Uint8Array(3)])).toEqual(all.slice(1))
  expect(certificatesOf(otherKey, all)).toEqual(all.slice(0, 1))
})
