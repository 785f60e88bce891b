/** What a keyring is opened with and asked for, checked before anything is done. */

import { copyBytes } from '../bytes.ts'
import { badInput, cannotOpen } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { limitsFrom } from './data-key-limits.ts'
import type { DataKeyLimits } from './data-key-limits.ts'
import { recordContextOf } from './data-key.ts'
import type { RecordOptions } from './data-key.ts'
import type { Identity, LocalIdentity } from './identity.ts'
import { DataKeyCache } from './keyring-cache.ts'
import type { CacheOptions, CachedKey } from './keyring-cache.ts'
import type { KeyringKey } from './keyring-key.ts'
import { isReservedName } from './keyring-names.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { RewrapProgress } from './keyring-rewrap.ts'
import { Policy } from './policy.ts'
import type { KeyringPolicy } from './policy.ts'
import type { Recipient } from './recipient.ts'
import type { SuitesOption } from './suite.ts'
import { keyContextJson } from './wrapped-key-store.ts'
import type { DataKeyOwner, DataKeyUse, WrappedKeyStore } from './wrapped-key-store.ts'
import { checkIdentities } from './wrapped-key.ts'

/** What a keyring is opened with. */
export interface KeyringOptions extends SuitesOption {
  /** 1 or more: what data keys are unwrapped with. */
  readonly identities: readonly Identity[]
  /**
   * 1 to 32, no one twice: whom new data keys are wrapped for. One of `identities` must be among them. Left out, the
   * keyring only reads: it changes nothing in the store, and what would is `bad_input`.
   */
  readonly recipients?: readonly Recipient[]
  /** Not closed with the keyring. */
  readonly store: WrappedKeyStore
  readonly limits?: DataKeyLimits
  readonly cache?: CacheOptions
  readonly policy?: KeyringPolicy
  /**
   * `parseKeyringKey` of what `makeKeyringKey` gave, from where whoever writes to the store cannot change it. Data keys that
   * the keyring key does not vouch for are then not used (SPEC §12.1). Without it, who may write to the store and knows a
   * recipient can have new records written under a data key of his.
   */
  readonly keyringKey?: KeyringKey
  /**
   * How long it may go unnoticed that another process moved the data key in use: the state is looked up again when
   * something is awaited after that. Default a minute.
   */
  readonly refreshMs?: number
}

/** Whose data keys of a name are meant. */
export interface OwnerOptions {
  /** Bound to the wraps of its data keys and shown to a key service: a tenant, a person. Reaches logs. Default none. */
  readonly keyContext?: ContextInput
}

/** Whose data keys, and how much is to be encrypted under them at once. */
export interface DataKeyOptions extends OwnerOptions, Partial<DataKeyUse> {}

/** What a record is bound to, and perhaps whose it must be. */
export interface KeyringRecordOptions extends RecordOptions {
  /** When given, the data key must be bound to exactly this; `DataKeyHandle.decrypt` always sees to it. */
  readonly keyContext?: ContextInput
}

/** What `Keyring.rewrap` is told. */
export interface KeyringRewrapOptions {
  /** All who can open the data keys afterwards, and those made later. Default: the keyring's. */
  readonly recipients?: readonly Recipient[]
  /** Called after each page of the store; what it throws ends the rewrap, and what is done stays done. */
  readonly onProgress?: (progress: RewrapProgress) => void
  /** A key id, 16 bytes: go on behind it. */
  readonly after?: Uint8Array
}

const maxNameLength = 256

/** @throws LongholdError `bad_input`, `unsupported`. */
export function partsFrom(options: KeyringOptions, now: () => number): KeyringParts {
  const known = [
    'identities',
    'recipients',
    'store',
    'suites',
    'limits',
    'cache',
    'policy',
    'keyringKey',
    'refreshMs',
  ]
  checkOptions(options, known, 'openKeyring')
  const {
    identities,
    recipients,
    store,
    suites,
    limits,
    cache = {},
    keyringKey,
    refreshMs = 60_000,
  } = options
  checkIdentities(identities)
  if (identities.length === 0)
    throw badInput(
      'no identities: a keyring could not use its own data keys',
      'encrypt needs recipients alone',
    )
  if (typeof store?.insertWriting !== 'function')
    throw badInput('openKeyring: store is no WrappedKeyStore', 'there are some in @longhold/core/stores/*')
  if (typeof refreshMs !== 'number' || !(refreshMs >= 0))
    throw badInput('openKeyring: refreshMs must be a number, 0 or more')
  const policy = new Policy(suites, options.policy)
  policy.checkIdentities(identities as readonly Partial<LocalIdentity>[]) // some have more than an Identity must
  if (recipients !== undefined) policy.checkRecipients(recipients)
  const checkedLimits = limitsFrom(limits)
  if (policy.maxReadAgeMs < checkedLimits.maxAgeMs)
    throw badInput(
      'policy: maxReadAgeMs is less than limits.maxAgeMs: what was just written could not be read',
    )
  if (keyringKey !== undefined && typeof keyringKey?.open !== 'function')
    throw badInput('openKeyring: keyringKey is none', 'parseKeyringKey makes one')
  const parts: KeyringParts = {
    store,
    identities: [...identities],
    recipients: [...(recipients ?? [])],
    keyringKey: undefined,
    policy,
    limits: checkedLimits,
    cache: new DataKeyCache(cache, now, policy.maxReadAgeMs),
    refreshMs,
    now,
    left: new Set(),
    indexKeys: new Map(),
    openingIndexKeys: new Map(),
  }
  parts.keyringKey = keyringKey?.open(parts)
  return parts
}

/** @throws LongholdError `bad_input`, `bad_context`. */
export function ownerFrom(name: string, options: OwnerOptions, where: string): DataKeyOwner {
  checkOptions(options, ['keyContext'], where)
  // Databases refuse some control characters, and people do not see them.
  if (typeof name !== 'string' || name.length < 1 || name.length > maxNameLength || /\p{Cc}/u.test(name))
    throw badInput(`${where}: a name has 1 to ${maxNameLength} characters, none of them a control character`)
  if (!name.isWellFormed()) throw badInput(`${where}: the name has a lone surrogate`)
  if (isReservedName(name))
    throw badInput(`${where}: "${name}" is a name of the keyring’s own keys (SPEC §12)`)
  return { name, keyContext: canonicalize(options.keyContext).pairs }
}

/** A copy of a key id. */
export function keyIdFrom(keyId: Uint8Array, where: string): Uint8Array {
  checkBytes(keyId, `${where}: keyId`)
  if (keyId.length !== keyIdBytes)
    throw badInput(`${where}: a key id has ${keyIdBytes} bytes, not ${keyId.length}`)
  return copyBytes(keyId)
}

/** Copies of key ids. */
export function keyIdsFrom(keyIds: readonly Uint8Array[], where: string): Uint8Array[] {
  if (!Array.isArray(keyIds)) throw badInput(`${where}: keyIds must be a list`)
  return keyIds.map((keyId) => keyIdFrom(keyId, where))
}

/** Contexts in canonical form: what the caller does to them later changes nothing. */
export function recordOptionsFrom(options: KeyringRecordOptions, where: string): KeyringRecordOptions {
  checkOptions(options, ['recordContext', 'keyContext'], where)
  const { keyContext, ...rest } = options
  const recordContext = canonicalize(recordContextOf(rest, where)).pairs
  return keyContext === undefined
    ? { recordContext }
    : { recordContext, keyContext: canonicalize(keyContext).pairs }
}

/** What a rewrap is told, but for the recipients, which the policy checks. */
export function rewrapOptionsFrom(
  options: KeyringRewrapOptions,
  where: string,
): { [Name in keyof KeyringRewrapOptions]-?: KeyringRewrapOptions[Name] | undefined } {
  checkOptions(options, ['recipients', 'onProgress', 'after'], where)
  const { recipients, onProgress, after } = options
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw badInput(`${where}: onProgress must be a function`)
  const start = after === undefined ? after : keyIdFrom(after, `${where}: after`)
  return { recipients, onProgress, after: start }
}

/** @throws LongholdError `cannot_open` for a data key that is bound to another context than was expected. */
export function checkKeyContext({ keyContext }: CachedKey, expected: ContextInput | undefined): void {
  if (expected !== undefined && keyContextJson(canonicalize(expected).pairs) !== keyContext)
    throw cannotOpen()
}
