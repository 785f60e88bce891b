/** The schemas of what is asked and answered about backups; see `wire.ts`. */

import { z } from '@hono/zod-openapi'
import type { BackupInfo, ConfirmBackupRequest, Page } from '@longhold/core/kms'

import { page, time, wire } from './wire.ts'

const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`, 'u'))
    .openapi({ example: '0123456789abcdef'.repeat(bytes / 8) })

export const backupParams = z.object({ backup: hex(16) })

export const backupQuery = z.object({ to: z.enum(['caller', 'folder']).optional() })

export const backupInfo = wire<BackupInfo>('BackupInfo')(
  z.strictObject({
    backup: hex(16),
    taken_at: time,
    expires_at: time,
    recipient_ids: z.array(hex(16)),
    file_name: z.string().nullable(),
    epoch: z.int().nullable(),
    bytes: z.int().nullable(),
    sha256: hex(32).nullable(),
    confirmed_at: time.nullable(),
  }),
)
export const backupPage = wire<Page<BackupInfo>>('BackupPage')(page(backupInfo))

export const confirmBackupRequest = wire<ConfirmBackupRequest>('ConfirmBackupRequest')(
  z.strictObject({ sha256: hex(32) }),
)

/** An envelope. */
export const backupBytes = z.string().openapi({ format: 'binary' })
