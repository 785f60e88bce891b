/** What a service begins with: everything its store holds first, made at once and written at once. */

import { PublicKeyRecipient, toHex } from '@longhold/core'
import { permissions } from '@longhold/core/kms'

import { extend } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import { insert } from './changes.ts'
import { alreadyInitialised } from './errors.ts'
import { newKey } from './keys.ts'
import type { FirstVersion } from './keys.ts'
import { firstCommit } from './ledger.ts'
import { newChain } from './new-chain.ts'
import { createOwnKeys, OwnKeys } from './own-keys.ts'
import { createRoot } from './root-opening.ts'
import { RowMacs } from './row-mac.ts'
import type { ServiceOptions } from './service.ts'
import { fingerprint, Signer } from './signing.ts'
import { bootstrapLifeMs, makeToken } from './tokens.ts'

export interface PrepareOptions extends ServiceOptions {
  /** How many slots there must be before the first key, and from then on; default 1. */
  readonly minSlots?: number
  /** Whether the first token makes one other token, of any rights, within an hour, and ends with that; default false. */
  readonly isBootstrap?: boolean
}

/** What a new service begins with. */
export interface Beginning {
  readonly clusterId: string
  /** All permissions, all keys, no end; or a bootstrap token (see `PrepareOptions`). Secret. */
  readonly adminToken: string
  /** Of the signing identity. */
  readonly fingerprint: string
  readonly firstKey: FirstKey | undefined
}

/** The key a service begins with, and what writers need of it. */
export interface FirstKey {
  readonly key: string
  readonly version: number
  /** `lhrecipient1-…` */
  readonly recipient: string
}

/**
 * Prepares what a new, empty store begins with: root, the service's own keys, a first token with all permissions and
 * perhaps a first key. `write` makes it durable, all or nothing.
 */
export async function prepareService(
  { store, opener, now = Date.now, minSlots = 1, isBootstrap = false }: PrepareOptions,
  firstKey?: string,
): Promise<{ beginning: Beginning; write: () => Promise<void> }> {
  const at = now()
  const { root, cluster, slot } = await createRoot({ opener, minSlots, now: at })
  const ownKeyRows = createOwnKeys(root, at)
  const ownKeys = new OwnKeys(root, ownKeyRows)
  const expiresAt = isBootstrap ? at + bootstrapLifeMs : null
  const name = isBootstrap ? 'bootstrap' : 'first token'
  const all = { name, principal: null, permissions, keys: null, expiresAt }
  const token = makeToken(ownKeys.newest('token-pepper'), all, { createdBy: null, now: at })
  const signer = ownKeys.newest('signing').secret.use((seed) => new Signer(root.clusterId, seed))
  const created = firstKey === undefined ? undefined : newKey(root, firstKey, at)
  const chain = newChain(root, ownKeys, { ordinal: 1, startedAt: at })
  const event = { action: 'service.init' as const, token: token.row.token, permissions, key: firstKey }
  const audit = extend(chain, undefined, [encodeEvent(event, at)])
  const macs = new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
  const commit = firstCommit(
    macs,
    [
      insert('cluster', cluster),
      insert('slots', slot),
      ...ownKeyRows.map((row) => insert('own_keys', row)),
      insert('tokens', token.row),
      ...(created === undefined ? [] : [insert('keys', created.key), insert('versions', created.version)]),
    ],
    audit,
  )
  macs.close()
  root.close()
  ownKeys.close()
  return {
    beginning: {
      clusterId: toHex(cluster.clusterId),
      adminToken: token.text,
      fingerprint: fingerprint(signer.publicKey),
      firstKey: created && describe(created),
    },
    async write() {
      if ((await store.commit(commit)) !== 'done') throw alreadyInitialised()
    },
  }
}

function describe({ key: { key, kemId }, version: { version, publicKey } }: FirstVersion): FirstKey {
  return { key, version, recipient: PublicKeyRecipient.fromPublicKey(kemId, publicKey).toString() }
}
