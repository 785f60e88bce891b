import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { afterAll, describe, expect, test } from 'vitest'

import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { PrivateKeyError } from '../../src/legacy-keys/private-key-error.ts'
import { sshKey } from '../support/age.ts'
import { oldPem } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { hasTool, runTool } from '../support/tools.ts'

describe.skipIf(!hasTool('ssh-keygen'))('keys of ssh-keygen', () => {
  const directory = new Directory()
  afterAll(() => directory[Symbol.dispose]())
  const codeOf = (bytes: Uint8Array, passphrase?: string): string => {
    try {
      readKeyFile(bytes, passphrase)
    } catch (error) {
      if (error instanceof PrivateKeyError) return error.code
      throw error
    }
    return 'read'
  }

  test.each(['1024', '2048', '2049', '3072'])('RSA of %s bits', (bits) => {
    const { file, recipient } = sshKey(directory, ['-t', 'rsa', '-b', bits])
    const [found, ...more] = readKeyFile(readFileSync(file), undefined)
    expect(more).toEqual([])
    const jwk = found === undefined ? {} : createPublicKey(found.key).export({ format: 'jwk' })
    const wire = Buffer.from(recipient.split(' ')[1] ?? '', 'base64')
    expect(wire.includes(Buffer.from(jwk.n ?? 'none', 'base64url'))).toBe(true)
    // The numbers of the Chinese remainder theorem are ours: a signature uses them.
    runTool('ssh-keygen', ['-p', '-q', '-m', 'PEM', '-N', '', '-f', file])
    expect(readKeyFile(readFileSync(file), undefined)[0]?.key.equals(found?.key ?? never())).toBe(true)
  })

  test('beside a PEM key, and those of another type are refused by it', () => {
    const both = readFileSync(sshKey(directory).file, 'utf8') + oldPem
    expect(readKeyFile(Buffer.from(both), undefined)).toHaveLength(2)
    expect(codeOf(readFileSync(sshKey(directory, ['-t', 'ed25519']).file))).toBe('not_rsa')
  })

  test('with a passphrase: the message says what makes one that is read', () => {
    const { file } = sshKey(directory, ['-t', 'rsa', '-b', '2048', '-N', 'open sesame'])
    expect(() => readKeyFile(readFileSync(file), 'open sesame')).toThrow(/ssh-keygen -p -m PEM/)
    runTool('ssh-keygen', ['-p', '-q', '-m', 'PEM', '-P', 'open sesame', '-N', 'open sesame', '-f', file])
    expect(codeOf(readFileSync(file), 'open sesame')).toBe('read')
  })

  test('cut or altered: refused', () => {
    const [, body = ''] = readFileSync(sshKey(directory).file, 'utf8').split(/-----\w[\w ]+-----/u)
    const bytes = Buffer.from(body, 'base64')
    const pem = (content: Uint8Array): Buffer =>
      Buffer.from(
        `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from(content).toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`,
      )
    expect(codeOf(pem(bytes))).toBe('read')
    for (let end = 0; end < bytes.length - 260; end += 13) {
      expect(codeOf(pem(bytes.subarray(0, end)))).toBe('not_a_key')
    }
    const at = bytes.length - 60 // in a prime
    bytes[at] = (bytes[at] ?? 0) ^ 1
    expect(codeOf(pem(bytes))).toBe('not_a_key')
  })
})

function never(): never {
  throw new Error('no key')
}
