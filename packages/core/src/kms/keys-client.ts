/** What operators ask about keys and their versions; reached as `client.keys`. */

import { fromBase64url, toBase64url } from '../bytes.ts'
import { badInput } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { Secret } from '../secret.ts'
import type {
  AliasInfo,
  CensusInfo,
  CensusRequest,
  ClockInfo,
  CreateDataKeysResponse,
  DecapsulateResponse,
  DestroyAnswer,
  DestroyCheck,
  ImportKeyRequest,
  KeyExport,
  KeyInfo,
  RotateKeyRequest,
  SettableState,
  UpdateKeyRequest,
  VersionInfo,
  VersionUsage,
  WrappedKeyCount,
} from './keys-wire.ts'

/** How requests are sent. Every method throws what the client that lends it throws. */
export interface KeysRequests {
  /** The body of one answer. @param what What is missing, should the answer be 404. */
  ask<T>(method: string, path: string, what: string, request?: KeysRequest): Promise<T>
  /** The items of all pages. @param what What is missing, should the answer be 404. */
  askAll<T>(path: string, what: string): Promise<T[]>
  /** For an answer that no service of ours gives; returned, not thrown. */
  strangeAnswer(): Error
}

/** Body of a request, and the generation it expects. */
export interface KeysRequest {
  readonly body?: object
  readonly generation?: number
}

/** A data key made by the service, with its wrapped form. */
export interface CreatedDataKey {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  /** A WrappedKey (SPEC §5.1). */
  readonly wrappedKey: Uint8Array
  /** 32 bytes, when it was asked for. The caller wipes it. */
  readonly dataKey: Secret | undefined
}

/**
 * Looks after keys. Every method throws LongholdError as those of KmsClient do: `bad_input` also when the state of
 * things does not allow what is asked.
 */
export class KmsKeys {
  readonly #requests: KeysRequests

  /** Not for callers: `client.keys` is one. */
  constructor(requests: KeysRequests) {
    this.#requests = requests
  }

  /**
   * Changes what is said of a key.
   *
   * @param generation The key's, from `getKey`: whoever changed it since then is not overrun.
   */
  async update(key: string, generation: number, changes: UpdateKeyRequest): Promise<KeyInfo> {
    return await this.#ask('PATCH', keyPath(key), `key ${key}`, { body: changes, generation })
  }

  /** A new version; with `pending` it becomes primary by `setVersionState` only. */
  async rotate(key: string, activate: NonNullable<RotateKeyRequest['activate']> = 'now'): Promise<KeyInfo> {
    return await this.#ask('POST', `${keyPath(key)}/rotate`, `key ${key}`, { body: { activate } })
  }

  /** One version. */
  async version(key: string, version: number): Promise<VersionInfo> {
    return await this.#ask('GET', versionPath(key, version), versionName(key, version))
  }

  /** Makes a version primary, switches it off or on, or marks it as compromised. */
  async setVersionState(key: string, version: number, state: SettableState): Promise<VersionInfo> {
    const path = versionPath(key, version)
    return await this.#ask('PATCH', path, versionName(key, version), { body: { state } })
  }

  /**
   * Begins the waiting period at whose end the private key of a version is overwritten.
   *
   * @param generation The key's.
   */
  async destroyVersion(key: string, version: number, generation: number): Promise<DestroyAnswer> {
    const path = `${versionPath(key, version)}/destroy`
    return await this.#ask('POST', path, versionName(key, version), { generation })
  }

  /** Calls a destruction off; the version is disabled then. */
  async restoreVersion(key: string, version: number): Promise<VersionInfo> {
    return await this.#ask('POST', `${versionPath(key, version)}/restore`, versionName(key, version))
  }

  /** Whether a version can be destroyed without losing data. */
  async destroyCheck(key: string, version: number): Promise<DestroyCheck> {
    return await this.#ask('GET', `${versionPath(key, version)}/destroy-check`, versionName(key, version))
  }

  /** How much each version is used. */
  async usage(key: string): Promise<VersionUsage[]> {
    return await this.#requests.askAll(`${keyPath(key)}/usage`, `key ${key}`)
  }

  /** Says how many wrapped keys a store holds, by version; null registers a consumer that counts later. */
  async putCensus(
    key: string,
    consumer: string,
    counts: readonly WrappedKeyCount[] | null,
  ): Promise<CensusInfo> {
    return await this.#ask('PUT', censusPath(key, consumer), `key ${key}`, { body: { counts } })
  }

  /** Says who speaks for a consumer from now on: all tokens of a principal, or one token. */
  async assignCensus(
    key: string,
    consumer: string,
    to: NonNullable<CensusRequest['assign_to']>,
  ): Promise<CensusInfo> {
    return await this.#ask('PUT', censusPath(key, consumer), `key ${key}`, { body: { assign_to: to } })
  }

  /** What a consumer last said. */
  async census(key: string, consumer: string): Promise<CensusInfo> {
    return await this.#ask('GET', censusPath(key, consumer), `census of ${consumer} for the key ${key}`)
  }

  /** For a consumer that holds no wrapped keys any more, and counts no more. */
  async removeCensus(key: string, consumer: string): Promise<void> {
    await this.#ask('DELETE', censusPath(key, consumer), `census of ${consumer} for the key ${key}`)
  }

  /** Every alias whose key the token may see. */
  async aliases(): Promise<AliasInfo[]> {
    return await this.#requests.askAll('/v1/aliases', 'list of aliases')
  }

  /** One alias. */
  async alias(alias: string): Promise<AliasInfo> {
    return await this.#ask('GET', aliasPath(alias), `alias ${alias}`)
  }

  /** Makes an alias, or points it at another key: writers that use it wrap for that key from then on. */
  async putAlias(alias: string, key: string): Promise<AliasInfo> {
    return await this.#ask('PUT', aliasPath(alias), `key ${key}`, { body: { key } })
  }

  /** Ends an alias; nothing that was wrapped depends on it. */
  async removeAlias(alias: string): Promise<void> {
    await this.#ask('DELETE', aliasPath(alias), `alias ${alias}`)
  }

  /**
   * Data keys made and wrapped by the service.
   *
   * @param key A key or an alias.
   * @param options.count 1 to 1,000; default 1. `options.plaintext`: whether the data keys themselves are wanted.
   */
  async createDataKeys(
    key: string,
    options: { count?: number; keyContext?: ContextInput; plaintext?: boolean } = {},
  ): Promise<CreatedDataKey[]> {
    const { count = 1, keyContext, plaintext = false } = options
    const context = Object.fromEntries(canonicalize(keyContext).pairs)
    const { items } = await this.#ask<CreateDataKeysResponse>(
      'POST',
      `${keyPath(key)}/data-keys`,
      `key ${key}`,
      { body: { count, context, plaintext } },
    )
    if (!Array.isArray(items) || items.length !== count) throw this.#requests.strangeAnswer()
    return items.map(({ key_id: keyId, wrapped_key: wrappedKey, data_key: dataKey }) => {
      if ((dataKey !== undefined) !== plaintext) throw this.#requests.strangeAnswer()
      return {
        keyId: this.#bytes(keyId, 16),
        wrappedKey: this.#bytes(wrappedKey),
        dataKey: dataKey === undefined ? undefined : Secret.take(this.#bytes(dataKey, 32)),
      }
    })
  }

  /**
   * The shared secret of an encapsulation for a version of a `raw-kem` key (RFC 9180 §4.1).
   *
   * @returns 32 bytes; the caller wipes them.
   */
  async decapsulate(key: string, version: number, encapsulatedKey: Uint8Array): Promise<Secret> {
    const body = { version, encapsulated_key: toBase64url(encapsulatedKey) }
    const path = `${keyPath(key)}/decapsulate`
    const answer = await this.#ask<DecapsulateResponse>('POST', path, versionName(key, version), { body })
    return Secret.take(this.#bytes(answer?.shared_secret, 32))
  }

  /** The private keys of a key, sealed for `recipient` (`lhrecipient1-…`); the service remembers that for ever. */
  async exportKey(key: string, recipient: string): Promise<KeyExport> {
    return await this.#ask('POST', `${keyPath(key)}/export`, `key ${key}`, { body: { recipient } })
  }

  /** A key from a package that `sealKeyPackage` or an export made. */
  async importKey(
    request: Omit<ImportKeyRequest, 'package'> & { readonly package: Uint8Array },
  ): Promise<KeyInfo> {
    const body = { ...request, package: toBase64url(request.package) }
    return await this.#ask('POST', '/v1/keys/import', `key ${request.key}`, { body })
  }

  /** The clock by which keys are rotated and destroyed. */
  async clock(): Promise<ClockInfo> {
    return await this.#ask('GET', '/v1/sys/clock', 'clock')
  }

  /** Says that the clock is right after a jump: destruction goes on. */
  async acceptClock(): Promise<ClockInfo> {
    return await this.#ask('POST', '/v1/sys/clock/accept', 'clock')
  }

  #ask<T>(method: string, path: string, what: string, request?: KeysRequest): Promise<T> {
    return this.#requests.ask(method, path, what, request)
  }

  #bytes(text: unknown, length?: number): Uint8Array<ArrayBuffer> {
    const bytes = typeof text === 'string' ? fromBase64url(text) : undefined
    if (bytes === undefined || (length !== undefined && bytes.length !== length)) {
      throw this.#requests.strangeAnswer()
    }
    return bytes
  }
}

/** @throws LongholdError `bad_input` for what would be resolved away and name another path. */
export function keyPath(key: string): string {
  return `/v1/keys/${segment(key, 'a key')}`
}

function aliasPath(alias: string): string {
  return `/v1/aliases/${segment(alias, 'an alias')}`
}

function versionPath(key: string, version: number): string {
  return `${keyPath(key)}/versions/${version}`
}

function censusPath(key: string, consumer: string): string {
  return `${keyPath(key)}/census/${segment(consumer, 'a consumer')}`
}

function versionName(key: string, version: number): string {
  return `key ${key} with a version ${version}`
}

function segment(name: string, what: string): string {
  if (typeof name !== 'string' || name === '' || name === '.' || name === '..')
    throw badInput(`${what} has a name`)
  return encodeURIComponent(name)
}
