/** Rows for tests of stores: of the right shape, sealed by nobody. */

import { randomBytes } from 'node:crypto'

import type {
  AuditAppend,
  Initialization,
  KeyRow,
  NewKey,
  TokenRow,
  VersionRow,
} from '../../src/service/key-store.ts'

const bytes = (length: number) => new Uint8Array(randomBytes(length))

export function versionRow(key: string, version: number, changes: Partial<VersionRow> = {}): VersionRow {
  return {
    key,
    version,
    state: 'primary',
    kemId: 0x647a,
    publicKey: bytes(1216),
    recipientId: bytes(16),
    rootVersion: 1,
    sealedSeed: bytes(60),
    createdAt: 1000 + version,
    stateChangedAt: 1000 + version,
    ...changes,
  }
}

export function newKey(key: string, changes: Partial<KeyRow> = {}): NewKey {
  return {
    key: {
      key,
      purpose: 'wrap',
      kemId: 0x647a,
      generation: 1,
      latestVersion: 1,
      rewrapTo: [],
      createdAt: 1000,
      rotatedAt: null,
      ...changes,
    },
    version: versionRow(key, 1),
  }
}

export function tokenRow(token: string, changes: Partial<TokenRow> = {}): TokenRow {
  return {
    token,
    name: 'a token',
    mac: bytes(32),
    pepperVersion: 1,
    permissions: ['unwrap', 'wrap'],
    keys: null,
    createdAt: 1000,
    expiresAt: null,
    revokedAt: null,
    createdBy: null,
    ...changes,
  }
}

export function initialization(changes: Partial<Initialization> = {}): Initialization {
  return {
    cluster: { clusterId: bytes(16), rootVersion: 1, createdAt: 1000 },
    slot: { slot: 's1', kind: 'key-file', rootVersion: 1, sealedRoot: bytes(60), createdAt: 1000 },
    ownKeys: [
      { purpose: 'token-pepper', version: 1, rootVersion: 1, sealed: bytes(60), createdAt: 1000 },
      { purpose: 'audit-chain', version: 1, rootVersion: 1, sealed: bytes(60), createdAt: 1000 },
    ],
    token: tokenRow('00'.repeat(12)),
    firstKey: undefined,
    ...changes,
  }
}

/** A chain that stores take: numbers in order, any MACs. */
export class TestChain {
  readonly run: string
  #seq = 0

  constructor(run = 'a'.repeat(32)) {
    this.run = run
  }

  /** The next `count` entries. Not counted unless they were written: call `accept`. */
  next(count = 1): AuditAppend {
    const entries = Array.from({ length: count }, (_, index) => ({
      run: this.run,
      seq: this.#seq + 1 + index,
      body: JSON.stringify({ n: this.#seq + 1 + index }),
      mac: bytes(32),
    }))
    const last = entries.at(-1)
    const head = {
      run: this.run,
      seq: last?.seq ?? 0,
      mac: last?.mac ?? bytes(32),
      headMac: bytes(32),
      chainKeyVersion: 1,
      startedAt: 1000,
    }
    return { entries, head }
  }

  accept({ head }: AuditAppend): void {
    this.#seq = head.seq
  }
}
