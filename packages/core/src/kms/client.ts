/** A client of the key service over `fetch`. */

import { fromBase64url, toBase64url } from '../bytes.ts'
import type { LongholdError } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { encodeStanza } from '../format/header.ts'
import type { Stanza } from '../format/header.ts'
import { checkOptions } from '../options.ts'
import { Secret } from '../secret.ts'
import { KmsAccess } from './access-client.ts'
import { KmsAudit } from './audit-client.ts'
import { Bundles } from './bundles.ts'
import { chunks, maxRewrapBytes, maxUnwrapBytes } from './chunks.ts'
import { keyPath, KmsKeys } from './keys-client.ts'
import type { KeysRequest, KeysRequests } from './keys-client.ts'
import type {
  CreateKeyRequest,
  KeyInfo,
  KeySettings,
  KeyPurpose,
  SettableState,
  VersionInfo,
} from './keys-wire.ts'
import { itemError, requestError, strangeAnswer } from './problems.ts'
import type { RequestKind } from './retry.ts'
import { parsePin } from './service-identity.ts'
import { Transport } from './transport.ts'
import type {
  CreatedToken,
  RevokedTokens,
  CreateTokenRequest,
  ItemProblem,
  Page,
  Permission,
  PublicKeyBundle,
  RewrapItem,
  RewrapResponse,
  SigningIdentity,
  TokenInfo,
  UnwrapItem,
  UnwrapResponse,
} from './wire.ts'

/** Where the service is, and how it is asked. */
export interface KmsClientOptions {
  /** `https://…`, or `http://` on this machine: 127.0.0.1, [::1], localhost. */
  readonly url: string
  /** `lhk_…` */
  readonly token: string
  /** Default: over TLS `tlsFetch()`, which refuses classical groups, where the platform has node:https; else its own. */
  readonly fetch?: typeof fetch
  /** For each attempt, its answer included. Default 10,000. */
  readonly timeoutMs?: number
  /** For a request with all its repetitions. Default 30,000. */
  readonly deadlineMs?: number
  /** How often a request is sent at most, 1 to 10, where sending it again is harmless: nothing is read or changed twice.
   *  Default 3. */
  readonly attempts?: number
  /** Gives up whatever is under way, and everything after. */
  readonly signal?: AbortSignal
  /**
   * The fingerprint of the service's signing identity, as `longhold kms` or `GET /v1/sys/identity` says it on the
   * service's machine. With it, public keys are taken only from the service that signs as this one, whoever stands in
   * between. 64 hexadecimal digits, spaces allowed.
   */
  readonly pin?: string
}

/** What may differ from one call to the next. */
export type KmsCallOptions = Pick<KmsClientOptions, 'timeoutMs' | 'deadlineMs' | 'attempts' | 'signal'>

const clientOptions = [
  'url',
  'token',
  'fetch',
  'timeoutMs',
  'deadlineMs',
  'attempts',
  'signal',
  'pin',
] as const

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
  /** What operators ask about keys. */
  readonly keys: KmsKeys
  /** Principals and their grants. */
  readonly access: KmsAccess
  /** The audit log. */
  readonly audit: KmsAudit
  readonly #transport: Transport
  readonly #options: KmsClientOptions
  readonly #bundles: Bundles

  /** @throws LongholdError `bad_input` for an address or token that cannot be one. */
  constructor(options: KmsClientOptions) {
    checkOptions(options, clientOptions, 'KmsClient')
    const { pin, ...transport } = options
    this.#options = { ...options }
    this.#transport = new Transport(transport)
    this.url = this.#transport.url
    this.#bundles = new Bundles({
      url: this.url,
      pinned: pin === undefined ? undefined : parsePin(pin),
      ask: (key, purpose) => {
        const query = purpose === 'wrap' ? '' : `?purpose=${purpose}`
        return this.#ask('GET', `${keyPath(key)}/public-key${query}`, `key ${key}`)
      },
      askIdentity: () => this.#ask('GET', '/v1/sys/identity', 'signing identity: is it of an older release?'),
    })
    const requests: KeysRequests = {
      ask: (method, path, what, request) => this.#ask(method, path, what, request),
      askAll: (path, what) => this.#askAll(path, what),
      strangeAnswer: () => strangeAnswer(this.url),
    }
    this.keys = new KmsKeys(requests)
    this.access = new KmsAccess(requests)
    this.audit = new KmsAudit(requests)
  }

  /**
   * Makes a key with one version, its primary.
   *
   * @param options.rewrapTo Other keys that a rewrap may move data keys to; default none. `options.settings`: what else
   * is to be said of the key from its beginning.
   */
  async createKey(options: {
    key: string
    rewrapTo?: readonly string[]
    purpose?: KeyPurpose
    settings?: Omit<KeySettings, 'rewrap_to'>
  }): Promise<KeyInfo> {
    checkOptions(options, ['key', 'rewrapTo', 'purpose', 'settings'], 'createKey')
    const { key, rewrapTo, purpose, settings } = options
    const body: CreateKeyRequest = { key, ...settings }
    if (rewrapTo !== undefined) body.rewrap_to = [...rewrapTo]
    if (purpose !== undefined) body.purpose = purpose
    return await this.#ask('POST', '/v1/keys', `key ${rewrapTo?.join(', ') ?? key}`, { body })
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
    return await this.keys.rotate(key)
  }

  /** Switches a version that is not the primary one off, or back on. */
  async setVersionState(key: string, version: number, state: SettableState): Promise<VersionInfo> {
    return await this.keys.setVersionState(key, version, state)
  }

  /**
   * What a writer needs to wrap for this key; with `raw-kem`, what others need to encapsulate to one that was made for
   * it. Asked for as the other, a key is refused: what is wrapped for a `raw-kem` key is never unwrapped.
   */
  async publicKey(key: string, purpose: KeyPurpose = 'wrap'): Promise<PublicKeyBundle> {
    return await this.#bundles.get(key, purpose)
  }

  /** Whom the service signs as: compare the fingerprint with what its own machine says before you pin it. */
  async signingIdentity(): Promise<SigningIdentity> {
    return await this.#ask('GET', '/v1/sys/identity', 'signing identity')
  }

  /** The same client with a signal, a deadline or other limits: for one call, or some. */
  with(options: KmsCallOptions): KmsClient {
    checkOptions(options, ['timeoutMs', 'deadlineMs', 'attempts', 'signal'], 'KmsClient.with')
    const client = new KmsClient({ ...this.#options, ...options })
    client.#bundles.adopt(this.#bundles)
    return client
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
    /** Whose it is: what it may do is then what both it and the grants of the principal allow. */
    principal?: string
    permissions: readonly Permission[]
    /** Default: all keys. */
    keys?: readonly string[]
    /** RFC 3339. Default: no end. */
    expiresAt?: string
  }): Promise<CreatedToken> {
    checkOptions(options, ['name', 'principal', 'permissions', 'keys', 'expiresAt'], 'createToken')
    const { name, principal, permissions, keys, expiresAt } = options
    const body: CreateTokenRequest = { name, permissions: [...permissions] }
    if (principal !== undefined) body.principal = principal
    if (keys !== undefined) body.keys = [...keys]
    if (expiresAt !== undefined) body.expires_at = expiresAt
    return await this.#ask('POST', '/v1/tokens', 'way to make tokens', { body })
  }

  /** All tokens, revoked ones among them; without their secrets. */
  async listTokens(): Promise<TokenInfo[]> {
    return await this.#askAll('/v1/tokens', 'list of tokens')
  }

  /**
   * Ends a token at once, and all that were made with it, but the one of this client and what that made. Their entries
   * stay in the list.
   *
   * @param options `keepDescendants`: only the one. Default: false.
   */
  async revokeToken(
    id: string,
    options: { readonly keepDescendants?: boolean } = {},
  ): Promise<RevokedTokens> {
    checkOptions(options, ['keepDescendants'], 'revokeToken')
    const query = options.keepDescendants === true ? '?descendants=keep' : ''
    return await this.#ask('DELETE', `/v1/tokens/${encodeURIComponent(id)}${query}`, `token ${id}`)
  }

  /** @param what What is missing, should the answer be 404. */
  async #ask<T>(
    method: string,
    path: string,
    what: string,
    { body, generation, kind }: KeysRequest & { readonly kind?: RequestKind } = {},
  ): Promise<T> {
    const headers = generation === undefined ? {} : { 'if-match': `"${generation}"` }
    const { status, json } = await this.#transport.send(method, path, { body, headers, kind })
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
    const answers = (
      await this.#ask<R | undefined>('POST', path, 'batches', { body: { items }, kind: 'read' })
    )?.items
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

function contextObject(context: ContextInput | undefined): Record<string, string> {
  return Object.fromEntries(canonicalize(context).pairs)
}
