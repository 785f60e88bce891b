/** The data key: 32 random bytes that encrypt records and bodies, and what is derived from them (SPEC §3, §6). */

import { copyBytes, equalBytes, utf8 } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen } from '../errors.ts'
import { decodeRecord, startContainer } from '../format/container.ts'
import type { ContainerKind } from '../format/container.ts'
import { lendCanonical } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'
import { decodeValue, encodeValue } from '../format/value.ts'
import type { TypedValue } from '../format/value.ts'
import { checkBytes, checkOptions } from '../options.ts'
import type { Hmac } from '../primitives/backend-interface.ts'
import { backend } from '../primitives/backend.ts'
import { bodyLength, openBody, plaintextLength, saltBytes, sealBody } from '../primitives/cobblestone.ts'
import { hkdfExpand } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import { Secret } from '../secret.ts'
import { bodyContext } from './body-context.ts'
import type { BodyKind } from './body-context.ts'

export const dataKeyBytes = 32
/** One-shot encryption and decryption: 64 MiB of plaintext. */
export const maxPlaintextBytes: number = 64 * 1024 * 1024

const labels = { keyId: utf8('longhold/v1/key-id'), headerKey: utf8('longhold/v1/header-key') }

/** What a record is bound to. */
export interface RecordOptions {
  /** Bound to the record, not part of it: the same must be given to decrypt. `{}` must be said. */
  readonly recordContext: ContextInput
}

/** Read what the class keeps private, for `hmacOf` and `keyIdOf` alone. */
let privateHmac: (dataKey: DataKey) => Hmac | undefined
let privateKeyId: (dataKey: DataKey) => Uint8Array

/**
 * A data key, 32 bytes (SPEC §3). Encrypts and decrypts records synchronously; wrap it with `wrapDataKey` and keep the wrapped key
 * where the records' readers find it by `keyId`.
 */
export class DataKey {
  readonly #keyId: Uint8Array
  readonly #secret: Secret
  #hmac: Hmac | undefined

  private constructor(secret: Secret) {
    this.#secret = secret
    this.#hmac = secret.use((bytes) => backend().hmac('sha512', bytes))
    this.#keyId = copyBytes(hkdfExpand(this.#hmac, [labels.keyId], keyIdBytes))
  }

  /** A fresh random data key. Throws only when the platform has no randomness. */
  static generate(): DataKey {
    return new DataKey(Secret.take(randomBytes(dataKeyBytes)))
  }

  /**
   * @param bytes 32 uniformly random bytes made for longhold and used for nothing else. Copied.
   * @throws LongholdError `bad_input` for another length.
   */
  static from(bytes: Uint8Array): DataKey {
    checkBytes(bytes, 'DataKey: bytes')
    if (bytes.length !== dataKeyBytes)
      throw badInput(`a data key has ${dataKeyBytes} bytes, not ${bytes.length}`)
    return new DataKey(Secret.copyOf(bytes))
  }

  /** 16 bytes, a copy; a name, not a commitment (SPEC §3). */
  get keyId(): Uint8Array<ArrayBuffer> {
    return copyBytes(this.#keyId)
  }

  /**
   * Encrypts one record (SPEC §6): 92 bytes and 16 for each full 16 KiB more than the plaintext.
   *
   * @throws LongholdError `limit_exceeded` above 64 MiB, `bad_context`, `bad_input`.
   */
  encrypt(plaintext: Uint8Array, options: RecordOptions): Uint8Array<ArrayBuffer> {
    checkBytes(plaintext, 'DataKey.encrypt: plaintext')
    return sealRecord(this, plaintext, recordContextOf(options, 'DataKey.encrypt'))
  }

  /**
   * Decrypts one record; nothing is returned before its last chunk was checked.
   *
   * @throws LongholdError `malformed`, `unsupported`, `limit_exceeded`, `bad_context`; `cannot_open` when the
   * data key or the context is another, or bytes were altered.
   */
  decrypt(record: Uint8Array, options: RecordOptions): Uint8Array<ArrayBuffer> {
    checkBytes(record, 'DataKey.decrypt: record')
    const context = recordContextOf(options, 'DataKey.decrypt')
    const { keyId, body } = decodeRecord(record)
    return openBodyOf(this, keyId, body, context)
  }

  /**
   * Encrypts one typed value (SPEC §9) as a record, which `decrypt` does not open: 93 bytes, and 16 for each full 16 KiB,
   * more than its payload.
   *
   * @throws LongholdError `bad_value` for a value that cannot be written, and what `encrypt` throws.
   */
  encryptValue(value: TypedValue, options: RecordOptions): Uint8Array<ArrayBuffer> {
    const context = recordContextOf(options, 'DataKey.encryptValue')
    return sealRecord(this, encodeValue(value), context, { bodyKind: 'value' })
  }

  /**
   * Decrypts one record that holds a typed value.
   *
   * @throws LongholdError what `decrypt` throws; `bad_value` when a writer with the key put no value into it.
   */
  decryptValue(record: Uint8Array, options: RecordOptions): TypedValue {
    checkBytes(record, 'DataKey.decryptValue: record')
    const context = recordContextOf(options, 'DataKey.decryptValue')
    const { keyId, body } = decodeRecord(record)
    return decodeValue(openBodyOf(this, keyId, body, context, 'value'))
  }

  /**
   * Lends the 32 bytes, for whoever wraps them. Borrowed: not to be changed or kept.
   *
   * @throws LongholdError `bad_input` after `wipe`.
   */
  use<T>(read: (bytes: Uint8Array) => T): T {
    return this.#secret.use(read)
  }

  /** Forgets the key. Best effort. */
  wipe(): void {
    this.#secret.wipe()
    this.#hmac?.wipe()
    this.#hmac = undefined
  }

  /** For `using`: as `wipe`. */
  [Symbol.dispose](): void {
    this.wipe()
  }

  /** `[secret data key]`: nothing of the key. */
  toString(): string {
    return '[secret data key]'
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString()
  }

  static {
    privateHmac = (dataKey) => dataKey.#hmac
    privateKeyId = (dataKey) => dataKey.#keyId
  }
}

// What follows is for the library's own files: the package does not export it.

/** HMAC-SHA-512 under the data key. Throws `bad_input` once the key was wiped, and for what is no DataKey. */
export function hmacOf(dataKey: DataKey): Hmac {
  if (!(dataKey instanceof DataKey)) throw badInput('the data key must be a DataKey')
  const hmac = privateHmac(dataKey)
  if (hmac === undefined) throw badInput('this data key was wiped')
  return hmac
}

/** 16 bytes, not copied for each record: not to be changed or given out. */
function keyIdOf(dataKey: DataKey): Uint8Array {
  return privateKeyId(dataKey)
}

/** The 32 bytes that key the header's MAC (SPEC §3). The caller wipes them. */
export function headerKeyOf(dataKey: DataKey): Uint8Array {
  return hkdfExpand(hmacOf(dataKey), [labels.headerKey], 32)
}

interface SealOptions {
  readonly bodyKind?: BodyKind
  /** Fixes the salt, for vectors. */
  readonly testingSalt?: Uint8Array
}

const sealDefaults: { readonly bodyKind: BodyKind; readonly testingSalt: Uint8Array | undefined } = {
  bodyKind: 'data',
  testingSalt: undefined,
}

/** A record (SPEC §6). */
export function sealRecord(
  dataKey: DataKey,
  plaintext: Uint8Array,
  context: ContextInput,
  options?: SealOptions,
): Uint8Array<ArrayBuffer> {
  return sealContainer('record', dataKey, keyIdOf(dataKey), plaintext, context, options)
}

/** Prefix, `head` and the body (SPEC §6). */
export function sealContainer(
  kind: ContainerKind,
  dataKey: DataKey,
  head: Uint8Array,
  plaintext: Uint8Array,
  context: ContextInput | undefined,
  options?: SealOptions,
): Uint8Array<ArrayBuffer> {
  // Read before the context, which lies in memory that the next call uses, and never again: a getter could make one.
  const { length } = plaintext
  checkPlaintextLength(length)
  // Own properties alone: what somebody wrote onto Object.prototype must fix no salt.
  const { bodyKind, testingSalt } = options === undefined ? sealDefaults : { ...sealDefaults, ...options }
  const bound = bodyContext(bodyKind, keyIdOf(dataKey), lendCanonical(context))
  const { container, body } = startContainer(kind, head, bodyLength(length))
  const salt = testingSalt ?? randomBytes(saltBytes)
  sealBody(hmacOf(dataKey), { salt, context: bound, plaintext, out: body })
  return container
}

/**
 * Opens a body that stands behind `keyId`, which is compared before anything is derived (SPEC §3).
 *
 * @throws LongholdError `bad_context`, `limit_exceeded`, `cannot_open`.
 */
export function openBodyOf(
  dataKey: DataKey,
  keyId: Uint8Array,
  body: Uint8Array,
  context: ContextInput | undefined,
  bodyKind: BodyKind = 'data',
): Uint8Array<ArrayBuffer> {
  const canonical = lendCanonical(context)
  checkPlaintextLength(plaintextLength(body.length) ?? 0)
  if (!equalBytes(keyId, keyIdOf(dataKey))) throw cannotOpen()
  const plaintext = openBody(hmacOf(dataKey), {
    context: bodyContext(bodyKind, keyIdOf(dataKey), canonical),
    body,
  })
  if (plaintext === undefined) throw cannotOpen()
  return plaintext
}

/** @throws LongholdError `limit_exceeded` above what the one-shot functions take. */
export function checkPlaintextLength(length: number): void {
  if (length > maxPlaintextBytes) {
    throw new LongholdError(
      'limit_exceeded',
      `${length} bytes of plaintext, at most ${maxPlaintextBytes} (64 MiB) at once`,
      {
        hint: 'take a stream: those have no such limit',
      },
    )
  }
}

/** @throws LongholdError `bad_input` when the context was not said. */
export function recordContextOf(options: RecordOptions, where: string): ContextInput {
  checkOptions(options, ['recordContext'], where)
  // Read once: a getter could answer another time that there is none.
  const recordContext = options?.recordContext
  if (recordContext === undefined) {
    throw badInput(`${where}: recordContext is required`, 'say {} when nothing is to be bound')
  }
  return recordContext
}
