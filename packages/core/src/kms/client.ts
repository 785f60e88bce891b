/** A client of the key service over `fetch`. */

import { fromBase64url, toBase64url } from '../bytes.ts'
import type { LongholdError } from '../errors.ts'
import { badInput } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { encodeStanza } from '../format/header.ts'
import type { Stanza } from '../format/header.ts'
import { checkOptions } from '../options.ts'
import { Secret } from '../secret.ts'
import { chunks, maxRewrapBytes, maxUnwrapBytes } from './chunks.ts'
import { itemError, requestError, strangeAnswer } from './problems.ts'
import { Transport } from './transport.ts'
import type {
  CreatedToken,
  CreateTokenRequest,
  ItemProblem,
  KeyInfo,
  Page,
  Permission,
  PublicKeyBundle,
  RewrapItem,
  RewrapResponse,
  SettableState,
  TokenInfo,
  UnwrapItem,
  UnwrapResponse,
  VersionInfo,
} from './wire.ts'

/** Where the service is, and how it is asked. */
export interface KmsClientOptions {
  /** `https://…`, or `http://` on this machine: 127.0.0.1, [::1], localhost. */
  readonly url: string
  /** `lhk_…` */
  readonly token: string
  /** Default: over TLS `tlsFetch()`, which refuses classical groups, where the platform has node:https; else its own. */
  readonly fetch?: typeof fetch
  /** For each request, its answer included. Default 10,000. */
  readonly timeoutMs?: number
}

/** One data key to be unwrapped. */
export interface UnwrapRequestItem {
  readonly stanza: Stanza
  /** 16 bytes. */
  readonly keyId: Uint8Array
  readonly keyContext?: ContextInput
}

/** What became of one item of `unwrap`. The caller wipes `dataKey` (32 bytes). */
export type UnwrapResult =
  | { readonly dataKey: Secret; readonly key: string; readonly version: number }
  | { readonly error: LongholdError }

/** One wrapped key to be rewrapped. */
export interface RewrapRequestItem {
  /** A WrappedKey (SPEC §5.1). */
  readonly wrappedKey: Uint8Array
  readonly keyContext?: ContextInput
  /** Keys that take the place of the source key (default: itself), and `lhrecipient1-…` of readers that the service
   *  does not know. */
  readonly to?: readonly string[]
}

/** What became of one item of `rewrap`: a WrappedKey (SPEC §5.1), and the version that opened the old one. */
export type RewrapResult =
  | { readonly wrappedKey: Uint8Array; readonly key: string; readonly version: number }
  | { readonly error: LongholdError }

/**
 * Asks a key service. Every method throws LongholdError: `unavailable` when the service cannot be reached, is not
 * able or does not accept the token, with a hint that says what to do; `bad_input` when it refuses the request, a
 * key it does not have among them.
 */
export class KmsClient {
  readonly url: string
  readonly #transport: Transport

  /** @throws LongholdError `bad_input` for an address or token that cannot be one. */
  constructor(options: KmsClientOptions) {
    checkOptions(options, ['url', 'token', 'fetch', 'timeoutMs'], 'KmsClient')
    this.#transport = new Transport(options)
    this.url = this.#transport.url
  }

  /**
   * Makes a key with one version, its primary.
   *
   * @param options.rewrapTo Other keys that a rewrap may move data keys to; default none.
   */
  async createKey(options: { key: string; rewrapTo?: readonly string[] }): Promise<KeyInfo> {
    checkOptions(options, ['key', 'rewrapTo'], 'createKey')
    const { key, rewrapTo } = options
    const body = { key, ...(rewrapTo === undefined ? {} : { rewrap_to: rewrapTo }) }
    return await this.#ask('POST', '/v1/keys', `key ${rewrapTo?.join(', ') ?? key}`, body)
  }

  /** All keys the token may see. */
  async listKeys(): Promise<KeyInfo[]> {
    return await this.#askAll('/v1/keys', 'list of keys')
  }

  /** One key. */
  async getKey(key: string): Promise<KeyInfo> {
    return await this.#ask('GET', keyPath(key), `key ${key}`)
  }

  /** Ascending. */
  async listVersions(key: string): Promise<VersionInfo[]> {
    return await this.#askAll(`${keyPath(key)}/versions`, `key ${key}`)
  }

  /** Makes a new version the primary one; older ones go on unwrapping. */
  async rotateKey(key: string): Promise<KeyInfo> {
    return await this.#ask('POST', `${keyPath(key)}/rotate`, `key ${key}`)
  }

  /** Switches a version that is not the primary one off, or back on. */
  async setVersionState(key: string, version: number, state: SettableState): Promise<VersionInfo> {
    const path = `${keyPath(key)}/versions/${version}`
    return await this.#ask('PATCH', path, `key ${key} with a version ${version}`, { state })
  }

  /** What a writer needs to wrap for this key. */
  async publicKey(key: string): Promise<PublicKeyBundle> {
    return await this.#ask('GET', `${keyPath(key)}/public-key`, `key ${key}`)
  }

  /** Unwraps any number of data keys. One result for each item, in order; one failing does not fail the others. */
  async unwrap(items: readonly UnwrapRequestItem[]): Promise<UnwrapResult[]> {
    const bodies: UnwrapItem[] = items.map(({ stanza, keyId, keyContext }, index) => ({
      id: String(index),
      key_id: toBase64url(keyId),
      stanza: toBase64url(encodeStanza(stanza)),
      context: contextObject(keyContext),
    }))
    const results: UnwrapResult[] = []
    try {
      for (const chunk of chunks(bodies, maxUnwrapBytes)) {
        const answers = await this.#askBatch<UnwrapResponse>('/v1/unwrap', chunk)
        // One by one: should a later one be strange, those before it are wiped.
        for (const answer of answers) results.push(this.#unwrapResult(answer))
      }
      return results
    } catch (error) {
      for (const result of results) if ('dataKey' in result) result.dataKey.wipe()
      throw error
    }
  }

  /** New headers for old, for the newest versions of their readers' keys. One result for each item, in order. */
  async rewrap(items: readonly RewrapRequestItem[]): Promise<RewrapResult[]> {
    const bodies: RewrapItem[] = items.map(({ wrappedKey, keyContext, to }, index) => ({
      id: String(index),
      wrapped_key: toBase64url(wrappedKey),
      context: contextObject(keyContext),
      ...(to === undefined ? {} : { to: [...to] }),
    }))
    const results: RewrapResult[] = []
    for (const chunk of chunks(bodies, maxRewrapBytes)) {
      const answers = await this.#askBatch<RewrapResponse>('/v1/rewrap', chunk)
      results.push(...answers.map((answer) => this.#rewrapResult(answer)))
    }
    return results
  }

  /** @returns The token's text too, which the service shows this once. */
  async createToken(options: {
    /** For people: what uses it. */
    name: string
    permissions: readonly Permission[]
    /** Default: all keys. */
    keys?: readonly string[]
    /** RFC 3339. Default: no end. */
    expiresAt?: string
  }): Promise<CreatedToken> {
    checkOptions(options, ['name', 'permissions', 'keys', 'expiresAt'], 'createToken')
    const { name, permissions, keys, expiresAt } = options
    const body: CreateTokenRequest = { name, permissions: [...permissions] }
    if (keys !== undefined) body.keys = [...keys]
    if (expiresAt !== undefined) body.expires_at = expiresAt
    return await this.#ask('POST', '/v1/tokens', 'way to make tokens', body)
  }

  /** All tokens, revoked ones among them; without their secrets. */
  async listTokens(): Promise<TokenInfo[]> {
    return await this.#askAll('/v1/tokens', 'list of tokens')
  }

  /** Ends a token at once. Its entry stays in the list. */
  async revokeToken(id: string): Promise<void> {
    await this.#ask('DELETE', `/v1/tokens/${encodeURIComponent(id)}`, `token ${id}`)
  }

  /** @param what What is missing, should the answer be 404. */
  async #ask<T>(method: string, path: string, what: string, body?: object): Promise<T> {
    const { status, json } = await this.#transport.send(method, path, body)
    if (status < 200 || status > 299) throw requestError(this.url, status, json, what)
    // The service's schemas are checked against these types where it is built.
    return json as T
  }

  async #askAll<T>(path: string, what: string): Promise<T[]> {
    const all: T[] = []
    let cursor: string | undefined
    do {
      const query = cursor === undefined ? 'limit=1000' : `limit=1000&cursor=${encodeURIComponent(cursor)}`
      const page: Page<T> = await this.#ask('GET', `${path}?${query}`, what)
      if (!Array.isArray(page?.items)) throw strangeAnswer(this.url)
      all.push(...page.items)
      // A page that leads nowhere would be asked for without end.
      const isStuck = page.items.length === 0 || page.next_cursor === cursor
      if (page.next_cursor !== undefined && isStuck) throw strangeAnswer(this.url)
      cursor = page.next_cursor
    } while (cursor !== undefined)
    return all
  }

  async #askBatch<R extends { items: { id: string }[] }>(
    path: string,
    items: readonly { id: string }[],
  ): Promise<R['items']> {
    const answers = (await this.#ask<R | undefined>('POST', path, 'batches', { items }))?.items
    const fits =
      Array.isArray(answers) &&
      answers.length === items.length &&
      answers.every((answer, index) => answer?.id === items[index]?.id)
    if (answers === undefined || !fits) throw strangeAnswer(this.url)
    return answers
  }

  #unwrapResult(answer: UnwrapResponse['items'][number]): UnwrapResult {
    if ('problem' in answer) return this.#failed(answer.problem)
    const { data_key: text, key, version } = answer
    const bytes = bytesOf(text)
    if (bytes?.length !== 32) throw strangeAnswer(this.url)
    return { dataKey: Secret.take(bytes), key, version }
  }

  #rewrapResult(answer: RewrapResponse['items'][number]): RewrapResult {
    if ('problem' in answer) return this.#failed(answer.problem)
    const { wrapped_key: text, key, version } = answer
    const wrappedKey = bytesOf(text)
    if (wrappedKey === undefined) throw strangeAnswer(this.url)
    return { wrappedKey, key, version }
  }

  #failed(problem: ItemProblem): { error: LongholdError } {
    return { error: itemError(this.url, problem) }
  }
}

/** The service may be another than its types say. */
function bytesOf(text: unknown): Uint8Array<ArrayBuffer> | undefined {
  return typeof text === 'string' ? fromBase64url(text) : undefined
}

function keyPath(key: string): string {
  // A dot segment would be resolved away and name another path.
  if (typeof key !== 'string' || key === '' || key === '.' || key === '..') throw badInput('a key has a name')
  return `/v1/keys/${encodeURIComponent(key)}`
}

function contextObject(context: ContextInput | undefined): Record<string, string> {
  return Object.fromEntries(canonicalize(context).pairs)
}
