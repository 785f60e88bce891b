/** Envelopes, wrapped keys and records: binary or text, told apart by their first bytes. */

import { fromText, inspect, LongholdError, plaintextSize } from '@longhold/core'
import type { Inspection, RandomAccessSource, Suite } from '@longhold/core'

import { CliError, exit, fromCore } from './errors.ts'
import { openInput, pieceBytes } from './input.ts'
import type { Input } from './input.ts'
import { everySuite, suitesOf } from './suites.ts'
import type { Terminal } from './terminal.ts'
import { count } from './text.ts'

/** What is held in memory: the text form, and what is released only when all of it was checked. */
export const heldBytes = 64 * 1024 * 1024

/** The longest header with its magic, and the smallest body: enough to say what a file is (SPEC §5, §6). */
const headBytes = 4 + 65_536 + 72

// A body of that size, one tag per chunk of 16 KiB, in base64url.
const maxTextBytes = Math.ceil(((heldBytes + heldBytes / 1024 + headBytes) * 4) / 3) + 2

export interface Container extends AsyncDisposable {
  /** How the input is called in messages. */
  readonly name: string
  readonly form: 'binary' | 'text'
  /** The beginning of it: of a wrapped key all, of an envelope the header and a part of the body. */
  readonly head: Uint8Array
  readonly kind: Inspection['kind']
  /** The suites that opening it may need. */
  readonly suites: readonly Suite[]
  /** Set for what can be read at any place: files, and what is in memory. Streams are read once. */
  readonly source: RandomAccessSource | undefined
  /** All of it from `offset` on, which is 0 for a stream. A piece is valid until the next one is asked for. */
  pieces(offset?: number): AsyncIterable<Uint8Array>
}

/**
 * Opens a file or standard input and looks at its first bytes.
 *
 * @param hold Bytes of a stream that are kept in memory. One that is no longer can be read at any place.
 * @throws CliError with exit code 1 when it is something else or damaged, 2 when it cannot be read.
 */
export async function openContainer(
  terminal: Terminal,
  path: string | undefined,
  { hold = headBytes }: { readonly hold?: number } = {},
): Promise<Container> {
  const input = await openInput(terminal, path)
  try {
    return await lookInto(input, hold)
  } catch (error) {
    await input[Symbol.asyncDispose]()
    throw error
  }
}

async function lookInto(input: Input, hold: number): Promise<Container> {
  const { name } = input
  const close = { [Symbol.asyncDispose]: async () => await input[Symbol.asyncDispose]() }
  const { bytes: start, ended } =
    input.size === undefined
      ? await input.peek(hold)
      : { bytes: await input.read(0, Math.min(headBytes, input.size)), ended: input.size <= headBytes }
  if (startsWith(start, 'LH')) {
    const seen = { name, form: 'binary' as const, ...(await look(name, start)), ...close }
    if (ended) return { ...seen, ...inMemory(start) }
    const source = input.size === undefined ? undefined : input
    return { ...seen, head: start, source, pieces: (offset) => input.pieces(offset) }
  }
  // base64url of the same two letters
  if (!startsWith(start, 'TE')) throw foreign(name, start)
  const bytes = await fromTextForm(input)
  return { name, form: 'text', ...(await look(name, bytes)), ...inMemory(bytes), ...close }
}

/** Loads the second suite when there is a stanza of it. */
async function look(name: string, start: Uint8Array): Promise<Pick<Container, 'kind' | 'suites'>> {
  return await aboutFile(name, async () => {
    const { kind, stanzas } = inspect(start)
    if (stanzas.every(({ suite }) => suite !== undefined)) return { kind, suites: await suitesOf([]) }
    const suites = await everySuite()
    return { kind: inspect(start, { suites }).kind, suites }
  })
}

function inMemory(bytes: Uint8Array): Pick<Container, 'head' | 'source' | 'pieces'> {
  return {
    head: bytes.subarray(0, headBytes),
    source: { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) },
    async *pieces(offset = 0) {
      for (let at = offset; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
    },
  }
}

async function fromTextForm(input: Input): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const piece of input.pieces()) {
    length += piece.length
    if (length > maxTextBytes) {
      throw new CliError(
        'limit_exceeded',
        exit.refused,
        `${input.name} is a text form of more than ${count(heldBytes)} bytes (64 MiB) of data`,
        { hint: 'what is that large is kept in binary form: base64 -d makes it of the text form' },
      )
    }
    parts.push(Uint8Array.from(piece))
  }
  const line = new TextDecoder().decode(Buffer.concat(parts)).replace(/\r?\n$/u, '')
  return await aboutFile(input.name, () => fromText(line))
}

/**
 * What the bytes say of themselves, to the last one. Reads a stream to its end.
 *
 * @throws CliError with exit code 1 or 2.
 */
export async function inspectWhole(container: Container): Promise<Inspection> {
  const { name, head, source, suites } = container
  const seen = await aboutFile(name, () => inspect(head, { suites }))
  const totalBytes = source?.size ?? (await lengthOf(container.pieces()))
  if (totalBytes === head.length) return seen
  const bodyBytes = seen.bodyBytes + totalBytes - head.length
  // A record is a body behind 20 bytes.
  return { ...seen, totalBytes, bodyBytes, plaintextBytes: plaintextSize(20 + bodyBytes, { recipients: 0 }) }
}

async function lengthOf(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let length = 0
  for await (const piece of pieces) length += piece.length
  return length
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

/** The same for all the pieces of it. */
export async function* aboutPieces(
  name: string,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { value, done } = await aboutFile(name, () => iterator.next())
      if (done === true) return
      yield value
    }
  } finally {
    await iterator.return?.()
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
  { start: '-----BEGIN LONGHOLD', what: 'an identity protected by a passphrase' },
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
