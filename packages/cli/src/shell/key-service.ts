/** The key service as commands see it: an address, a token in a file, and what comes of the two. */

import { Option } from '@commander-js/extra-typings'
import { LongholdError } from '@longhold/core'
import type { KmsClient, KmsRecipient } from '@longhold/core/kms'

import { loadConfig } from './config.ts'
import { usage } from './errors.ts'
import { readInput, warnWhenShared } from './files.ts'
import { serviceFetch } from './service-fetch.ts'
import type { Terminal } from './terminal.ts'

export interface KeyServiceOptions {
  readonly kmsUrl?: string | undefined
  readonly kmsTokenFile?: string | undefined
}

export function kmsUrlOption() {
  return new Option('--kms-url <url>', 'the key service, say http://127.0.0.1:8420')
}

export function kmsTokenFileOption() {
  return new Option('--kms-token-file <file>', 'a file with the token that the key service knows')
}

const opened = new WeakMap<Terminal, Map<string, Promise<KmsClient>>>()
const tokenLimit = { maxBytes: 4096, reason: 'that is too long to be a token' }

/**
 * A client of the key service that the flags, `LONGHOLD_KMS_URL` and `LONGHOLD_KMS_TOKEN_FILE`, or `longhold.yaml`
 * name, in this order; undefined when none of them does.
 *
 * @throws CliError with exit code 2 when the address is none or the token cannot be read.
 */
export async function openKmsClient(
  terminal: Terminal,
  options: KeyServiceOptions,
): Promise<KmsClient | undefined> {
  const named = await nameService(terminal, options)
  if (named === undefined) return undefined
  const { url, tokenFile } = named
  // One client for all that a command asks, so that what it has fetched is fetched once.
  const clients = opened.get(terminal) ?? new Map<string, Promise<KmsClient>>()
  opened.set(terminal, clients)
  const name = JSON.stringify([url, tokenFile])
  const client = clients.get(name) ?? newClient(terminal, url, tokenFile)
  clients.set(name, client)
  return await client
}

/** Where the key service is that flags, environment or `longhold.yaml` name, and the token itself. */
export async function serviceAddress(
  terminal: Terminal,
  options: KeyServiceOptions,
): Promise<{ url: string; token: string } | undefined> {
  const named = await nameService(terminal, options)
  return named && { url: named.url, token: await readToken(terminal, named.tokenFile) }
}

/** The same for commands that are about the key service and nothing else. */
export async function needKmsClient(terminal: Terminal, options: KeyServiceOptions): Promise<KmsClient> {
  const client = await openKmsClient(terminal, options)
  if (client !== undefined) return client
  throw usage('no key service', {
    hint: 'give --kms-url URL and --kms-token-file FILE, or run longhold init to set one up',
  })
}

/** The public key of a key of the service, as `kms:NAME` names it. */
export async function keyServiceRecipient(
  terminal: Terminal,
  options: KeyServiceOptions,
  key: string,
  where: string,
): Promise<KmsRecipient> {
  const client = await openKmsClient(terminal, options)
  if (client === undefined) {
    throw usage(`${where}: kms:${key} needs a key service`, {
      hint: 'give --kms-url URL and --kms-token-file FILE',
    })
  }
  const { kmsRecipient } = await import('@longhold/core/kms')
  try {
    return await kmsRecipient(client, key)
  } catch (error) {
    if (!(error instanceof LongholdError) || error.code !== 'bad_input') throw error
    throw usage(`${where}: the key service at ${client.url} has no key ${key}, or not for this token`, {
      hint: 'longhold kms keys lists those it has',
      cause: error,
    })
  }
}

async function nameService(
  terminal: Terminal,
  options: KeyServiceOptions,
): Promise<{ url: string; tokenFile: string } | undefined> {
  const config = await loadConfig(terminal)
  const url = options.kmsUrl ?? terminal.io.env['LONGHOLD_KMS_URL'] ?? config.kmsUrl
  if (url === undefined) return undefined
  const tokenFile = options.kmsTokenFile ?? terminal.io.env['LONGHOLD_KMS_TOKEN_FILE'] ?? config.kmsTokenFile
  if (tokenFile === undefined) {
    throw usage(`no token for the key service at ${url}`, { hint: 'give --kms-token-file FILE' })
  }
  return { url, tokenFile }
}

async function newClient(terminal: Terminal, url: string, tokenFile: string): Promise<KmsClient> {
  const token = await readToken(terminal, tokenFile)
  const ask = await serviceFetch(terminal, url)
  const { KmsClient: Client } = await import('@longhold/core/kms')
  try {
    return new Client({ url, token, fetch: interruptible(terminal.signal, ask) })
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    const hint = `the address is ${url}, the token is read from ${tokenFile}`
    throw usage(error.message, {
      hint: error.hint === undefined ? hint : `${error.hint}; ${hint}`,
      cause: error,
    })
  }
}

async function readToken(terminal: Terminal, path: string): Promise<string> {
  const bytes = await readInput(terminal, path, tokenLimit)
  await warnWhenShared(terminal, path)
  return new TextDecoder().decode(bytes).replace(/\r?\n$/u, '')
}

/** Ctrl-C ends the waiting for an answer, not only the time-out. */
function interruptible(interrupt: AbortSignal, ask: typeof fetch): typeof fetch {
  return async (input, init) => {
    const signals = [interrupt, init?.signal].filter((signal) => signal instanceof AbortSignal)
    return await ask(input, { ...init, signal: AbortSignal.any(signals) })
  }
}
