import { mkdirSync, writeFileSync } from 'node:fs'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { cms } from '../../src/formats/cms.ts'
import { certifiedSet, certify } from '../support/cms.ts'
import type { CertifiedKey } from '../support/cms.ts'
import { oldKey, openNow } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { hasTool, runTool } from '../support/tools.ts'

describe.skipIf(!hasTool('gpgsm'))('what gpgsm writes', () => {
  const directory = new Directory()
  const env = { GNUPGHOME: directory.file('gnupg') }
  let mine: CertifiedKey
  let fingerprint = ''
  beforeAll(() => {
    mine = certify(directory, { key: oldKey })
    const shown = ['x509', '-in', mine.certificateFile, '-noout', '-fingerprint', '-sha1']
    fingerprint = runTool('openssl', shown).toString().trim().replace(/^.*=/, '')
    mkdirSync(env.GNUPGHOME, { mode: 0o700 })
    writeFileSync(`${env.GNUPGHOME}/trustlist.txt`, `${fingerprint} S relax\n`)
    runTool('gpgsm', ['--batch', '--import', mine.certificateFile], { env })
  })
  afterAll(() => {
    runTool('gpgconf', ['--homedir', env.GNUPGHOME, '--kill', 'all'])
    directory[Symbol.dispose]()
  })
  const encrypt = (plaintext: string, args: readonly string[]) =>
    runTool(
      'gpgsm',
      ['--batch', '--disable-crl-checks', ...args, '--encrypt', '-r', fingerprint, '-o', '-'],
      {
        input: plaintext,
        env,
      },
    )

  test.each(['AES', 'AES192', 'AES256', '3DES'])(
    '%s, of indefinite length: DER, its own PEM, base64',
    (cipher) => {
      for (const plaintext of ['', 'x', 'lines of text\n'.repeat(10_000)]) {
        for (const form of [[], ['--armor'], ['--base64']]) {
          const message = encrypt(plaintext, ['--cipher-algo', cipher, ...form])
          const value = cms.recognize([message])
          expect(value?.keyId).toMatch(/^serial [0-9a-f]+, issuer CN=Old CA, O=Example$/)
          expect(value === undefined ? '' : openNow(value, certifiedSet(mine)).toString()).toBe(plaintext)
        }
      }
    },
  )
})
