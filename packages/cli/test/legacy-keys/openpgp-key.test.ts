import { createPublicKey } from 'node:crypto'

import { afterAll, describe, expect, test } from 'vitest'

import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { isOpenPgpKey, readOpenPgpKeys } from '../../src/legacy-keys/openpgp-key.ts'
import { PrivateKeyError } from '../../src/legacy-keys/private-key-error.ts'
import { sshKey } from '../support/age.ts'
import { GpgHome, hasGpg } from '../support/gpg.ts'
import { oldKey, oldPem } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'

async function codeOf(bytes: Uint8Array, passphrase?: string): Promise<string> {
  try {
    await readOpenPgpKeys(bytes, passphrase)
  } catch (error) {
    if (error instanceof PrivateKeyError) return error.code
    throw error
  }
  return 'read'
}

describe.skipIf(!hasGpg)('keys of gpg', () => {
  const directory = new Directory()
  const home = new GpgHome(directory)
  afterAll(() => {
    home[Symbol.dispose]()
    directory[Symbol.dispose]()
  })
  home.makeKey('Open')
  home.makeKey('Protected', { passphrase: 'open sesame' })
  home.makeKey('Curve', { type: 'EDDSA', subkeyType: 'ECDH' })
  const open = home.exportKey('Open')
  const locked = home.exportKey('Protected', { passphrase: 'open sesame' })

  /** Long key ids of a key and its subkeys, as gpg lists them. */
  const keyIdsOf = (name: string): string[] =>
    home
      .run(['--with-colons', '--list-keys', name])
      .toString()
      .split('\n')
      .map((line) => line.split(':'))
      .filter(([kind]) => kind === 'pub' || kind === 'sub')
      .map((fields) => fields[4] ?? '')

  test('binary and armored, the key and its subkey, each by its key id', async () => {
    for (const bytes of [open, home.exportKey('Open', { isArmored: true })]) {
      expect(isOpenPgpKey(bytes)).toBe(true)
      const found = await readOpenPgpKeys(bytes, undefined)
      expect(found.map(({ keyIds }) => keyIds)).toEqual(keyIdsOf('Open').map((id) => [id]))
      expect(found.map(({ key }) => key.asymmetricKeyDetails?.modulusLength)).toEqual([2048, 2048])
    }
  })

  test('protected by a passphrase', async () => {
    expect(await readOpenPgpKeys(locked, 'open sesame')).toHaveLength(2)
    expect(await codeOf(locked)).toBe('needs_passphrase')
    expect(await codeOf(locked, 'open')).toBe('wrong_passphrase')
    expect(await readOpenPgpKeys(open, 'nothing needs it')).toHaveLength(2)
  })

  test.each(['AES', 'AES256', '3DES', 'CAST5', 'TWOFISH', 'BLOWFISH'])(
    'protected with %s',
    async (cipher) => {
      const unlock = ['--pinentry-mode', 'loopback', '--passphrase', 'open sesame']
      const bytes = home.run([...unlock, '--s2k-cipher-algo', cipher, '--export-secret-keys', 'Protected'])
      expect(await readOpenPgpKeys(bytes, 'open sesame')).toHaveLength(2)
    },
  )

  test('several keys in one file, and the secret of the main key elsewhere', async () => {
    expect(await readOpenPgpKeys(Buffer.concat([open, home.exportKey('Curve')]), undefined)).toHaveLength(2)
    const subkeyAlone = home.run(['--export-secret-subkeys', 'Open'])
    const [found, ...more] = await readOpenPgpKeys(subkeyAlone, undefined)
    expect(more).toEqual([])
    expect(found?.keyIds).toEqual([keyIdsOf('Open')[1]])
  })

  test('of another kind, cut, or altered: refused', async () => {
    expect(await codeOf(home.exportKey('Curve'))).toBe('not_rsa')
    for (const end of [4, 100, 600]) expect(await codeOf(open.subarray(0, end))).toMatch(/^not_/)
    const altered = Buffer.from(locked)
    altered[400] = (altered[400] ?? 0) ^ 1
    expect(await codeOf(altered, 'open sesame')).toMatch(/^(?:wrong_passphrase|not_a_key)$/)
  })

  test('a public key opens nothing', () => {
    const bytes = home.run(['--armor', '--export', 'Open'])
    expect(isOpenPgpKey(bytes)).toBe(false)
    expect(() => readKeyFile(bytes, undefined)).toThrow(/gpg --export-secret-keys/)
  })

  test('other files are not taken for one', () => {
    const others = [
      oldPem,
      oldKey.export({ type: 'pkcs8', format: 'der' }),
      JSON.stringify(createPublicKey(oldKey).export({ format: 'jwk' })),
      home.run(['--export', 'Open']),
      home.encrypt('x', ['Open']),
      sshKey(directory).recipient,
      '',
    ]
    for (const one of others) expect(isOpenPgpKey(Buffer.from(one))).toBe(false)
  })
})
