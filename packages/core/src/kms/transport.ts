/** One request and its answer, with repetitions where they are harmless. The token goes into the header and nowhere else. */

import { toHex } from '../bytes.ts'
import { badInput, LongholdError } from '../errors.ts'
import { strangeAnswer, unavailable } from './problems.ts'
import { isPassing, pause, pauseMs } from './retry.ts'
import type { RequestKind } from './retry.ts'
import { hasTlsFetch, tlsFetch } from './tls-fetch.ts'

const tokenPattern = /^lhk_[0-9a-f]{24}_[A-Za-z0-9_-]{43}$/
const maxTimeoutMs = 2 ** 31 - 1
const maxAttempts = 10
/** Above the largest answer there is, a thousand headers of 64 KiB in base64url: nobody fills our memory. */
const maxAnswerBytes = 96 * 1024 * 1024

export interface TransportOptions {
  readonly url: string
  /** `lhk_…`; left out where nobody can have one. */
  readonly token?: string
  readonly fetch?: typeof fetch
  readonly timeoutMs?: number
  readonly deadlineMs?: number
  readonly attempts?: number
  readonly signal?: AbortSignal
}

/** One request. */
export interface Sending {
  readonly body?: object | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** Default: `read` for GET, `change` for all others. */
  readonly kind?: RequestKind | undefined
}

/** What came back, if anything did. */
type Attempt =
  | { readonly status: number; readonly json: unknown; readonly retryAfter: string | null }
  | { readonly error: LongholdError; readonly isOver: boolean }

export class Transport {
  /** Without a slash at its end. */
  readonly url: string
  readonly #token: string | undefined
  readonly #fetch: typeof fetch
  readonly #timeoutMs: number
  readonly #deadlineMs: number
  readonly #attempts: number
  readonly #signal: AbortSignal | undefined

  /** @param mayBeAnonymous Whether the token may be left out. */
  constructor(
    { url, token, fetch: given, timeoutMs = 10_000, ...options }: TransportOptions,
    mayBeAnonymous: boolean = false,
  ) {
    const { deadlineMs = 30_000, attempts = 3, signal } = options
    this.url = checkUrl(url)
    if (
      !(token === undefined && mayBeAnonymous) &&
      (typeof token !== 'string' || !tokenPattern.test(token))
    ) {
      throw badInput('this is not a token of a key service', 'it is one line that begins with lhk_')
    }
    if (!(timeoutMs > 0 && timeoutMs <= maxTimeoutMs)) throw badInput('timeoutMs must be a positive number')
    if (!(deadlineMs > 0 && deadlineMs <= maxTimeoutMs))
      throw badInput('deadlineMs must be a positive number')
    if (!(Number.isInteger(attempts) && attempts >= 1 && attempts <= maxAttempts)) {
      throw badInput(`attempts must be a whole number from 1 to ${maxAttempts}`)
    }
    this.#token = token
    this.#fetch = given ?? fetchFor(this.url)
    this.#timeoutMs = timeoutMs
    this.#deadlineMs = deadlineMs
    this.#attempts = attempts
    this.#signal = signal
  }

  /**
   * Sends a request, and sends it again where that is harmless and makes sense, until the deadline.
   *
   * @throws LongholdError `unavailable` without an answer, or with one that is not JSON or has no end.
   */
  async send(
    method: string,
    path: string,
    { body, headers = {}, kind = method === 'GET' ? 'read' : 'change' }: Sending = {},
  ): Promise<{ status: number; json: unknown }> {
    const until = Date.now() + this.#deadlineMs
    const request = {
      method,
      headers: {
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        accept: 'application/json',
        ...(kind === 'change' ? { 'idempotency-key': freshKey() } : {}),
        ...headers,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      // A redirect could carry the token to somebody else.
      redirect: 'error',
      cache: 'no-store',
      credentials: 'omit',
    } as const
    for (let number = 1; ; number++) {
      const attempt = await this.#attempt(path, request, Math.min(this.#timeoutMs, until - Date.now()))
      const isLast = number >= this.#attempts || kind === 'once'
      if ('error' in attempt) {
        if (attempt.isOver || isLast) throw attempt.error
      } else if (isLast || !isPassing(attempt.status, codeOf(attempt.json), kind)) {
        return attempt
      }
      const waitMs = pauseMs(number, 'error' in attempt ? null : attempt.retryAfter)
      if (Date.now() + waitMs < until) await pause(waitMs, this.#signal)
      else if ('error' in attempt) throw attempt.error
      else return attempt
    }
  }

  /**
   * Sends a request once, whose answer may be bytes of any length.
   *
   * @param waitMs For the beginning of the answer; its bytes may take any time.
   * @returns The bytes, or what an answer of JSON holds.
   * @throws LongholdError `unavailable` without an answer; reading the bytes fails with the platform's error.
   */
  async receive(
    method: string,
    path: string,
    waitMs: number,
  ): Promise<
    | { readonly status: number; readonly headers: Headers; readonly bytes: ReadableStream<Uint8Array> }
    | { readonly status: number; readonly json: unknown }
  > {
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(), waitMs)
    const signals = [timeout.signal, ...(this.#signal === undefined ? [] : [this.#signal])]
    let response: Response
    try {
      response = await this.#fetch(this.url + path, {
        method,
        headers: this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` },
        redirect: 'error',
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.any(signals),
      })
    } catch (error) {
      throw this.#noAnswer(error, timeout.signal, waitMs)
    } finally {
      clearTimeout(timer)
    }
    const { status, headers, body } = response
    if (headers.get('content-type') === 'application/octet-stream' && body !== null) {
      return { status, headers, bytes: body }
    }
    try {
      return { status, json: JSON.parse((await readText(response)) ?? '') as unknown }
    } catch {
      throw strangeAnswer(this.url)
    }
  }

  /** `isOver`: another one would end alike. */
  async #attempt(path: string, request: RequestInit, timeoutMs: number): Promise<Attempt> {
    const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)))
    const signal = this.#signal === undefined ? timeout : AbortSignal.any([timeout, this.#signal])
    let response: Response
    let text: string | undefined
    try {
      response = await this.#fetch(this.url + path, { ...request, signal })
      text = await readText(response)
    } catch (error) {
      const isOver = error instanceof LongholdError || this.#signal?.aborted === true
      return { error: this.#noAnswer(error, timeout, timeoutMs), isOver }
    }
    const { status } = response
    const retryAfter = response.headers.get('retry-after')
    if (text === '') return { status, json: undefined, retryAfter }
    try {
      if (text !== undefined) return { status, json: JSON.parse(text) as unknown, retryAfter }
    } catch {
      // Said below, unless it is the page of a proxy that has nobody to ask.
      if (isPassing(status, undefined, 'read')) return { status, json: undefined, retryAfter }
    }
    return { error: strangeAnswer(this.url), isOver: true }
  }

  #noAnswer(cause: unknown, timeout: AbortSignal, timeoutMs: number): LongholdError {
    if (cause instanceof LongholdError) return cause
    if (this.#signal?.aborted === true) {
      return unavailable(`a request to the key service at ${this.url} was given up by its caller`, { cause })
    }
    if (timeout.aborted) {
      return unavailable(`the key service at ${this.url} did not answer within ${timeoutMs} ms`, {
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

/** Not secret, but never the same twice. */
function freshKey(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(16)))
}

function codeOf(json: unknown): unknown {
  return typeof json === 'object' && json !== null && 'code' in json ? json.code : undefined
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
