/**
 * The secret of one slot, 32 random bytes, and what the root key is kept with there: a hybrid identity, to which any
 * root is wrapped without asking anybody, and a key that says the wrap is the service's own. So a root can be replaced
 * although the people who hold the slots are not there, the old root does not open the new one, and whoever writes
 * to the database cannot put a root of his own in a slot, for all that its public key is public.
 */

import { hkdfSync, randomBytes } from 'node:crypto'

import {
  DataKey,
  equalBytes,
  LocalIdentity,
  LongholdError,
  Secret,
  toHex,
  unwrapDataKey,
  wrapDataKey,
} from '@longhold/core'
import type { PublicKeyRecipient } from '@longhold/core'

import { framed } from './framing.ts'
import { open, seal } from './sealing.ts'
import type { SlotKind, SlotOpener } from './slot-opener.ts'

export const rootBytes = 32
const secretBytes = 32

/** Which slot of which cluster. */
export interface SlotAddress {
  /** 16 bytes. */
  readonly clusterId: Uint8Array
  /** 16 hexadecimal digits. */
  readonly slot: string
  readonly kind: SlotKind
}

export class SlotSecret {
  readonly #secret: Secret

  private constructor(secret: Secret) {
    this.#secret = secret
  }

  static generate(): SlotSecret {
    return new SlotSecret(Secret.take(new Uint8Array(randomBytes(secretBytes))))
  }

  /**
   * @returns `undefined` for what an opener sealed that was no secret of a slot.
   * @throws ServiceError as `SlotOpener.open`.
   */
  static async open(
    address: SlotAddress,
    opener: SlotOpener,
    sealed: Uint8Array,
  ): Promise<SlotSecret | undefined> {
    const secret = await opener.open(sealed, slotBound(address))
    if (secret.length === secretBytes) return new SlotSecret(secret)
    secret.wipe()
    return undefined
  }

  /** For the slot's row. */
  async seal(address: SlotAddress, opener: SlotOpener): Promise<Uint8Array> {
    const copy = this.#secret.use((bytes) => new Uint8Array(bytes))
    try {
      return await opener.seal(copy, slotBound(address))
    } finally {
      copy.fill(0)
    }
  }

  /** The caller wipes it. */
  identity(): LocalIdentity {
    const seed = this.#derive('identity')
    try {
      return seed.use((bytes) => LocalIdentity.fromSeed(bytes))
    } finally {
      seed.wipe()
    }
  }

  isSameAs(other: SlotSecret): boolean {
    return this.#secret.use((ours) => other.#secret.use((theirs) => equalBytes(ours, theirs)))
  }

  /** What authenticates roots in this slot; the service keeps it, sealed under the root. The caller wipes it. */
  authKey(): Secret {
    return this.#derive('auth')
  }

  wipe(): void {
    this.#secret.wipe()
  }

  #derive(label: 'identity' | 'auth'): Secret {
    const info = framed('longhold/kms/v1/slot-secret', label)
    return this.#secret.use((bytes) =>
      Secret.take(new Uint8Array(hkdfSync('sha256', bytes, new Uint8Array(0), info, 32))),
    )
  }
}

/** What a root is kept under in a slot. */
export interface SlotKeys {
  readonly recipient: PublicKeyRecipient
  readonly authKey: Secret
}

/** Wraps a root for a slot; takes no secret of the people who hold it. */
export async function wrapRoot(
  root: Secret,
  address: SlotAddress,
  rootVersion: number,
  { recipient, authKey }: SlotKeys,
): Promise<Uint8Array> {
  const dataKey = root.use((bytes) => DataKey.from(bytes))
  try {
    const keyContext = contextOf(address, rootVersion)
    const wrapped = await wrapDataKey(dataKey, { recipients: [recipient], keyContext })
    return authKey.use((key) => seal(key, rootBound(address, rootVersion, recipient), wrapped))
  } finally {
    dataKey.wipe()
  }
}

/** Whether `sealed` is a wrap that the service made for this slot and version, as far as that shows without its
 *  secret. */
export function isOwnWrap(
  sealed: Uint8Array,
  address: SlotAddress,
  rootVersion: number,
  { recipient, authKey }: SlotKeys,
): boolean {
  const wrapped = authKey.use((key) => open(key, rootBound(address, rootVersion, recipient), sealed))
  wrapped?.wipe()
  return wrapped !== undefined
}

/** `undefined` when it does not open: another slot, cluster or version, or altered. The caller wipes it. */
export async function unwrapRoot(
  sealed: Uint8Array,
  address: SlotAddress,
  rootVersion: number,
  { identity, authKey }: { identity: LocalIdentity; authKey: Secret },
): Promise<Secret | undefined> {
  const bound = rootBound(address, rootVersion, identity.recipient)
  const wrapped = authKey.use((key) => open(key, bound, sealed))
  if (wrapped === undefined) return undefined
  try {
    const bytes = wrapped.use((lent) => new Uint8Array(lent))
    const keyContext = contextOf(address, rootVersion)
    const dataKey = await unwrapDataKey(bytes, { identities: [identity], keyContext })
    try {
      return dataKey.use((root) => Secret.copyOf(root))
    } finally {
      dataKey.wipe()
    }
  } catch (error) {
    if (error instanceof LongholdError) return undefined
    throw error
  } finally {
    wrapped.wipe()
  }
}

function slotBound({ clusterId, slot, kind }: SlotAddress): Uint8Array {
  return framed('longhold/kms/v1/slot', clusterId, slot, kind)
}

function rootBound(
  { clusterId, slot, kind }: SlotAddress,
  rootVersion: number,
  { publicKey }: PublicKeyRecipient,
): Uint8Array {
  return framed('longhold/kms/v1/slot-root', clusterId, slot, kind, rootVersion, publicKey)
}

function contextOf({ clusterId, slot }: SlotAddress, rootVersion: number): Record<string, string> {
  return { cluster: toHex(clusterId), slot, root: String(rootVersion) }
}
