/**
 * OpenPGP messages by `gpg`, for what is not read here: it has ciphers of its own, and keys on cards and of other kinds
 * than RSA. Believed only when its status lines (GnuPG's doc/DETAILS) say everything that they must: it ends with 0 for a
 * message without encrypted data, too.
 */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { cannotOpen, LegacyError, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { PgpContainer, PgpMessage } from './openpgp-message.ts'
import { onlyPacket } from './openpgp-packets.ts'

type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export interface GpgSettings {
  /** Name or path. */
  readonly program: string
  /** Its `--homedir`; its own default if undefined. */
  readonly home: string | undefined
}

/**
 * Opens a message that is in memory.
 *
 * @throws LegacyError
 */
export async function openWithGpg(
  bytes: Uint8Array,
  message: PgpMessage,
  settings: GpgSettings,
): Promise<Uint8Array> {
  onlyPacket(bytes, message.at)
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of streamWithGpg([bytes], message.container, settings)) {
    pieces.push(piece)
    size += piece.length
    if (size > maxPlaintextBytes) throw tooLarge()
  }
  const plaintext = Buffer.concat(pieces)
  for (const piece of pieces) piece.fill(0)
  return plaintext
}

/**
 * The same, in constant memory. What it gives is not checked before the end.
 *
 * @throws LegacyError While it is read.
 */
export async function* streamWithGpg(
  source: Source,
  container: PgpContainer,
  { program, home }: GpgSettings,
): AsyncGenerator<Uint8Array, void, void> {
  const child = spawn(program, argumentsFor(container, home), { stdio: ['pipe', 'pipe', 'ignore', 'pipe'] })
  const ended = endOf(child)
  ended.catch(() => {}) // awaited below, once its output has ended
  // Four were asked for, the last one to be read.
  const [input, output, , status] = child.stdio as unknown as [Writable, Readable, null, Readable]
  const statusText = textOf(status)
  const fed = feed(source, input)
  fed.catch(() => child.kill())
  try {
    for await (const piece of output) yield piece as Uint8Array
    await fed
    const code = await ended
    if (code !== 0 || !isBelieved(await statusText, container)) throw failureOf(await statusText)
  } finally {
    child.kill()
    await ended
  }
}

function argumentsFor(container: PgpContainer, home: string | undefined): string[] {
  const args = home === undefined ? [] : ['--homedir', home]
  // No configuration of gpg's may change what it says; nobody is there to be asked for a passphrase.
  args.push('--no-options', '--batch', '--no-tty', '--pinentry-mode', 'error', '--status-fd', '3')
  // Signatures of people whose keys are not there would be failures.
  args.push('--skip-verify', '--no-auto-key-retrieve')
  // Asked for by --accept-unauthenticated, or there is a witness.
  if (container === 'sed') args.push('--ignore-mdc-error')
  return [...args, '--output', '-', '--decrypt']
}

/** @throws What the source throws. */
async function feed(source: Source, input: Writable): Promise<void> {
  let failure: unknown
  async function* watched(): AsyncGenerator<Uint8Array, void, void> {
    try {
      yield* source
    } catch (error) {
      failure = error
      throw error
    }
  }
  // It may end before it has read everything: that it failed is told by its end.
  await pipeline(watched, input).catch(() => {})
  if (failure !== undefined) throw failure
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
}

async function textOf(stream: Readable): Promise<string> {
  let text = ''
  for await (const piece of stream) text += String(piece)
  return text
}

/** One plaintext, decrypted, and with its integrity check where it has one. */
function isBelieved(status: string, container: PgpContainer): boolean {
  const words = wordsOf(status)
  const count = (word: string): number => words.filter(([first]) => first === word).length
  const isWhole = count('BEGIN_DECRYPTION') === 1 && count('END_DECRYPTION') === 1 && count('PLAINTEXT') === 1
  if (!isWhole || count('DECRYPTION_OKAY') !== 1 || count('DECRYPTION_FAILED') > 0) return false
  // GOODMDC is said of AEAD as well.
  return container === 'sed' || (count('GOODMDC') === 1 && count('BADMDC') === 0)
}

function failureOf(status: string): LegacyError {
  const words = wordsOf(status)
  const said = (word: string): boolean => words.some(([first]) => first === word)
  if (said('NO_SECKEY') && !said('DECRYPTION_KEY'))
    return new LegacyError('no_private_key', 'gpg has no private key for it')
  return cannotOpen()
}

function wordsOf(status: string): string[][] {
  return status
    .split('\n')
    .filter((line) => line.startsWith('[GNUPG:] '))
    .map((line) => line.slice('[GNUPG:] '.length).split(' '))
}
