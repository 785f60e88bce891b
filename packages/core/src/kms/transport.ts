/** One request and its answer. The token goes into the header and nowhere else. */

import { badInput, LongholdError } from '../errors.ts'
import { strangeAnswer, unavailable } from './problems.ts'
import { hasTlsFetch, tlsFetch } from './tls-fetch.ts'

const tokenPattern = /^lhk_[0-9a-f]{24}_[A-Za-z0-9_-]{43}$/
const maxTimeoutMs = 2 ** 31 - 1
/** Above the largest answer there is, a thousand headers of 64 KiB in base64url: nobody fills our memory. */
const maxAnswerBytes = 96 * 1024 * 1024

export interface TransportOptions {
  readonly url: string
  /** `lhk_…`; left out where nobody can have one. */
  readonly token?: string
  readonly fetch?: typeof fetch
  readonly timeoutMs?: number
}

export class Transport {
  /** Without a slash at its end. */
  readonly url: string
  readonly #token: string | undefined
  readonly #fetch: typeof fetch
  readonly #timeoutMs: number

  /** @param mayBeAnonymous Whether the token may be left out. */
  constructor(
    { url, token, fetch: given, timeoutMs = 10_000 }: TransportOptions,
    mayBeAnonymous: boolean = false,
  ) {
    this.url = checkUrl(url)
    if (
      !(token === undefined && mayBeAnonymous) &&
      (typeof token !== 'string' || !tokenPattern.test(token))
    ) {
      throw badInput('this is not a token of a key service', 'it is one line that begins with lhk_')
    }
    if (!(timeoutMs > 0 && timeoutMs <= maxTimeoutMs)) throw badInput('timeoutMs must be a positive number')
    this.#token = token
    this.#fetch = given ?? fetchFor(this.url)
    this.#timeoutMs = timeoutMs
  }

  /** @throws LongholdError `unavailable` without an answer, or with one that is not JSON or has no end. */
  async send(method: string, path: string, body?: object): Promise<{ status: number; json: unknown }> {
    const signal = AbortSignal.timeout(this.#timeoutMs)
    let status: number
    let text: string | undefined
    try {
      const response = await this.#fetch(this.url + path, {
        method,
        headers: {
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        // A redirect could carry the token to somebody else.
        redirect: 'error',
        cache: 'no-store',
        credentials: 'omit',
        signal,
      })
      status = response.status
      text = await readText(response)
    } catch (error) {
      throw this.#noAnswer(error, signal)
    }
    if (text === undefined) throw strangeAnswer(this.url)
    if (text === '') return { status, json: undefined }
    try {
      return { status, json: JSON.parse(text) as unknown }
    } catch {
      throw strangeAnswer(this.url)
    }
  }

  #noAnswer(cause: unknown, signal: AbortSignal): LongholdError {
    if (cause instanceof LongholdError) return cause
    if (signal.aborted) {
      return unavailable(`the key service at ${this.url} did not answer within ${this.#timeoutMs} ms`, {
        hint: 'look at its load and its log, or wait longer',
        cause,
      })
    }
    return unavailable(`the key service at ${this.url} cannot be reached`, {
      hint: 'is it running, and is the address right?',
      cause,
    })
  }
}

/** Over TLS one that refuses classical groups, where there is one: in a browser the platform decides. */
function fetchFor(url: string): typeof fetch {
  if (url.startsWith('https:') && hasTlsFetch()) return tlsFetch()
  // Called as the platform's own: `this.#fetch(…)` would change what `this` is.
  return (input, init) => fetch(input, init)
}

/** `undefined` when it is too long. */
async function readText({ body }: Response): Promise<string | undefined> {
  const reader = body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
    bytes += read.value.length
    if (bytes > maxAnswerBytes) {
      await reader?.cancel()
      return undefined
    }
    text += decoder.decode(read.value, { stream: true })
  }
  return text + decoder.decode()
}

/** Data keys travel in the answers: they must not cross a network in the clear. */
function checkUrl(text: string): string {
  if (typeof text !== 'string' || !URL.canParse(text))
    throw badInput('the address of the key service is no URL')
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw badInput('the address of the key service holds more than scheme, host, port and path')
  }
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback)) {
    throw badInput(
      `the key service at ${url.origin} cannot be asked safely: data keys would cross the network in the clear`,
      'use https://, or http:// on this machine only',
    )
  }
  return url.href.replace(/\/+$/, '')
}
