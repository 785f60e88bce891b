/**
 * Encrypts records, envelopes and streams, and wraps their data keys with X25519 and ML-KEM-768 together.
 *
 * @module @longhold/core
 */

export { concat, equalBytes, fromBase64url, fromHex, toBase64url, toHex, utf8 } from './bytes.ts'
export { decrypt, encrypt } from './envelope/envelope.ts'
export type { DecryptOptions, EncryptOptions } from './envelope/envelope.ts'
export { inspect } from './envelope/inspect.ts'
export type { Inspection, StanzaInspection } from './envelope/inspect.ts'
export { attach, detach, keyIdOf, rewrap } from './envelope/rewrap.ts'
export type { DetachedEnvelope, RewrapOptions } from './envelope/rewrap.ts'
export { openEncrypted } from './envelope/random-access.ts'
export { ciphertextSize, plaintextSize } from './envelope/size.ts'
export type { SizeOptions } from './envelope/size.ts'
export { decryptStream, encryptStream } from './envelope/stream.ts'
export { unwrapDataKey, wrapDataKey } from './envelope/wrap.ts'
export type { UnwrapOptions, WrapOptions } from './envelope/wrap.ts'
export { LongholdError } from './errors.ts'
export type { ErrorCode, LongholdErrorOptions } from './errors.ts'
export { canonicalContext } from './format/context.ts'
export type { ContextInput, EncryptionContext } from './format/context.ts'
export type { Stanza, SuiteIds } from './format/header.ts'
export { fromText, toText } from './format/text.ts'
export { decodeValue, encodeValue } from './format/value.ts'
export type { TypedValue, ValueType } from './format/value.ts'
export { blindIndex } from './keys/blind-index.ts'
export type { BlindIndexOptions } from './keys/blind-index.ts'
export { DataKey } from './keys/data-key.ts'
export type { RecordOptions } from './keys/data-key.ts'
export type { DataKeyLimits } from './keys/data-key-limits.ts'
export { EncryptedReader, openEncryptedRecord } from './keys/encrypted-reader.ts'
export type { RandomAccessSource } from './keys/encrypted-reader.ts'
export { LocalIdentity } from './keys/identity.ts'
export type { Identity } from './keys/identity.ts'
export { generateIdentity, parseIdentity, parseRecipient } from './keys/key-parsing.ts'
export { openKeyring } from './keys/keyring.ts'
export type { Keyring } from './keys/keyring.ts'
export type { CacheOptions } from './keys/keyring-cache.ts'
export type { DataKeyHandle } from './keys/keyring-handle.ts'
export type { BlindIndexKey } from './keys/keyring-index.ts'
export type {
  DataKeyOptions,
  KeyringOptions,
  KeyringRecordOptions,
  KeyringRewrapOptions,
  OwnerOptions,
} from './keys/keyring-options.ts'
export { rewrapStopsWriting } from './keys/keyring-names.ts'
export { openKeyringKey, parseKeyringKey } from './keys/keyring-key.ts'
export type { KeyringKey, OpenKeyringKey } from './keys/keyring-key.ts'
export { makeKeyringKey, vouchFor } from './keys/keyring-vouch.ts'
export type { RewrapProgress } from './keys/keyring-rewrap.ts'
export type { KeyringStreamOptions } from './keys/keyring-stream.ts'
export type { ByteTransform } from './keys/message-stream.ts'
export type { KeyringPolicy } from './keys/policy.ts'
export { PublicKeyRecipient } from './keys/recipient.ts'
export type { Bound, Recipient } from './keys/recipient.ts'
export { decryptRecordStream, encryptRecordStream } from './keys/record-stream.ts'
export { defaultSuite, formatStanza as encodeStanza, parseStanza } from './keys/suite.ts'
export type { Suite, SuitesOption } from './keys/suite.ts'
export type {
  DataKeyOwner,
  DataKeyPortion,
  DataKeyState,
  DataKeyUse,
  DestroyedDataKey,
  NewDataKey,
  PageOptions,
  StoredDataKey,
  WrappedKeyChange,
  WrappedKeyStore,
  WritingKeyAnswer,
} from './keys/wrapped-key-store.ts'
export { Secret } from './secret.ts'
