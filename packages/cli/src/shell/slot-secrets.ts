/** What opens a slot of a key service, from files. */

import { usage } from './errors.ts'
import { readInput } from './files.ts'
import type { Terminal } from './terminal.ts'

const shareLimit = { maxBytes: 4096, reason: 'that is too long to be a share' }
const keyLimit = { maxBytes: 32, reason: 'a key file has 32 bytes' }

/** One share. Throws a CliError as `readInput`. */
export async function readShareFile(terminal: Terminal, path: string): Promise<string> {
  const bytes = await readInput(terminal, path, shareLimit)
  const share = new TextDecoder().decode(bytes).trim()
  bytes.fill(0)
  return share
}

/** @returns 32 bytes in base64url. Throws a CliError with exit code 2 for another length, and as `readInput`. */
export async function readKeyFile(terminal: Terminal, path: string): Promise<string> {
  const bytes = await readInput(terminal, path, keyLimit)
  if (bytes.length !== 32) throw usage(`${path} is no key file: it has ${bytes.length} bytes, not 32`)
  const text = Buffer.from(bytes).toString('base64url')
  bytes.fill(0)
  return text
}
