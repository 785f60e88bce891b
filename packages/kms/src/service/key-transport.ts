/** Keys that leave the service or come into it, in packages sealed for a hybrid key (`@longhold/core/kms`). */

import { inspect, fromHex, LocalIdentity, LongholdError, parseRecipient, toHex } from '@longhold/core'
import type { PublicKeyRecipient } from '@longhold/core'
import { maxPackagedVersions, openKeyPackage, sealKeyPackage } from '@longhold/core/kms'
import type { PackagedState, PackagedVersion, ProblemCode } from '@longhold/core/kms'

import type { AuditLog } from './audit-log.ts'
import { itemError } from './batch.ts'
import { update } from './changes.ts'
import { notFound, ServiceError } from './errors.ts'
import { sealVersion } from './identities.ts'
import type { Identities } from './identities.ts'
import { allRows } from './key-store.ts'
import { requireEnabled, requireUnwrapping } from './key-uses.ts'
import { keyRow } from './keys.ts'
import type { Keys, KeySummary, NewKey } from './keys.ts'
import type { Ledger } from './ledger.ts'
import { maySee, mayUse, permissionDenied } from './policy.ts'
import type { Caller } from './policy.ts'
import type { Root } from './root.ts'
import type { KeyRow, Stored, VersionRow } from './rows.ts'

export interface KeyTransportOptions {
  readonly ledger: Ledger
  readonly root: Root
  readonly identities: Identities
  readonly audit: AuditLog
  readonly keys: Keys
  readonly now: () => number
}

export interface ExportedKey {
  readonly key: string
  readonly purpose: KeyRow['purpose']
  readonly versions: readonly { readonly version: number; readonly state: PackagedState }[]
  readonly sealed: Uint8Array
}

/** Versions opened or made in one turn of the event loop. */
const versionsPerTurn = 64

/**
 * The seeds of a key, for whoever holds `recipient`. The key says for ever that it was exported.
 *
 * @throws ServiceError `invalid_state` unless the key is enabled and exportable, `malformed_request` for what is no recipient.
 */
export async function exportKey(
  { ledger, identities, audit, keys, now }: KeyTransportOptions,
  caller: Caller,
  key: string,
  recipientText: string,
): Promise<ExportedKey> {
  const recipient = recipientOf(recipientText)
  const row = await keys.row(caller, key)
  requireEnabled(row)
  if (!row.exportable) {
    throw new ServiceError('invalid_state', `the key ${key} is not exportable`, {
      hint: 'that is said when a key is made or edited, and who may export need not be who may say it',
    })
  }
  const versions: PackagedVersion[] = []
  try {
    for await (const page of allRows(ledger, 'versions', { key })) {
      for (const version of page) {
        const state = packaged(version)
        if (state === undefined) continue
        if (versions.length === maxPackagedVersions) throw tooMany()
        const seed = identities.copySeed(version)
        versions.push({
          version: version.version,
          kemId: version.kemId,
          state,
          createdAt: version.createdAt,
          seed,
        })
        if (versions.length % versionsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const sealed = await sealKeyPackage({ key, purpose: row.purpose }, versions, [recipient])
    const recipientId = toHex(recipient.recipientId)
    const event = { action: 'key.export' as const, caller, key, recipientId }
    if ((await audit.commit(event, [update('keys', row, { exportedAt: now() })])) === 'conflict') {
      throw new ServiceError('invalid_state', `the key ${key} was changed meanwhile`, { hint: 'try again' })
    }
    const contents = versions.map(({ version, state }) => ({ version, state }))
    return { key, purpose: row.purpose, versions: contents, sealed }
  } finally {
    for (const { seed } of versions) seed.wipe()
  }
}

/**
 * A new key of the versions in a package, which is sealed for a key of this service. It says for ever that it came from
 * elsewhere, where somebody may have kept it.
 *
 * @param packagedAs The name of the key in the package's label.
 * @throws ServiceError `not_found` when the package is for no key here, `unwrap_failed`, `malformed_request`,
 * `invalid_state` when there is such a key or one of its private keys is here already.
 */
export async function importKey(
  options: KeyTransportOptions,
  caller: Caller,
  wanted: NewKey,
  packet: { sealed: Uint8Array; packagedAs: string },
): Promise<KeySummary> {
  try {
    return await importPackage(options, caller, wanted, packet)
  } catch (error) {
    const problem = error instanceof LongholdError ? itemError(error) : error
    // A private key of this service may have been used on what the caller sent: said as what was done is.
    if (problem instanceof ServiceError && importRefusals.has(problem.code)) {
      const result = problem.code as ProblemCode
      await options.audit.record({ action: 'key.import', caller, key: wanted.key, result })
    }
    throw problem
  }
}

/** What is refused for other reasons is in the log already, or cannot be. */
const importRefusals: ReadonlySet<string> = new Set<ProblemCode>([
  'unwrap_failed',
  'malformed_request',
  'not_found',
  'invalid_state',
])

async function importPackage(
  options: KeyTransportOptions,
  caller: Caller,
  wanted: NewKey,
  { sealed, packagedAs }: { sealed: Uint8Array; packagedAs: string },
): Promise<KeySummary> {
  const { root, keys, now } = options
  await keys.checkNew(caller, wanted, 'keys.import')
  const label = { key: packagedAs, purpose: wanted.purpose ?? 'wrap' }
  const identity = await openerOf(options, caller, sealed)
  let versions: PackagedVersion[] = []
  try {
    versions = await openKeyPackage(sealed, label, [identity])
    const rows: VersionRow[] = []
    for (const version of versions) {
      rows.push(rowOf(root, wanted.key, version, now()))
      if (rows.length % versionsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const [primary] = rows.filter(({ state }) => state === 'primary')
    const latest = rows.at(-1)
    if (primary === undefined || latest === undefined)
      throw new ServiceError('malformed_request', 'an empty package')
    const row = {
      ...keyRow(wanted, { ...primary, createdAt: now() }),
      latestVersion: latest.version,
      imported: true,
    }
    return await keys.add(caller, wanted, row, rows, 'key.import')
  } finally {
    identity.wipe()
    for (const { seed } of versions) seed.wipe()
  }
}

function tooMany(): ServiceError {
  return new ServiceError('invalid_state', `a package holds at most ${maxPackagedVersions} versions`)
}

/** The version the package is for, opened. The caller wipes it. */
async function openerOf(
  { ledger, identities }: KeyTransportOptions,
  caller: Caller,
  sealed: Uint8Array,
): Promise<LocalIdentity> {
  let ids: Uint8Array[]
  try {
    const { kind, stanzas } = inspect(sealed)
    if (kind !== 'envelope') throw new ServiceError('malformed_request', `this is a ${kind}, not a package`)
    ids = stanzas.flatMap(({ recipientId }) => fromHex(recipientId) ?? [])
  } catch (error) {
    throw itemError(error)
  }
  const rows = await ledger.versionsByRecipientId(ids)
  const [row] = rows
  const key = row && (await ledger.row('keys', { key: row.key }))
  if (row === undefined || key === undefined || !maySee(caller.principal, key.key, key.labels)) {
    throw notFound('the key the package is sealed for')
  }
  // It is opened with this key's private key, and what comes out may be exported again.
  if (!mayUse(caller.principal, 'keys.import', key)) throw permissionDenied('keys.import')
  requireUnwrapping(key, row, caller.principal, [])
  const seed = identities.copySeed(row)
  try {
    return seed.use((bytes) => LocalIdentity.fromSeed(bytes, row.kemId))
  } finally {
    seed.wipe()
  }
}

function rowOf(root: Root, key: string, packagedVersion: PackagedVersion, now: number): VersionRow {
  const { version, kemId, state, createdAt, seed } = packagedVersion
  const identity = seed.use((bytes) => LocalIdentity.fromSeed(bytes, kemId))
  try {
    const row = sealVersion(root, identity, { key, version, state, now })
    // When it was made elsewhere, as far as that is not in the future.
    return {
      ...row,
      createdAt: Math.min(createdAt, now),
      compromisedAt: state === 'compromised' ? now : null,
    }
  } finally {
    identity.wipe()
  }
}

/** What it is to be elsewhere; undefined for what has no use there. */
function packaged({ state }: Stored<VersionRow>): PackagedState | undefined {
  switch (state) {
    case 'primary':
    case 'unwrap_only':
    case 'disabled':
    case 'compromised':
      return state
    default:
      return undefined
  }
}

function recipientOf(text: string): PublicKeyRecipient {
  try {
    return parseRecipient(text)
  } catch (error) {
    throw itemError(error)
  }
}
