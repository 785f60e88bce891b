/** The writes, each one transaction: they run in the writer's thread. */

import { and, eq, isNull, sql } from 'drizzle-orm'

import type {
  AuditAppend,
  AuditHead,
  Initialization,
  NewKey,
  Outcome,
  Rotation,
  StateChange,
  TokenRow,
} from '../../service/key-store.ts'
import type { Connection } from './connection.ts'
import { auditEntries, auditHeads, cluster, keys, ownKeys, slots, tokens, versions } from './schema.ts'

type Transaction = Parameters<Parameters<Connection['db']['transaction']>[0]>[0]

/** Ends a transaction with nothing written. */
class Refusal extends Error {
  readonly outcome: Exclude<Outcome, 'done'>
  constructor(outcome: Exclude<Outcome, 'done'>) {
    super(outcome)
    this.outcome = outcome
  }
}

export const writes = {
  initialize(tx: Transaction, initialization: Initialization): void {
    const { firstKey, token } = initialization
    expect(tx.select().from(cluster).get() === undefined)
    tx.insert(cluster)
      .values({ id: 1, ...buffers(initialization.cluster) })
      .run()
    tx.insert(slots).values(buffers(initialization.slot)).run()
    for (const key of initialization.ownKeys) tx.insert(ownKeys).values(buffers(key)).run()
    if (firstKey !== undefined) writes.createKey(tx, firstKey)
    writes.createToken(tx, token)
  },

  createKey(tx: Transaction, { key, version }: NewKey): void {
    const row = { ...key, rewrapTo: [...key.rewrapTo] }
    expect(tx.insert(keys).values(row).onConflictDoNothing().run().changes === 1)
    expect(tx.insert(versions).values(buffers(version)).onConflictDoNothing().run().changes === 1)
  },

  rotate(tx: Transaction, { key, expectedGeneration, expectedPrimary, version }: Rotation): void {
    const at = version.createdAt
    expect(
      tx
        .update(keys)
        .set({ generation: expectedGeneration + 1, latestVersion: version.version, rotatedAt: at })
        .where(
          and(
            eq(keys.key, key),
            eq(keys.generation, expectedGeneration),
            eq(keys.latestVersion, version.version - 1),
          ),
        )
        .run().changes === 1,
    )
    expect(
      tx
        .update(versions)
        .set({ state: 'unwrap_only', stateChangedAt: at })
        .where(
          and(eq(versions.key, key), eq(versions.version, expectedPrimary), eq(versions.state, 'primary')),
        )
        .run().changes === 1,
    )
    expect(tx.insert(versions).values(buffers(version)).onConflictDoNothing().run().changes === 1)
  },

  changeState(tx: Transaction, { key, version, expectedGeneration, from, to, at }: StateChange): void {
    expect(
      tx
        .update(keys)
        .set({ generation: expectedGeneration + 1 })
        .where(and(eq(keys.key, key), eq(keys.generation, expectedGeneration)))
        .run().changes === 1,
    )
    expect(
      tx
        .update(versions)
        .set({ state: to, stateChangedAt: at })
        .where(and(eq(versions.key, key), eq(versions.version, version), eq(versions.state, from)))
        .run().changes === 1,
    )
  },

  createToken(tx: Transaction, token: TokenRow): void {
    const row = buffers({
      ...token,
      permissions: [...token.permissions],
      keys: token.keys === null ? null : [...token.keys],
    })
    expect(tx.insert(tokens).values(row).onConflictDoNothing().run().changes === 1)
  },

  revokeToken(tx: Transaction, { token, at }: { token: string; at: number }): void {
    expect(
      tx
        .update(tokens)
        .set({ revokedAt: at })
        .where(and(eq(tokens.token, token), isNull(tokens.revokedAt)))
        .run().changes === 1,
    )
  },

  append(): void {
    // The entries alone.
  },
} satisfies Record<string, (tx: Transaction, argument: never) => void>

export type WriteName = keyof typeof writes

/** Runs a write and appends its entries in one transaction. */
export function runWrite(
  { db }: Connection,
  name: WriteName,
  argument: unknown,
  audit: AuditAppend,
): Outcome {
  // The name decides the type of the argument; WriterThread pairs them.
  const write = writes[name] as (tx: Transaction, argument: unknown) => void
  try {
    db.transaction(
      (tx) => {
        write(tx, argument)
        appendAudit(tx, audit)
      },
      { behavior: 'immediate' },
    )
    return 'done'
  } catch (error) {
    if (error instanceof Refusal) return error.outcome
    throw error
  }
}

function appendAudit(tx: Transaction, { entries, head }: AuditAppend): void {
  const first = entries[0]
  if (first === undefined) throw new Refusal('chain_moved')
  const row: AuditHead = buffers(head)
  const moved =
    first.seq === 1
      ? tx.insert(auditHeads).values(buffers(row)).onConflictDoNothing().run()
      : tx
          .update(auditHeads)
          .set({ seq: row.seq, mac: Buffer.from(row.mac), headMac: Buffer.from(row.headMac) })
          .where(and(eq(auditHeads.run, row.run), eq(auditHeads.seq, first.seq - 1)))
          .run()
  if (moved.changes !== 1) throw new Refusal('chain_moved')
  const insert = tx
    .insert(auditEntries)
    .values({
      run: sql.placeholder('run'),
      seq: sql.placeholder('seq'),
      body: sql.placeholder('body'),
      mac: sql.placeholder('mac'),
    })
    .prepare()
  for (const entry of entries) insert.run(buffers(entry))
}

function expect(isSo: boolean): void {
  if (!isSo) throw new Refusal('conflict')
}

type Buffers<T> = { [K in keyof T]: T[K] extends Uint8Array ? Buffer : T[K] }

/** The driver takes Buffers; bytes that came from another thread are plain arrays. */
function buffers<T extends object>(row: T): Buffers<T> {
  const entries = Object.entries(row).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value,
  ])
  // Same names, bytes replaced.
  return Object.fromEntries(entries) as Buffers<T>
}
