/** Files of identities, as they are or protected by a passphrase. */

import { parseIdentity } from '@longhold/core'
import type { LocalIdentity } from '@longhold/core'

import { usage } from './errors.ts'
import { warnWhenShared } from './files.ts'
import { keyLines, readKeyFile, unreadableKey } from './key-files.ts'
import { readPassphrase } from './passphrase.ts'
import type { PassphraseOptions } from './passphrase.ts'
import { isProtected, unprotect } from './protected-text.ts'
import { withSuites } from './suites.ts'
import type { Terminal } from './terminal.ts'

/**
 * All identities of one file. Asks for its passphrase when it has one; warns when others can read it.
 *
 * @throws CliError with exit code 2.
 */
export async function readIdentities(
  terminal: Terminal,
  path: string,
  options: PassphraseOptions = {},
): Promise<LocalIdentity[]> {
  return await parseIdentities(await readIdentityText(terminal, path, options), path)
}

/** The text of such a file, decrypted where it is protected. */
export async function readIdentityText(
  terminal: Terminal,
  path: string,
  options: PassphraseOptions = {},
): Promise<string> {
  const content = await readKeyFile(terminal, path)
  await warnWhenShared(terminal, path)
  if (!isProtected(content)) return content
  const passphrase = await readPassphrase(terminal, path, options)
  return await unprotect(content, passphrase, path)
}

/** @param path For messages, which never repeat a secret. */
export async function parseIdentities(content: string, path: string): Promise<LocalIdentity[]> {
  const lines = keyLines(content)
  if (lines.length === 0) throw usage(`${path} holds no identity`, { hint: 'longhold keygen makes one' })
  const identities: LocalIdentity[] = []
  for (const { text, line } of lines) {
    if (text.startsWith('lhrecipient')) {
      throw usage(`${path} line ${line}: this is a recipient, which cannot open anything`, {
        hint: 'give the file with LONGHOLD-IDENTITY-1-… that keygen wrote',
      })
    }
    try {
      identities.push(await withSuites((suites) => parseIdentity(text, { suites })))
    } catch (error) {
      throw unreadableKey(error, `${path} line ${line}`)
    }
  }
  return identities
}
