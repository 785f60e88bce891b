/** Plaintext on standard output, where what is written cannot be taken back. */

import { heldBytes } from '../shell/containers.ts'
import { CliError, refused, usage } from '../shell/errors.ts'
import { tidyAfter } from '../shell/memory.ts'
import type { Terminal } from '../shell/terminal.ts'
import { ByteProgress } from './byte-progress.ts'
import type { Plaintext } from './opening.ts'

/**
 * Writes nothing before all of it was checked: up to 64 MiB are held until then, and a longer file is decrypted twice,
 * the first time for the checks alone. A stream longer than that cannot be gone through twice and is written in
 * pieces, each of them checked; when it turns out to be cut off or altered, the error says that a part is out.
 *
 * @param onScreen Refuse what could steer a terminal, and what nobody reads there.
 * @returns Bytes written.
 * @throws CliError with exit code 1 when it does not open, 2 for what does not belong on a terminal.
 */
export async function toStandardOutput(
  terminal: Terminal,
  plaintext: Plaintext,
  onScreen: boolean,
): Promise<number> {
  const { name, size } = plaintext
  if (size === undefined || size <= heldBytes) return await holdAndWrite(terminal, plaintext, onScreen)
  if (onScreen) throw tooLongForScreen(name)
  using progress = new ByteProgress(terminal, name, 2 * size)
  for await (const piece of plaintext.pieces()) {
    progress.add(piece.length)
    tidyAfter(piece.length)
  }
  for await (const piece of plaintext.pieces()) {
    await terminal.write(piece)
    progress.add(piece.length)
    tidyAfter(piece.length)
  }
  return size
}

async function holdAndWrite(terminal: Terminal, plaintext: Plaintext, onScreen: boolean): Promise<number> {
  const { name, size } = plaintext
  using progress = new ByteProgress(terminal, name, size)
  const held: Uint8Array[] = []
  let length = 0
  try {
    for await (const piece of plaintext.pieces()) {
      held.push(piece)
      length += piece.length
      progress.add(piece.length)
      if (length <= heldBytes) continue
      if (onScreen) throw tooLongForScreen(name)
      for (const one of held) {
        await terminal.write(one)
        tidyAfter(one.length)
      }
      held.length = 0
    }
  } catch (error) {
    if (length <= heldBytes || onScreen || !(error instanceof CliError) || error.exitCode !== 1) throw error
    throw refused(`${error.message}; what was written to standard output is only the beginning`, {
      hint: 'throw it away. With --output FILE nothing appears before all of it was checked',
      cause: error,
    })
  }
  if (onScreen && !isPlainText(held)) {
    throw usage('refusing to write binary data to a terminal', {
      hint: 'add --output FILE, or --output - to insist',
    })
  }
  for (const one of held) await terminal.write(one)
  return length
}

function tooLongForScreen(name: string): CliError {
  return usage(`refusing to write more than 64 MiB to a terminal: ${name} is longer`, {
    hint: 'add --output FILE, or --output - to insist',
  })
}

/** UTF-8 without characters that could steer a terminal. */
function isPlainText(pieces: readonly Uint8Array[]): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces))
    // oxlint-disable-next-line no-control-regex -- control characters are what this is about
    return !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/u.test(text)
  } catch {
    return false
  }
}
