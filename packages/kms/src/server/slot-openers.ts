/** Makes what opens slots, of what people and the configuration give. */

import { fromBase64url } from '@longhold/core'
import type { CreateSlotRequest, KmsClient, UnsealRequest } from '@longhold/core/kms'

import type { SlotOpeners } from '../http/gate.ts'
import { KeyFile } from '../seal/key-file.ts'
import { OtherKeyService } from '../seal/key-service.ts'
import { minPassphraseLength, Passphrase } from '../seal/passphrase.ts'
import { readShareSet, Shares } from '../seal/shares.ts'
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

/** For new slots. */
export function slotOpeners(sealService: SealService | undefined): SlotOpeners {
  return {
    async make(request) {
      if (request.kind === 'shares') {
        const { shares, texts } = await Shares.make(request.threshold, request.count)
        return { opener: shares, shareTexts: texts }
      }
      return { opener: newOpener(request, sealService), shareTexts: [] }
    },
    sharesOf({ kind, sealedSecret }) {
      if (kind !== 'shares') return null
      const { threshold, digests } = readShareSet(sealedSecret)
      return { threshold, count: digests.size }
    },
  }
}

function newOpener(
  request: Exclude<CreateSlotRequest, { kind: 'shares' }>,
  sealService: SealService | undefined,
): SlotOpener {
  switch (request.kind) {
    case 'key-file':
      return keyFileOf(request.key_file)
    case 'passphrase':
      if (Passphrase.isLongEnough(request.passphrase)) return Passphrase.from(request.passphrase)
      throw new ServiceError('malformed_request', 'the passphrase is too short for what it protects', {
        hint: `at least ${minPassphraseLength} characters; several words are easier to keep than signs`,
      })
    default:
      return otherKeyService(sealService)
  }
}
