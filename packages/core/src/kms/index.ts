/**
 * The client of the key service, and its keys as identities and recipients.
 *
 * @module @longhold/core/kms
 */

export { KmsClient } from './client.ts'
export type {
  KmsCallOptions,
  KmsClientOptions,
  RewrapRequestItem,
  RewrapResult,
  UnwrapRequestItem,
  UnwrapResult,
} from './client.ts'
export { maxPackagedVersions, openKeyPackage, sealKeyPackage } from './key-package.ts'
export type { PackagedState, PackagedVersion, PackageLabel } from './key-package.ts'
export { auditExportLine, KmsAudit } from './audit-client.ts'
export type {
  AuditEntry,
  AuditFilterQuery,
  AuditVerdict,
  CheckpointInfo,
  PruneAuditRequest,
  PruningInfo,
  VerifyAuditRequest,
} from './audit-wire.ts'
export { KmsAccess } from './access-client.ts'
export type {
  ContextCondition,
  CreateGrantRequest,
  CreatePrincipalRequest,
  ExplainRequest,
  Explanation,
  GrantInfo,
  PrincipalInfo,
  UpdatePrincipalRequest,
} from './access-wire.ts'
export { KmsKeys } from './keys-client.ts'
export type { CreatedDataKey, KeysRequest, KeysRequests } from './keys-client.ts'
export { KmsIdentity } from './kms-identity.ts'
export type { KmsIdentityOptions } from './kms-identity.ts'
export { KmsRecipient, kmsRecipient } from './kms-recipient.ts'
export { KmsSysClient } from './sys-client.ts'
export type {
  AcceptRollbackRequest,
  BackupInfo,
  ConfirmBackupRequest,
  CreateSlotRequest,
  CreatedSlot,
  InitAnswer,
  InitRequest,
  RollbackAnswer,
  RootRotation,
  SealStatus,
  SlotInfo,
  SlotKind,
  UnsealRequest,
} from './sys-wire.ts'
export { tlsFetch } from './tls-fetch.ts'
export type { TlsConnection, TlsFetchOptions } from './tls-fetch.ts'
export type {
  AliasInfo,
  CensusInfo,
  CensusRequest,
  ClockInfo,
  CreateDataKeysRequest,
  CreateDataKeysResponse,
  CreateKeyRequest,
  DecapsulateRequest,
  DecapsulateResponse,
  DestroyAnswer,
  DestroyCheck,
  DestroyVerdict,
  ExportKeyRequest,
  HoldingBackup,
  ImportKeyRequest,
  KeyExport,
  KeyInfo,
  KeyLabels,
  KeyPurpose,
  KeySettings,
  PutAliasRequest,
  RotateKeyRequest,
  RotationInfo,
  SettableState,
  UpdateKeyRequest,
  UpdateVersionRequest,
  VersionInfo,
  VersionState,
  VersionUsage,
  WrappedKeyCount,
} from './keys-wire.ts'
export type {
  CreatedToken,
  RevokedTokens,
  CreateTokenRequest,
  ItemProblem,
  Page,
  Permission,
  Problem,
  ProblemCode,
  PublicKeyBundle,
  RewrapAnswer,
  RewrapItem,
  RewrapRequest,
  RewrapResponse,
  SigningIdentity,
  TokenInfo,
  UnwrapAnswer,
  UnwrapItem,
  UnwrapRequest,
  UnwrapResponse,
} from './wire.ts'
export { permissions, problemCodes } from './wire.ts'
