import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { cmsStreamFormat } from '../../src/formats/cms-stream.ts'
import { cms } from '../../src/formats/cms.ts'
import type { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { certifiedSet, certify } from '../support/cms.ts'
import { oldKey, openNow } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { hasTool, runTool } from '../support/tools.ts'

/** Where Debian puts them. */
const libraries = ['bcpkix', 'bcprov', 'bcutil'].map((name) => `/usr/share/java/${name}.jar`)

function hasBouncyCastle(): boolean {
  // The compiler: the program is run from its source.
  if (hasTool('javac') && libraries.every((path) => existsSync(path))) return true
  if (process.env['CI'] !== undefined) throw new Error('CI needs BouncyCastle: see .ci/tools')
  return false
}

describe.skipIf(!hasBouncyCastle())('what BouncyCastle writes', () => {
  const directory = new Directory()
  const plaintext = Buffer.from('a line of some file\n'.repeat(400))
  let keys: PrivateKeySet
  const messages = directory.file('messages')
  beforeAll(() => {
    const mine = certify(directory, { key: oldKey })
    keys = certifiedSet(mine)
    mkdirSync(messages)
    writeFileSync(directory.file('plaintext'), plaintext)
    const program = join(import.meta.dirname, '../support/CmsByBouncyCastle.java')
    const args = [mine.certificateFile, directory.file('plaintext'), messages]
    runTool('java', ['-cp', libraries.join(':'), program, ...args])
  })
  afterAll(() => directory[Symbol.dispose]())
  const ciphers = ['aes-128-gcm', 'aes-256-gcm', 'aes-128-ccm', 'aes-256-ccm']
  const names = ['authenticated', 'attributes', 'enveloped'].flatMap((kind) =>
    ciphers.map((cipher) => ({ kind, cipher })),
  )

  test.each([...names, { kind: 'stream', cipher: 'aes-256-cbc' }])(
    '$kind $cipher',
    async ({ kind, cipher }) => {
      const message = readFileSync(join(messages, `${kind}-${cipher}`))
      const value = cms.recognize([message])
      expect(value).toMatchObject({
        body: cipher,
        isAuthenticated: kind !== 'stream',
        wrapping: kind === 'stream' ? 'RSA-OAEP sha256, MGF1 sha1, label' : 'RSA PKCS #1 v1.5',
      })
      if (value === undefined) throw new Error('not recognised')
      expect(openNow(value, keys).equals(plaintext)).toBe(true)
      const stream = cmsStreamFormat().recognize(message, { name: 'x' })
      const pieces: Uint8Array[] = []
      async function* source() {
        for (let at = 0; at < message.length; at += 999) yield message.subarray(at, at + 999)
      }
      for await (const piece of stream?.open(source(), keys) ?? []) pieces.push(piece)
      expect(Buffer.concat(pieces).equals(plaintext)).toBe(true)
    },
  )

  test('one message of each kind', () => {
    expect(readdirSync(messages).length).toBe(names.length + 1)
  })
})
