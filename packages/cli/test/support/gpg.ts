/** OpenPGP keys and messages by `gpg`, in a home of their own. */

import { mkdirSync, writeFileSync } from 'node:fs'

import { readOpenPgpKeys } from '../../src/legacy-keys/openpgp-key.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import type { Directory } from './migration.ts'
import { hasTool, runTool } from './tools.ts'

export const hasGpg = hasTool('gpg')

export class GpgHome implements Disposable {
  readonly path: string

  constructor(directory: Directory, name = 'gnupg') {
    this.path = directory.file(name)
    mkdirSync(this.path, { mode: 0o700 })
    writeFileSync(`${this.path}/gpg-agent.conf`, 'allow-loopback-pinentry\n')
  }

  run(args: readonly string[], input?: Uint8Array | string): Buffer {
    const all = [
      '--homedir',
      this.path,
      '--batch',
      '--yes',
      '--quiet',
      '--no-tty',
      '--trust-model',
      'always',
      ...args,
    ]
    return runTool('gpg', all, input === undefined ? {} : { input })
  }

  /** An RSA key for signing with a subkey for encryption. */
  makeKey(name: string, { passphrase = '', type = 'RSA', subkeyType = 'RSA' } = {}): void {
    const size = (kind: string, of: string): string =>
      of === 'RSA' ? `${kind}-Length: 2048` : `${kind}-Curve: ${of === 'ECDH' ? 'cv25519' : 'ed25519'}`
    const lines = [
      ...(passphrase === '' ? ['%no-protection'] : []),
      `Key-Type: ${type}`,
      size('Key', type),
      'Key-Usage: sign',
      `Subkey-Type: ${subkeyType}`,
      size('Subkey', subkeyType),
      'Subkey-Usage: encrypt',
      ...(passphrase === '' ? [] : [`Passphrase: ${passphrase}`]),
      `Name-Real: ${name}`,
      'Expire-Date: 0',
      '%commit',
    ]
    this.run(['--pinentry-mode', 'loopback', '--gen-key'], `${lines.join('\n')}\n`)
  }

  exportKey(name: string, { passphrase = '', isArmored = false } = {}): Buffer {
    return this.run([
      '--pinentry-mode',
      'loopback',
      '--passphrase',
      passphrase,
      ...(isArmored ? ['--armor'] : []),
      '--export-secret-keys',
      name,
    ])
  }

  encrypt(
    plaintext: Uint8Array | string,
    recipients: readonly string[],
    args: readonly string[] = [],
  ): Buffer {
    const named = recipients.flatMap((recipient) => ['--recipient', recipient])
    return this.run([...args, ...named, '--encrypt'], plaintext)
  }

  async keys(...names: readonly string[]): Promise<PrivateKeySet> {
    const found = await Promise.all(names.map((name) => readOpenPgpKeys(this.exportKey(name), undefined)))
    return new PrivateKeySet(
      found.flat().map(({ keyIds, ...one }, index) => ({
        ...one,
        name: `key ${index}`,
        keyIds: [],
        knownIds: keyIds,
      })),
    )
  }

  /** Ends the agent that gpg started. */
  [Symbol.dispose](): void {
    runTool('gpgconf', ['--homedir', this.path, '--kill', 'all'])
  }
}
