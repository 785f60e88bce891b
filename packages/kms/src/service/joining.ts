/** A node without an anchor joins from checkpoints: the database must not be older than the newest of them. */

import { equalBytes, fromHex } from '@longhold/core'

import { putBack, rollback } from './anchor.ts'
import type { AuditReader } from './checkpoint-audit.ts'
import { faultsAgainst } from './checkpoint-audit.ts'
import { readCheckpoint } from './checkpoint.ts'
import { ServiceError } from './errors.ts'
import type { HeadRow } from './key-store.ts'
import { fingerprint } from './signing.ts'
import type { Signer } from './signing.ts'

/** What a node without an anchor is given. */
export interface JoinFrom {
  /** Checkpoints, as they were signed. */
  readonly lines: readonly string[]
  /** Of the signing identity that signed them, as it is printed: of hexadecimal digits, spaces between them or not. */
  readonly fingerprint: string
}

/** `rollback_detected` when the database is older than a checkpoint, or another; else the newest that it was held against. */
export type Joining = { readonly rollback: ServiceError } | { readonly checkpoint: number }

/**
 * @throws ServiceError `bad_config` for checkpoints or an identity that are not those of this service.
 */
export async function joinWith(
  { lines, fingerprint: pinned }: JoinFrom,
  signer: Signer,
  head: HeadRow,
  log: AuditReader,
): Promise<Joining> {
  if (digitsOf(pinned) !== digitsOf(fingerprint(signer.publicKey))) {
    throw new ServiceError('bad_config', 'the database is that of a service with another fingerprint', {
      hint: `join-fingerprint says ${pinned}, the database ${fingerprint(signer.publicKey)}`,
    })
  }
  let newest = 0
  for (const checkpoint of lines.map((line) => ownCheckpoint(signer, line))) {
    if (head.epoch < checkpoint.epoch) return { rollback: putBack(head.epoch, checkpoint.epoch) }
    const mac = fromHex(checkpoint.headMac)
    const isAnother = head.epoch === checkpoint.epoch && !(mac !== undefined && equalBytes(head.mac, mac))
    const [fault] = await faultsAgainst(checkpoint, log)
    if (isAnother || fault !== undefined) {
      return { rollback: rollback(`the database is not the one of checkpoint ${checkpoint.number}`) }
    }
    newest = Math.max(newest, checkpoint.number)
  }
  return { checkpoint: newest }
}

function ownCheckpoint(signer: Signer, line: string) {
  try {
    return readCheckpoint(signer, line)
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'malformed_request') throw error
    throw new ServiceError('bad_config', `join-checkpoint: ${error.message}`, {
      hint: 'compare the fingerprint of the signing identity, and the file with another copy',
    })
  }
}

function digitsOf(text: string): string {
  return text.replaceAll(/\s/gu, '').toLowerCase()
}
