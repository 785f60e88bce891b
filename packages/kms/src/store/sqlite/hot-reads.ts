/** The reads of every request, prepared once: preparing costs several times what running does. */

import { and, eq, sql } from 'drizzle-orm'

import type { Connection } from './connection.ts'
import { keys, tokens, versions } from './schema.ts'

export type HotReads = ReturnType<typeof prepareHotReads>

export function prepareHotReads(db: Connection['db']) {
  return {
    token: db
      .select()
      .from(tokens)
      .where(eq(tokens.token, sql.placeholder('token')))
      .prepare(),
    key: selectSummaries(db)
      .where(eq(keys.key, sql.placeholder('key')))
      .prepare(),
    version: db
      .select()
      .from(versions)
      .where(and(eq(versions.key, sql.placeholder('key')), eq(versions.version, sql.placeholder('version'))))
      .prepare(),
    versionByRecipientId: db
      .select()
      .from(versions)
      .where(eq(versions.recipientId, sql.placeholder('recipientId')))
      .prepare(),
  }
}

/** Keys with the number of their primary version. */
export function selectSummaries(db: Connection['db']) {
  const primary = sql<number>`(select ${versions.version} from ${versions} where ${versions.key} = ${keys.key} and ${versions.state} = 'primary')`
  return db
    .select({
      key: keys.key,
      purpose: keys.purpose,
      kemId: keys.kemId,
      generation: keys.generation,
      latestVersion: keys.latestVersion,
      rewrapTo: keys.rewrapTo,
      createdAt: keys.createdAt,
      rotatedAt: keys.rotatedAt,
      primaryVersion: primary,
    })
    .from(keys)
}
