/** Envelopes, wrapped keys and records from files: binary or text, told apart by their first bytes. */

import { fromText, LongholdError } from '@longhold/core'

import { CliError, exit, fromCore } from './errors.ts'
import { inputName, readInput } from './files.ts'
import type { Terminal } from './terminal.ts'
import { count } from './text.ts'

/** What one call of encrypt takes, and decrypt gives (SPEC §11). */
const maxPlaintextBytes = 64 * 1024 * 1024

// The longest header (65,536), the magic, a body's fixed part and one tag per chunk of 16 KiB.
const maxContainerBytes = maxPlaintextBytes + (maxPlaintextBytes / 16_384) * 16 + 65_536 + 128
const maxTextBytes = Math.ceil((maxContainerBytes * 4) / 3) + 2

export const plaintextLimit = {
  maxBytes: maxPlaintextBytes,
  reason: `encrypt takes at most ${count(maxPlaintextBytes)} bytes (64 MiB) at once`,
}
const containerLimit = {
  maxBytes: maxTextBytes,
  reason: `no envelope of at most ${count(maxPlaintextBytes)} bytes (64 MiB) of data is that long`,
}

export interface Container {
  /** How the input is called in messages. */
  readonly name: string
  readonly bytes: Uint8Array
  readonly form: 'binary' | 'text'
}

/** Reads a file or standard input. What is inside is for core to judge. */
export async function readContainer(terminal: Terminal, path: string | undefined): Promise<Container> {
  const name = inputName(path)
  const input = await readInput(terminal, path, containerLimit)
  if (startsWith(input, 'LH')) return { name, bytes: input, form: 'binary' }
  // base64url of the same two letters
  if (!startsWith(input, 'TE')) throw foreign(name, input)
  const line = new TextDecoder().decode(input).replace(/\r?\n$/u, '')
  return { name, bytes: await aboutFile(name, () => fromText(line)), form: 'text' }
}

/** Runs a step on a file's content, so that core's refusal names the file and counts as refused data. */
export async function aboutFile<T>(name: string, step: () => T | Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    if (error.code === 'unavailable') throw fromCore(error) // that is not about the file
    if (error.code !== 'bad_text') throw fromCore(error, name)
    throw new CliError('malformed', exit.refused, `${name}: ${error.message}`, {
      hint: error.hint,
      cause: error,
    })
  }
}

/** First bytes of what people give by mistake. */
const strangers: readonly { readonly start: string; readonly what: string; readonly hint?: string }[] = [
  { start: 'age-encryption.org/', what: 'an age file', hint: 'age -d opens it' },
  { start: '-----BEGIN AGE', what: 'an age file', hint: 'age -d opens it' },
  { start: '-----BEGIN PGP', what: 'an OpenPGP message', hint: 'gpg -d opens it' },
  { start: 'Salted__', what: 'output of openssl enc' },
  {
    start: 'eyJ',
    what: 'a JWE or JWT',
    hint: 'longhold reencrypt turns tables and files of them into records',
  },
  { start: 'lhrecipient1-', what: 'a recipient, which is a public key' },
  { start: 'LONGHOLD-IDENTITY-1-', what: 'an identity, which is a secret key' },
  { start: '# created: ', what: 'a file of identities' },
  { start: '-----BEGIN ', what: 'a PEM file' },
]

function foreign(name: string, input: Uint8Array): CliError {
  const found = strangers.find(({ start }) => startsWith(input, start))
  const what = input.length === 0 ? 'it is empty' : `it looks like ${found?.what ?? 'something else'}`
  return new CliError(
    'malformed',
    exit.refused,
    `${name} is not an envelope, a wrapped key or a record: ${what}`,
    {
      hint: found?.hint ?? 'data of longhold begins with LHE, LHK or LHR, in text form with TEh',
    },
  )
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, text.length)).equals(
    Buffer.from(text),
  )
}
