/**
 * Checkpoints: what the service says of itself at one moment, signed, to be kept where the database is not. Against
 * one, a log that was cut, a chain that was taken away and a database that was put back all show.
 */

import { fromBase64url, toBase64url, toHex } from '@longhold/core'

import type { PreviousRun } from './audit-rows.ts'
import { ServiceError } from './errors.ts'
import { verifySignature } from './signing.ts'
import type { Signer } from './signing.ts'

/** A version that must never again be more than it was. */
export interface FinalVersion {
  readonly key: string
  readonly version: number
  readonly state: 'compromised' | 'destroyed'
}

/** How far a key had come: what a database of before does not know. */
export interface KeyProgress {
  readonly key: string
  readonly latestVersion: number
  readonly generation: number
}

/** The newest backup that counts. */
export interface NewestBackup {
  readonly backup: string
  /** Of the cluster head it holds. */
  readonly epoch: number
  /** Of its file, hexadecimal. */
  readonly sha256: string
}

export interface Checkpoint {
  /** 1, 2, 3, … */
  readonly number: number
  /** Milliseconds since 1970. */
  readonly at: number
  /** Of the cluster head. */
  readonly epoch: number
  /** MAC of the cluster head, hexadecimal. */
  readonly headMac: string
  /** Where each chain of the log ends, oldest first. */
  readonly chains: readonly PreviousRun[]
  readonly finalVersions: readonly FinalVersion[]
  readonly keys: readonly KeyProgress[]
  /** Null: there is none. */
  readonly newestBackup: NewestBackup | null
}

const format = 'longhold/kms/v1/checkpoint'

interface Body {
  readonly format: string
  readonly cluster_id: string
  readonly number: number
  readonly at: string
  readonly epoch: number
  readonly head_mac: string
  readonly chains: readonly PreviousRun[]
  readonly final_versions: readonly FinalVersion[]
  readonly keys: readonly {
    readonly key: string
    readonly latest_version: number
    readonly generation: number
  }[]
  readonly newest_backup: NewestBackup | null
}

/** One line of JSON: the body as a text, exactly as it was signed, and the signature (base64url). */
export function signCheckpoint(signer: Signer, checkpoint: Checkpoint): string {
  const fields: Body = {
    format,
    cluster_id: toHex(signer.clusterId),
    number: checkpoint.number,
    at: new Date(checkpoint.at).toISOString(),
    epoch: checkpoint.epoch,
    head_mac: checkpoint.headMac,
    chains: checkpoint.chains,
    final_versions: checkpoint.finalVersions,
    keys: checkpoint.keys.map(({ key, latestVersion, generation }) => ({
      key,
      latest_version: latestVersion,
      generation,
    })),
    newest_backup: checkpoint.newestBackup,
  }
  const body = JSON.stringify(fields)
  return JSON.stringify({ body, signature: toBase64url(signer.sign('checkpoint', body)) })
}

/**
 * Reads a line that `signCheckpoint` wrote. Nothing of it is believed before its signature was checked.
 *
 * @throws ServiceError `malformed_request` for another form, and for a signature of somebody else.
 */
export function readCheckpoint(
  signer: { readonly clusterId: Uint8Array; readonly publicKey: Uint8Array },
  line: string,
): Checkpoint {
  const { body, signature } = parsed(line) as { body?: unknown; signature?: unknown }
  if (typeof body !== 'string' || typeof signature !== 'string') throw malformed()
  const bytes = bytesOf(signature)
  if (bytes === undefined || !verifySignature(signer, 'checkpoint', bytes, body)) {
    throw new ServiceError('malformed_request', 'the checkpoint was not signed by this service', {
      hint: 'compare the fingerprint of the signing identity, and the file with another copy',
    })
  }
  // Signed by this service for this kind: of the form that `signCheckpoint` gave it, or that of another release.
  const fields = parsed(body) as Body
  if (fields.format !== format || fields.cluster_id !== toHex(signer.clusterId)) throw malformed()
  return {
    number: fields.number,
    at: Date.parse(fields.at),
    epoch: fields.epoch,
    headMac: fields.head_mac,
    chains: fields.chains,
    finalVersions: fields.final_versions,
    keys: fields.keys.map(({ key, latest_version: latestVersion, generation }) => ({
      key,
      latestVersion,
      generation,
    })),
    newestBackup: fields.newest_backup,
  }
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Said below.
  }
  throw malformed()
}

function bytesOf(text: string): Uint8Array | undefined {
  try {
    return fromBase64url(text)
  } catch {
    return undefined
  }
}

function malformed(): ServiceError {
  return new ServiceError('malformed_request', 'this is no checkpoint of the key service', {
    hint: 'a checkpoint is one line of JSON with the fields body and signature',
  })
}
