/** age files by `age`, and RSA keys by `ssh-keygen`. */

import { readFileSync } from 'node:fs'

import { readKeyFile } from '../../src/legacy-keys/key-file.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import type { Directory } from './migration.ts'
import { hasTool, runTool } from './tools.ts'

export const hasAge = hasTool('age')

export interface SshKey {
  readonly file: string
  /** A line of an `authorized_keys`. */
  readonly recipient: string
}

let made = 0

export function sshKey(directory: Directory, args: readonly string[] = ['-t', 'rsa', '-b', '2048']): SshKey {
  const file = directory.file(`ssh-${made++}`)
  const passphrase = args.includes('-N') ? [] : ['-N', '']
  runTool('ssh-keygen', ['-q', '-f', file, '-C', '', ...args, ...passphrase])
  return { file, recipient: readFileSync(`${file}.pub`, 'utf8').trim() }
}

export function sshKeySet(...keys: readonly SshKey[]): PrivateKeySet {
  const found = keys.flatMap(({ file }) => readKeyFile(readFileSync(file), undefined))
  return new PrivateKeySet(found.map((one, index) => ({ ...one, name: `key ${index}`, keyIds: [] })))
}

export function ageEncrypt(
  plaintext: Uint8Array | string,
  recipients: readonly string[],
  args: readonly string[] = [],
): Buffer {
  const named = recipients.flatMap((recipient) => ['-r', recipient])
  return runTool('age', ['--encrypt', ...named, ...args], { input: plaintext })
}
