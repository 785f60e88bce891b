/** Keyrings whose clock and store the tests hold in hand. */

import type { Identity, Recipient } from '../../src/index.ts'
import type { KeyringOptions } from '../../src/keys/keyring-options.ts'
import { testingOpenKeyring } from '../../src/keys/keyring.ts'
import type { StoredDataKey } from '../../src/keys/wrapped-key-store.ts'
import { MemoryKeyStore } from '../../src/stores/memory.ts'
import { identityOf } from '../samples.ts'

export const alice = identityOf(1)
export const bob = identityOf(2)
export const recordContext = { id: '1' }

export class Clock {
  ms = Date.UTC(2026, 10, 25)
  readonly now = () => this.ms
}

/** A store that counts what it is asked, and can be made to fail. */
export class WatchedStore extends MemoryKeyStore {
  readonly asked: Record<string, number> = {}
  /** Names of operations that throw this. */
  readonly failing = new Map<string, Error>()
  /** Runs before an operation of that name. */
  readonly before = new Map<string, () => unknown>()
  /** Runs when an operation of that name is done, before its caller hears of it. */
  readonly after = new Map<string, () => unknown>()

  constructor() {
    super()
    const names = [
      'get',
      'findWriting',
      'insertWriting',
      'reserve',
      'release',
      'move',
      'replaceWrappedKeys',
      'setTag',
      'page',
      'destroy',
    ] as const
    for (const name of names) {
      const operation = this[name].bind(this) as (...args: unknown[]) => Promise<unknown>
      Object.assign(this, {
        [name]: async (...args: unknown[]) => {
          this.asked[name] = (this.asked[name] ?? 0) + 1
          await this.before.get(name)?.()
          const error = this.failing.get(name)
          if (error !== undefined) throw error
          const result = await operation(...args)
          await this.after.get(name)?.()
          return result
        },
      })
    }
  }

  async all(): Promise<readonly StoredDataKey[]> {
    return await this.page({ limit: 10_000 })
  }
}

/** Alice, counting her wraps and unwraps. */
export function counted(identity = alice): {
  identity: Identity
  recipient: Recipient
  count: { wraps: number; unwraps: number }
} {
  const count = { wraps: 0, unwraps: 0 }
  return {
    count,
    identity: {
      owns: (kemId, recipientId) => identity.owns(kemId, recipientId),
      unwrap: (stanza, bound) => {
        count.unwraps++
        return identity.unwrap(stanza, bound)
      },
    },
    recipient: {
      kemId: identity.kemId,
      recipientId: identity.recipientId,
      wrap: (dataKey, bound) => {
        count.wraps++
        return identity.recipient.wrap(dataKey, bound)
      },
    },
  }
}

export function open(options: Partial<KeyringOptions> & { store?: WatchedStore; clock?: Clock } = {}) {
  const { clock = new Clock(), store = new WatchedStore(), ...more } = options
  const keyring = testingOpenKeyring(
    { identities: [alice], recipients: [alice.recipient], store, ...more },
    clock.now,
  )
  return { keyring, clock, store }
}
