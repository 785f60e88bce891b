import { constants, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { CompactEncrypt } from 'jose'
import { describe, expect, test } from 'vitest'

import { ExternalPrivateKey } from '../../src/legacy-keys/external-private-key.ts'
import { KeyCommand, KeyCommandError } from '../../src/legacy-keys/key-command.ts'
import { Workspace } from '../support/cli.ts'
import { javaOaep, oldKey, oldPem, wrapOaep } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'
import { hasTool, runTool } from '../support/tools.ts'

const publicKey = createPublicKey(oldKey).export({ type: 'spki', format: 'der' }).toString('base64')
const hello = `console.log(JSON.stringify({ protocol: 'longhold-private-key/1', public_key: '${publicKey}' }))`

/** A program that says hello and then does as `code` says with each `request`; `say` answers it. */
function program(directory: Directory, code: string, begin = hello): string[] {
  const file = directory.file('program.mjs')
  writeFileSync(
    file,
    `import { createInterface } from 'node:readline'
    import { constants, createPrivateKey, privateDecrypt } from 'node:crypto'
    ${begin}
    const say = (answer) => console.log(JSON.stringify(answer))
    const key = createPrivateKey(${JSON.stringify(oldPem)})
    createInterface({ input: process.stdin }).on('line', (line) => {
      const request = JSON.parse(line)
      ${code}
    })`,
  )
  return [process.execPath, file]
}

async function externalKey(command: readonly string[]): Promise<ExternalPrivateKey> {
  const keyCommand = new KeyCommand(command)
  const facts = await keyCommand.facts
  keyCommand.close()
  return new ExternalPrivateKey('external', command, facts)
}

const pkcs1 = (dataKey: Uint8Array) =>
  publicEncrypt({ key: createPublicKey(oldKey), padding: constants.RSA_PKCS1_PADDING }, dataKey)
const unwraps = `const padding = constants.RSA_PKCS1_PADDING
  const unwrapped = privateDecrypt({ key, padding }, Buffer.from(request.wrapped, 'base64'))
  say({ id: request.id, unwrapped: unwrapped.toString('base64') })`

describe('a program that holds a private key', () => {
  test('unwraps one after the other, and is asked nothing about bytes of another length', async () => {
    using directory = new Directory()
    const key = await externalKey(program(directory, unwraps))
    expect(key.modulusBytes).toBe(256)
    for (let i = 0; i < 20; i++) {
      const dataKey = randomBytes(32)
      expect(Buffer.from(key.unwrapPkcs1(pkcs1(dataKey)) ?? [])).toEqual(dataKey)
    }
    expect(key.unwrapPkcs1(new Uint8Array(255))).toBeUndefined()
  })

  test('is told everything that OAEP can differ in', async () => {
    using directory = new Directory()
    const key = await externalKey(
      program(
        directory,
        `const { id, wrapped, ...rest } = request
        say({ id, unwrapped: Buffer.from(JSON.stringify(rest)).toString('base64') })`,
      ),
    )
    const seen = key.unwrapOaep(wrapOaep(randomBytes(32), javaOaep), { ...javaOaep, label: Buffer.from('l') })
    expect(JSON.parse(Buffer.from(seen ?? []).toString())).toEqual({
      algorithm: 'RSA-OAEP',
      hash: 'sha256',
      mgf1_hash: 'sha1',
      label: 'bA==',
    })
  })

  test('bytes that do not unwrap are no reason to stop', async () => {
    using directory = new Directory()
    const key = await externalKey(program(directory, `say({ id: request.id, failed: true })`))
    expect(key.unwrapPkcs1(pkcs1(randomBytes(32)))).toBeUndefined()
  })

  test.each([
    [
      'says what it lacks',
      `say({ id: request.id, unavailable: 'no token\\u001b[2J in the slot' })`,
      /says no token \[2J in/,
    ],
    ['ends', `process.exit(3)`, /ended with 3/],
    ['answers what nobody asked', `say({ id: 77, failed: true })`, /answered what nobody asked/],
    ['answers without an answer', `say({ id: request.id })`, /answered what is no answer/],
    ['does not answer in JSON', `console.log('PIN?')`, /answered what is no answer/],
  ])('one that %s', async (_, code, message) => {
    using directory = new Directory()
    const key = await externalKey(program(directory, code))
    expect(() => key.unwrapPkcs1(pkcs1(randomBytes(32)))).toThrow(message)
    expect(() => key.unwrapPkcs1(pkcs1(randomBytes(32)))).toThrow(KeyCommandError)
  })

  test.each([
    [
      'of another protocol',
      `console.log('{"protocol":"other/1"}')`,
      /does not speak longhold-private-key\/1/,
    ],
    [
      'without a public key',
      `console.log('{"protocol":"longhold-private-key/1"}')`,
      /does not say its public key/,
    ],
    ['that ends at once', `process.exit(1)`, /ended with 1/],
    ['that says something else first', `console.log('welcome')`, /answered what is no answer/],
  ])('one %s', async (_, begin, message) => {
    using directory = new Directory()
    await expect(new KeyCommand(program(directory, '', begin)).facts).rejects.toThrow(message)
  })

  test('one that is not there', async () => {
    await expect(new KeyCommand(['no-such-program']).facts).rejects.toThrow(/did not start: ENOENT/)
  })
})

describe('reencrypt run with such a program', () => {
  test('re-encrypts; and stops with exit code 4 where it fails, to go on later', async () => {
    using space = new Workspace()
    using directory = new Directory()
    const lines = await Promise.all(
      [1, 2, 3, 4].map(async (id) => {
        const token = await new CompactEncrypt(Buffer.from(`secret ${id}`))
          .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: 'hsm' })
          .encrypt(createPublicKey(oldKey))
        return JSON.stringify({ id, body: token })
      }),
    )
    space.write('rows.ndjson', lines.join('\n'))
    await space.cli(['keygen', '--output', 'identity.txt'])
    const command = (code: string) => JSON.stringify(program(directory, code))
    const configure = (code: string) =>
      space.write(
        'longhold.yaml',
        `identity: identity.txt\nreencrypt:\n  private-keys:\n    - command: ${command(code)}\n      key-ids: [hsm]\n`,
      )
    const run = ['reencrypt', 'run', 'rows.ndjson', '--id', 'id', '--column', 'body', '--recipients-file']
    const recipient = /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? ''
    space.write('recipients.txt', recipient)

    configure(`say({ id: request.id, unavailable: 'the token is locked' })`)
    const stoppedRun = await space.cli([...run, 'recipients.txt', '--execute'])
    expect(stoppedRun.stderr).toMatch(/says the token is locked/)
    expect(stoppedRun.code).toBe(4)

    configure(`const { hash } = request
      const unwrapped = privateDecrypt({ key, padding: 4, oaepHash: hash }, Buffer.from(request.wrapped, 'base64'))
      say({ id: request.id, unwrapped: unwrapped.toString('base64') })`)
    const { code, stderr, stdout } = await space.cli([...run, 'recipients.txt', '--execute'])
    expect(stderr).not.toMatch(/error/)
    expect(stdout).toMatch(/migrated\s+4/)
    expect(code).toBe(0)
  })
})

const softHsm = '/usr/lib/softhsm/libsofthsm2.so'
describe.skipIf(!hasTool('softhsm2-util') || !hasTool('pkcs11-tool'))('a PKCS #11 token', () => {
  test('by the example, with both ways of wrapping that the token has', async () => {
    using directory = new Directory()
    const tokens = directory.file('tokens')
    mkdirSync(tokens)
    writeFileSync(directory.file('softhsm2.conf'), `directories.tokendir = ${tokens}\n`)
    const env = { SOFTHSM2_CONF: directory.file('softhsm2.conf'), PKCS11_PIN: '1234' }
    const pins = ['--pin', '1234', '--so-pin', '5678']
    runTool('softhsm2-util', ['--init-token', '--free', '--label', 'old', ...pins], { env })
    const pem = directory.file('key.pem')
    writeFileSync(pem, oldPem)
    const place = ['--token', 'old', '--id', '01', '--label', 'old', '--pin', '1234']
    runTool('softhsm2-util', ['--import', pem, ...place], { env })

    const example = new URL('../../../../examples/pkcs11-key/src/private-key.ts', import.meta.url)
    const args = ['--module', softHsm, '--token', 'old', '--id', '01']
    const withToken = ['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
    const key = await externalKey([...withToken, process.execPath, fileURLToPath(example), ...args])
    expect(Buffer.from(key.publicKey).toString('base64')).toBe(publicKey)

    const dataKey = randomBytes(32)
    expect(Buffer.from(key.unwrapPkcs1(pkcs1(dataKey)) ?? [])).toEqual(dataKey)
    // The one hash for OAEP that this token knows.
    const sha1 = { hash: 'sha1', mgf1Hash: 'sha1', label: new Uint8Array() } as const
    expect(Buffer.from(key.unwrapOaep(wrapOaep(dataKey, sha1), sha1) ?? [])).toEqual(dataKey)

    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(key.unwrapOaep(wrapOaep(dataKey, sha1, privateKey), sha1)).toBeUndefined()
    expect(() => key.unwrapOaep(wrapOaep(dataKey, javaOaep), javaOaep)).toThrow(/says/)
  })
})
