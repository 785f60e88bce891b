/** A ledger over a store, with a chain to write to. */

import { Secret } from '@longhold/core'
import { onTestFinished } from 'vitest'

import { extend } from '../../src/service/audit-chain.ts'
import { insert } from '../../src/service/changes.ts'
import type { Change } from '../../src/service/changes.ts'
import { GuardedLedger } from '../../src/service/guarded-ledger.ts'
import type { GuardOptions } from '../../src/service/guarded-ledger.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { firstCommit } from '../../src/service/ledger.ts'
import type { LedgerOutcome } from '../../src/service/ledger.ts'
import { RowMacs } from '../../src/service/row-mac.ts'
import type { AuditHeadRow } from '../../src/service/rows.ts'

export interface TestLedger extends Pick<GuardedLedger, 'ledger' | 'fault'> {
  readonly verify: () => Promise<void>
  readonly close: () => Promise<void>
  readonly macs: RowMacs
  readonly commit: (...changes: Change[]) => Promise<LedgerOutcome>
}

export const testClusterId = new Uint8Array(16).fill(3)
const secret = () => Secret.copyOf(new Uint8Array(32).fill(5))

export function testMacs(clusterId = testClusterId): RowMacs {
  const macs = new RowMacs(clusterId, secret())
  onTestFinished(() => macs.close())
  return macs
}

export function testChain(ordinal = 1) {
  const run = ordinal.toString(16).padStart(32, '0')
  return { clusterId: testClusterId, run, ordinal, startedAt: 0, key: { version: 1, secret: secret() } }
}

/** What a store begins with: a cluster, and a chain. */
export async function beginLedger(store: KeyStore, macs = testMacs()): Promise<void> {
  const cluster = insert('cluster', {
    clusterId: macs.clusterId,
    rootVersion: 1,
    nextRootVersion: null,
    minSlots: 1,
    createdAt: 0,
    restoredAt: null,
  })
  await store.commit(firstCommit(macs, [cluster], extend(testChain(), undefined, ['{}'])))
}

/** @param ordinal Of its chain; another one for each ledger of a store. */
export async function openLedger(
  store: KeyStore,
  { ordinal = 2, ...options }: Partial<GuardOptions> & { ordinal?: number } = {},
): Promise<TestLedger> {
  const macs = testMacs()
  const guarded = await GuardedLedger.open({ store, macs, ...options })
  onTestFinished(() => guarded.close())
  let head: AuditHeadRow | undefined
  return {
    ledger: guarded.ledger,
    macs,
    get fault() {
      return guarded.fault
    },
    verify: () => guarded.verify(),
    close: () => guarded.close(),
    async commit(...changes) {
      const audit = extend(testChain(ordinal), head, ['{}'])
      const outcome = await guarded.ledger.commit(changes, audit)
      if (outcome === 'done') head = audit.head
      return outcome
    },
  }
}
