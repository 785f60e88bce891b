/** Makes what opens slots, of what people and the configuration give. */

import { fromBase64url } from '@longhold/core'
import type { KmsClient, UnsealRequest } from '@longhold/core/kms'

import { KeyFile } from '../seal/key-file.ts'
import { OtherKeyService } from '../seal/key-service.ts'
import { Passphrase } from '../seal/passphrase.ts'
import { ServiceError } from '../service/errors.ts'
import type { SlotOpener } from '../service/slot-opener.ts'

/** Another key service that holds a slot, and the key there. */
export interface SealService {
  readonly client: KmsClient
  readonly key: string
}

/** For everything but shares, which come one by one. */
export function openerOf(
  attempt: Exclude<UnsealRequest, { share: string } | { forget_shares: true }>,
  sealService: SealService | undefined,
): SlotOpener {
  if ('passphrase' in attempt) return Passphrase.from(attempt.passphrase)
  if ('key_file' in attempt) return keyFileOf(attempt.key_file)
  return otherKeyService(sealService)
}

/** @param text 32 bytes in base64url. */
export function keyFileOf(text: string): KeyFile {
  const content = fromBase64url(text) ?? new Uint8Array(0)
  try {
    return KeyFile.fromBytes(content, 'the key file given')
  } finally {
    content.fill(0)
  }
}

/** @throws ServiceError `slot_unavailable` where none is configured. */
export function otherKeyService(sealService: SealService | undefined): OtherKeyService {
  if (sealService !== undefined) return new OtherKeyService(sealService.client, sealService.key)
  throw new ServiceError('slot_unavailable', 'no other key service is configured', {
    hint: 'start this one with --seal-url, --seal-token-file and --seal-key',
  })
}
