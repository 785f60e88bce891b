/** The key service as its operator sees it: on its admin socket without a token, or over the network with one. */

import { join } from 'node:path'

import { Option } from '@commander-js/extra-typings'
import { LongholdError } from '@longhold/core'
import type { KmsSysClient, SealStatus } from '@longhold/core/kms'
import type { Values } from '@longhold/kms/config'

import { loadConfig } from './config.ts'
import { CliError, exit, usage } from './errors.ts'
import { serviceAddress } from './key-service.ts'
import type { KeyServiceOptions } from './key-service.ts'
import { serviceFetch } from './service-fetch.ts'
import { socketFetch } from './socket-fetch.ts'
import type { Terminal } from './terminal.ts'

export interface SocketOptions {
  readonly adminSocket?: string | undefined
  readonly dataDir?: string | undefined
}

/** Unsealing computes Argon2id, or asks another service. */
const timeoutMs = 60_000
const nobody = 'http://localhost'

export function adminSocketOption() {
  return new Option('--admin-socket <path>', 'the admin socket of the key service')
}

export function dataDirOption() {
  return new Option('--data-dir <directory>', 'the data directory whose admin.sock is asked')
}

/**
 * Asks on the admin socket.
 *
 * @throws CliError what the service refuses, in its words; exit code 4 when it is not there.
 */
export async function onSocket<T>(
  terminal: Terminal,
  options: SocketOptions,
  ask: (client: KmsSysClient) => Promise<T>,
): Promise<T> {
  const path = await socketPath(terminal, options)
  const { KmsSysClient: Client } = await import('@longhold/core/kms')
  const client = new Client({ url: nobody, fetch: interruptible(terminal, socketFetch(path)), timeoutMs })
  try {
    return await ask(client)
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    const code = error.code === 'unavailable' ? exit.stopped : exit.usage
    throw new CliError(error.code, code, error.message.replaceAll(nobody, path), {
      hint: error.hint,
      cause: error,
    })
  }
}

/** Where the service of these settings has its admin socket; undefined: nowhere. */
export function socketOf({ 'admin-socket': socket, 'data-dir': dataDir }: Values): string | undefined {
  if (socket !== undefined) return socket === 'none' ? undefined : socket
  return dataDir === undefined ? undefined : join(dataDir, 'admin.sock')
}

/**
 * The service that runs on this data directory, if one answers on its admin socket.
 *
 * @param path Of the socket; undefined: there is none.
 */
export async function runningService(
  terminal: Terminal,
  path: string | undefined,
): Promise<{ readonly status: SealStatus; ask: Asking } | undefined> {
  if (path === undefined) return undefined
  const options = { adminSocket: path }
  try {
    const status = await onSocket(terminal, options, (client) => client.sealStatus())
    return { status, ask: (question) => onSocket(terminal, options, question) }
  } catch (error) {
    if (error instanceof CliError && error.exitCode === exit.stopped && !terminal.signal.aborted)
      return undefined
    throw error
  }
}

/** Throws as `onSocket`. */
type Asking = <T>(question: (client: KmsSysClient) => Promise<T>) => Promise<T>

/** A client with the token of `--kms-token-file`, for `--kms-url`. */
export async function needSysClient(terminal: Terminal, options: KeyServiceOptions): Promise<KmsSysClient> {
  const address = await serviceAddress(terminal, options)
  if (address === undefined) {
    throw usage('no key service', { hint: 'give --kms-url URL and --kms-token-file FILE' })
  }
  const { KmsSysClient: Client } = await import('@longhold/core/kms')
  return new Client({
    ...address,
    fetch: interruptible(terminal, await serviceFetch(terminal, address.url)),
    timeoutMs,
  })
}

async function socketPath(terminal: Terminal, { adminSocket, dataDir }: SocketOptions): Promise<string> {
  if (adminSocket !== undefined) return terminal.path(adminSocket)
  const config = await loadConfig(terminal)
  const directory = dataDir === undefined ? config.kms.dataDir : terminal.path(dataDir)
  if (directory !== undefined) return join(directory, 'admin.sock')
  throw usage('no admin socket of a key service', {
    hint: 'give --data-dir DIRECTORY or --admin-socket PATH, on the machine of the service',
  })
}

/** Ctrl-C ends the waiting for an answer. */
function interruptible({ signal: interrupt }: Terminal, ask: typeof fetch): typeof fetch {
  return async (input, init) => {
    const signals = [interrupt, init?.signal].filter((signal) => signal instanceof AbortSignal)
    return await ask(input, { ...init, signal: AbortSignal.any(signals) })
  }
}
