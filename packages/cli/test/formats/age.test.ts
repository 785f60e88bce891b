import { randomBytes } from 'node:crypto'

import { afterAll, describe, expect, test } from 'vitest'

import { age, ageStream } from '../../src/formats/age.ts'
import { jwe } from '../../src/formats/jwe.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { PrivateKeys } from '../../src/formats/legacy-format.ts'
import { headBytes } from '../../src/formats/legacy-stream.ts'
import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { ageEncrypt, hasAge, sshKey, sshKeySet } from '../support/age.ts'
import { Workspace } from '../support/cli.ts'
import { keySet, makeJwe, otherKey, openNow } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { runTool } from '../support/tools.ts'

describe.skipIf(!hasAge)('what age writes', () => {
  const directory = new Directory()
  afterAll(() => directory[Symbol.dispose]())
  const mine = sshKey(directory)
  const other = sshKey(directory)
  const ours = sshKeySet(mine)
  const text = 'a secret'
  const file = ageEncrypt(text, [mine.recipient])
  const armored = ageEncrypt(text, [mine.recipient], ['--armor'])
  const x25519 = runTool('age-keygen', []).toString()
  const x25519Recipient = /age1\w+/u.exec(x25519)?.[0] ?? ''

  function read(cell: string | Uint8Array, keys: PrivateKeys = ours): Buffer {
    const value = age.recognize([cell])
    if (value === undefined) throw new Error('not recognised')
    return openNow(value, keys)
  }

  /** Fed in pieces of some size. */
  async function stream(bytes: Uint8Array, size: number, keys: PrivateKeys = ours): Promise<Buffer> {
    const value = ageStream.recognize(bytes.subarray(0, headBytes), { name: 'file.age' })
    if (value === undefined) throw new Error('not recognised')
    const pieces: Uint8Array[] = []
    for await (const piece of value.open(piecesOf(bytes, size), keys)) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  async function* piecesOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield Uint8Array.from(bytes.subarray(at, at + size))
  }

  test.each([0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])('%i bytes, in all ways', async (size) => {
    const plaintext = randomBytes(size)
    for (const args of [[], ['--armor']]) {
      const message = ageEncrypt(plaintext, [mine.recipient], args)
      expect(read(message).equals(plaintext)).toBe(true)
      const asText = args.length > 0 ? message.toString() : message.toString('base64')
      expect(read(asText).equals(plaintext)).toBe(true)
      expect(read(`${asText.replaceAll('\n', '\r\n')}\r\n`).equals(plaintext)).toBe(true)
      for (const pieces of [1000, 65_552, 1_000_000]) {
        expect((await stream(message, pieces)).equals(plaintext)).toBe(true)
      }
    }
  })

  test('byte by byte', async () => {
    for (const one of [file, armored]) expect((await stream(one, 1)).toString()).toBe(text)
  })

  test('who it is for, without a key', () => {
    const about = { wrapping: 'ssh-rsa', body: 'ChaCha20-Poly1305', isAuthenticated: true }
    const keyId = expect.stringMatching(/^ssh-rsa [A-Za-z0-9+/]{6}$/) as string
    expect(age.recognize([file])).toMatchObject({ ...about, keyId })
    expect(ageStream.recognize(armored, { name: 'x' })).toMatchObject({ ...about, keyId })
  })

  test('several recipients, whichever is ours, and X25519 beside them', () => {
    const message = ageEncrypt(text, [x25519Recipient, other.recipient, mine.recipient])
    for (const keys of [ours, sshKeySet(other), sshKeySet(other, mine)]) {
      expect(read(message, keys).toString()).toBe(text)
    }
    expect(age.recognize([message])?.wrapping).toBe('ssh-rsa')
  })

  test('an RSA key of 3072 bits, and one of an odd size', () => {
    for (const bits of ['3072', '2049']) {
      const key = sshKey(directory, ['-t', 'rsa', '-b', bits])
      expect(read(ageEncrypt(text, [key.recipient]), sshKeySet(key)).toString()).toBe(text)
    }
  })

  test('X25519, with its identity', async () => {
    const identities = [x25519, runTool('age-keygen', []).toString()]
    const setOf = (content: string) =>
      new PrivateKeySet(
        readKeyFile(Buffer.from(content), undefined).map((one) => ({ ...one, name: 'age', keyIds: [] })),
      )
    const message = ageEncrypt(text, [x25519Recipient])
    expect(read(message, setOf(identities.join(''))).toString()).toBe(text)
    expect((await stream(message, 50, setOf(x25519))).toString()).toBe(text)
    expect(read(ageEncrypt(text, [other.recipient, x25519Recipient]), setOf(x25519)).toString()).toBe(text)
    expect(codeOf(() => read(message, setOf(identities[1] ?? '')))).toBe('cannot_open')
    for (let at = 30; at < message.length; at++) {
      const altered = Buffer.from(message)
      altered[at] = (altered[at] ?? 0) ^ 1
      expect(codeOf(() => read(altered, setOf(x25519)))).toMatch(/^(?:malformed|cannot_open|unsupported)$/)
    }
    const mistyped = x25519.replace(/(AGE-SECRET-KEY-1.{10})./, (_, front: string) => `${front}B`)
    expect(() => setOf(mistyped)).toThrow('no identity of age')
    expect(() => setOf(x25519.replace(/(AGE-SECRET-KEY-1.{10}).{3}/, '$1'))).toThrow('no identity of age')
  })

  test('X25519, ssh-ed25519 and an unknown recipient are named', () => {
    const ed25519 = sshKey(directory, ['-t', 'ed25519'])
    for (const [recipient, type] of [
      [x25519Recipient, 'X25519'],
      [ed25519.recipient, 'ssh-ed25519'],
    ] as const) {
      const message = ageEncrypt(text, [recipient])
      expect(age.recognize([message])?.wrapping).toBe(type)
      expect(() => read(message)).toThrow(`it is for ${type}`)
      expect(codeOf(() => read(message))).toBe('unsupported')
    }
    const unknown = file.toString('latin1').replace('-> ssh-rsa', '-> secret!')
    expect(() => read(Buffer.from(unknown, 'latin1'))).toThrow('it is for unknown')
  })

  test('another key', async () => {
    expect(codeOf(() => read(file, sshKeySet(other)))).toBe('no_private_key')
    expect(codeOf(() => read(file, keySet()))).toBe('no_private_key')
    expect(codeOf(() => read(file, keySet(otherKey)))).toBe('no_private_key')
    await expect(stream(file, 100, sshKeySet(other))).rejects.toMatchObject({ code: 'no_private_key' })
  })

  test('cut anywhere, with one byte more, or one bit flipped: never opened', async () => {
    for (let end = 0; end < file.length; end++) {
      const cut = file.subarray(0, end)
      const isKnown = age.recognize([cut]) !== undefined
      expect(isKnown).toBe(end >= 'age-encryption.org/v1\n'.length)
      if (!isKnown) continue
      expect(codeOf(() => read(cut))).toMatch(/^(?:malformed|cannot_open)$/)
      await expect(stream(cut, 100)).rejects.toBeInstanceOf(LegacyError)
    }
    expect(codeOf(() => read(Buffer.concat([file, Buffer.from([0])])))).toBe('cannot_open')
    for (let at = 'age-encryption.org/v1\n'.length; at < file.length; at++) {
      const altered = Buffer.from(file)
      altered[at] = (altered[at] ?? 0) ^ 1
      expect(codeOf(() => read(altered))).toMatch(/^(?:malformed|cannot_open|no_private_key|unsupported)$/)
    }
    for (let end = 40; end < armored.length - 1; end += 7) {
      expect(codeOf(() => read(armored.subarray(0, end)))).toMatch(/^(?:malformed|cannot_open)$/)
    }
    expect(codeOf(() => read(`${armored.toString()}more`))).toBe('malformed')
  })

  test('cut between chunks, and chunks exchanged: never opened', async () => {
    const message = ageEncrypt(randomBytes(200_000), [mine.recipient])
    const payload = message.length - 16 - 200_000 - 4 * 16
    const [a, b] = [payload + 16, payload + 16 + 65_552]
    const cut = message.subarray(0, b)
    const exchanged = Buffer.concat([
      message.subarray(0, a),
      message.subarray(b, b + 65_552),
      message.subarray(a, b),
      message.subarray(b + 65_552),
    ])
    for (const one of [cut, exchanged, Buffer.concat([message, message.subarray(b)])]) {
      expect(codeOf(() => read(one))).toBe('cannot_open')
      await expect(stream(one, 10_000)).rejects.toMatchObject({ code: 'cannot_open' })
    }
  })

  test('lines of NDJSON: run and verify', async () => {
    using space = new Workspace()
    const lines = ['a', 'b', 'c'].map((id) => {
      return { id, secret: ageEncrypt(`secret ${id}`, [mine.recipient], ['--armor']).toString() }
    })
    space.write('notes.ndjson', lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    await space.cli(['keygen', '--output', 'identity.txt'])
    space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
    const target = ['notes.ndjson', '--column', 'secret', '--id', 'id']
    const keys = ['--private-key', mine.file, '--identity', 'identity.txt', '-R', 'recipients.txt']
    const run = await space.cli(['reencrypt', 'run', ...target, ...keys, '--execute'])
    expect(run.stdout + run.stderr).toMatch(/migrated +3\n/)
    const verify = await space.cli(['reencrypt', 'verify', ...target, '--identity', 'identity.txt'])
    expect(verify.stdout).toMatch(/opened +3/)
  })

  test('neighbours are not recognised', async () => {
    for (const cell of [
      '',
      'age',
      'age-encryption.org/v1',
      'AGE-SECRET-KEY-1',
      x25519,
      await makeJwe(text),
      '-----BEGIN AGE ENCRYPTED KEY-----',
      '-----BEGIN PGP MESSAGE-----\n',
      new Uint8Array(),
      7,
      null,
    ]) {
      expect(age.recognize([cell])).toBeUndefined()
    }
    expect(jwe.recognize([armored.toString()])).toBeUndefined()
  })
})

function codeOf(step: () => unknown): string {
  try {
    step()
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
  return 'opened'
}
