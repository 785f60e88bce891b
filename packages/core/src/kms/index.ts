/**
 * The client of the key service, and its keys as identities and recipients.
 *
 * @module @longhold/core/kms
 */

export { KmsClient } from './client.ts'
export type {
  KmsClientOptions,
  RewrapRequestItem,
  RewrapResult,
  UnwrapRequestItem,
  UnwrapResult,
} from './client.ts'
export { maxPackagedVersions, openKeyPackage, sealKeyPackage } from './key-package.ts'
export type { PackagedState, PackagedVersion, PackageLabel } from './key-package.ts'
export { KmsIdentity, kmsRecipient } from './kms-identity.ts'
export type { KmsIdentityOptions } from './kms-identity.ts'
export { KmsSysClient } from './sys-client.ts'
export type {
  CreatedSlot,
  CreateSlotRequest,
  RootRotation,
  SealStatus,
  SlotInfo,
  SlotKind,
  UnsealRequest,
} from './sys-wire.ts'
export { tlsFetch } from './tls-fetch.ts'
export type { TlsConnection, TlsFetchOptions } from './tls-fetch.ts'
export type {
  CreatedToken,
  CreateKeyRequest,
  CreateTokenRequest,
  ItemProblem,
  KeyInfo,
  Page,
  Permission,
  Problem,
  ProblemCode,
  PublicKeyBundle,
  RewrapAnswer,
  RewrapItem,
  RewrapRequest,
  RewrapResponse,
  SettableState,
  TokenInfo,
  UnwrapAnswer,
  UnwrapItem,
  UnwrapRequest,
  UnwrapResponse,
  UpdateVersionRequest,
  VersionInfo,
  VersionState,
} from './wire.ts'
export { permissions } from './wire.ts'
