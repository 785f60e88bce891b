/** The writes in the middle of which a process is killed. */

import type { Commit } from '../../src/service/key-store.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { inserted, keyRow, newKey, TestWriter, tokenRow, updated, versionRow } from './rows.ts'

// Writers that make commits, and write none.
const writer = () => new TestWriter(new MemoryStore(), 'a'.repeat(32))

/** What is there before all but `initialize`. */
export function rotationBefore(): Commit {
  return writer().next(newKey('a'))
}

export function commitNamed(name: string): Commit {
  const after = writer()
  if (name !== 'initialize') after.accept(rotationBefore())
  const writes = {
    initialize: [
      inserted('cluster', {
        clusterId: new Uint8Array(16),
        rootVersion: 1,
        nextRootVersion: null,
        minSlots: 1,
        createdAt: 1000,
        restoredAt: null,
      }),
      inserted('tokens', tokenRow('00'.repeat(12))),
      ...newKey('first'),
    ],
    createKey: newKey('b'),
    rotate: [
      updated('keys', keyRow('a', { latestVersion: 2, primaryVersion: 2, rotatedAt: 2000 }), 1),
      updated('versions', versionRow('a', 1, { state: 'unwrap_only' }), 1),
      inserted('versions', versionRow('a', 2)),
    ],
  }[name]
  if (writes === undefined) throw new Error(`no such write: ${name}`)
  return after.next(writes, { entries: 2 })
}
