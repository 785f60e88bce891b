/**
 * What gpg of 2.3 and later, Sequoia and OpenPGP.js write with AEAD. No such program is in Debian 12, so that the messages are by an
 * independent generator: the library `openpgp`, as RFC 9580 §5.13.2 has it.
 */

import { createPublicKey, publicEncrypt, constants, generateKeyPairSync } from 'node:crypto'

import { createMessage, encrypt, readMessage } from 'openpgp'
import { describe, expect, test } from 'vitest'

import { LegacyError } from '../../src/formats/legacy-format.ts'
import { openPgpFormat } from '../../src/formats/openpgp.ts'
import { keySet, oldKey } from '../support/legacy-values.ts'

const openpgp = openPgpFormat()
const algorithms = { aes128: 16, aes192: 24, aes256: 32 } as const
type Algorithm = keyof typeof algorithms

interface SealOptions {
  readonly mode?: string
  readonly algorithm?: Algorithm
  /** Of the version and fingerprint of the key: 0 hides it. */
  readonly idBytes?: number
}

/** The encrypted data with a session key in front, of version 6, anonymous (§5.1.2). */
async function sealed(
  text: string,
  { mode = 'ocb', algorithm = 'aes256', idBytes = 0 }: SealOptions = {},
): Promise<Buffer> {
  const data = Buffer.alloc(algorithms[algorithm], 7)
  const binary = await encrypt({
    message: await createMessage({ binary: Buffer.from(text) }),
    sessionKey: { data, algorithm, aeadAlgorithm: mode } as never,
    format: 'binary',
    config: { aeadProtect: true, aeadChunkSizeByte: 0 },
  } as never)
  const sum = data.reduce((total, byte) => total + byte, 0)
  const message = Buffer.concat([data, Buffer.from([sum >> 8, sum & 0xff])])
  const wrapped = publicEncrypt(
    { key: createPublicKey(oldKey), padding: constants.RSA_PKCS1_PADDING },
    message,
  )
  const zeros = wrapped.findIndex((byte) => byte !== 0)
  const bits = (wrapped.length - zeros) * 8 - Math.clz32(wrapped[zeros] ?? 0) + 24
  const number = Buffer.concat([Buffer.from([bits >> 8, bits & 0xff]), wrapped.subarray(zeros)])
  const id = idBytes === 0 ? [] : [idBytes === 21 ? 4 : 6, ...Buffer.alloc(idBytes - 1, 0xab)]
  const body = Buffer.concat([Buffer.from([6, idBytes, ...id, 1]), number])
  const length = Buffer.alloc(6)
  length[0] = 0xc1
  length[1] = 0xff
  length.writeUInt32BE(body.length, 2)
  return Buffer.concat([length, body, binary])
}

async function codeOf(bytes: Uint8Array, keys = keySet(oldKey)): Promise<string> {
  try {
    await openpgp.recognize([bytes])?.open(keys)
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
  return 'opened'
}

describe('SEIPD version 2', () => {
  const modes = [
    { name: 'EAX', mode: 'eax' },
    { name: 'OCB', mode: 'ocb' },
    { name: 'GCM', mode: 'gcm' },
  ]

  test.each(modes)('$name with every size of AES', async ({ name, mode }) => {
    for (const algorithm of Object.keys(algorithms) as Algorithm[]) {
      for (const text of ['', 'a secret', 'x'.repeat(1000)]) {
        const bytes = await sealed(text, { mode, algorithm })
        const value = openpgp.recognize([bytes])
        const cipher = algorithm === 'aes128' ? 'AES' : algorithm.toUpperCase()
        expect(value).toMatchObject({ body: `${cipher} ${name}`, isAuthenticated: true, keyId: undefined })
        expect(Buffer.from((await value?.open(keySet(oldKey))) ?? []).toString()).toBe(text)
      }
    }
  })

  test('key ids out of fingerprints of version 4 and 6', async () => {
    for (const idBytes of [21, 33]) {
      const bytes = await sealed('a secret', { idBytes })
      expect(openpgp.recognize([bytes])?.keyId).toBe('AB'.repeat(8))
      expect(await codeOf(bytes)).toBe('opened')
    }
  })

  test('cut, altered, or for another key: refused', async () => {
    const bytes = await sealed('x'.repeat(200))
    for (let at = 300; at < bytes.length; at++) {
      expect(await codeOf(bytes.subarray(0, at))).toBe('malformed')
      const altered = Buffer.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ 1
      expect(await codeOf(altered)).toMatch(/^(?:cannot_open|malformed)$/)
    }
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    expect(await codeOf(bytes, keySet(other))).toBe('cannot_open')
    expect(await codeOf(bytes, keySet(other, oldKey))).toBe('opened')
  })

  test('the library agrees on what was made', async () => {
    const message = await readMessage({ binaryMessage: await sealed('a secret') })
    expect(message.getEncryptionKeyIDs()).toHaveLength(1)
  })
})
