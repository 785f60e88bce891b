/**
 * To set up and run a key service from a program.
 *
 * @module @longhold/kms
 */

export type { Log, LogEntry } from './http/env.ts'
export { acceptRollback } from './server/accept-rollback.ts'
export type { AcceptOptions } from './server/accept-rollback.ts'
export { checkConfig, serviceConfigOf } from './server/configured.ts'
export { examine, findingsText, needsWork } from './server/doctor/doctor.ts'
export type { DoctorOptions } from './server/doctor/doctor.ts'
export type { Check, Finding } from './server/doctor/finding.ts'
export { initService } from './server/init.ts'
export type { InitOptions, InitResult } from './server/init.ts'
export type { ServicePaths } from './server/paths.ts'
export { checkBackupFile, restoreService } from './server/restore.ts'
export type { BackupFileOptions, RestoreResult, RestoreServiceOptions } from './server/restore.ts'
export { logLine } from './server/logger.ts'
export { readCheckpointLines } from './store/checkpoint-folder.ts'
export { startService } from './server/start.ts'
export type { RunningService, ServiceConfig } from './server/start.ts'
export type { StoppedOptions } from './server/stopped.ts'
export { verifyAudit } from './server/verify-audit.ts'
export type { VerifyOptions } from './server/verify-audit.ts'
export type { Rollback } from './service/accept-rollback.ts'
export type { AuditReport } from './service/audit-verify.ts'
export type { FirstKey } from './service/beginning.ts'
export type { BackupReport, RestoreReport } from './service/restore.ts'
export { ServiceError } from './service/errors.ts'
export type { StartCode } from './service/errors.ts'
