/** Files of keys, one a line. */

import { LongholdError } from '@longhold/core'

import { usage } from './errors.ts'
import { readInput } from './files.ts'
import type { Terminal } from './terminal.ts'

const keyFileLimit = { maxBytes: 1024 * 1024, reason: 'that is too long to be a file of keys' }

export interface KeyLine {
  readonly text: string
  readonly line: number
}

export async function readKeyFile(terminal: Terminal, path: string): Promise<string> {
  return new TextDecoder().decode(await readInput(terminal, path, keyFileLimit))
}

/** Its lines without empty ones and comments. */
export function keyLines(content: string): KeyLine[] {
  return content
    .split('\n')
    .map((text, index) => ({ text: text.replace(/\r$/u, ''), line: index + 1 }))
    .filter(({ text }) => text.trim() !== '' && !text.startsWith('#'))
}

export function unreadableKey(error: unknown, where: string): unknown {
  if (!(error instanceof LongholdError)) return error
  return usage(`${where}: ${error.message}`, {
    hint: error.hint ?? 'it must be whole, as keygen wrote it: one line, nothing around it',
    cause: error,
  })
}
