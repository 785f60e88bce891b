/**
 * The schema of a database has a number: how many migrations made it. Each one is recorded with the release that ran it,
 * so that a program which is older than its database can say which one to start instead.
 */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { readMigrationFiles } from 'drizzle-orm/migrator'

import { ServiceError } from '../../service/errors.ts'

/** The record, in both databases. */
export const migrationsTable = 'longhold_kms_migrations'
export const migrationsTableSql = `create table ${migrationsTable} (version integer primary key, name text not null, release text not null)`

export interface Migration {
  /** 1, 2, 3, … */
  readonly version: number
  readonly name: string
  readonly statements: readonly string[]
}

/** One row of the record. */
export interface AppliedMigration {
  readonly version: number
  readonly name: string
  /** Of the program that ran it. */
  readonly release: string
}

/** What the opening of a database did to its schema; from 0: there was none. */
export interface SchemaUpgrade {
  readonly from: number
  readonly to: number
}

/** @param folder Under `migrations/`. */
export function migrationsOf(folder: string): Migration[] {
  return readMigrations(fileURLToPath(new URL(`../../../migrations/${folder}`, import.meta.url)))
}

/** In the order of their names, which begin with when they were made. */
export function readMigrations(migrationsFolder: string): Migration[] {
  return readMigrationFiles({ migrationsFolder }).map(({ name, sql }, index) => ({
    version: index + 1,
    name,
    statements: sql,
  }))
}

/**
 * What a database still needs.
 *
 * @param where The database, for people.
 * @throws ServiceError `newer_database` where something was done to it that this release does not know.
 */
export function pendingMigrations(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
  where: string,
): readonly Migration[] {
  const unknown = applied.filter(({ version, name }) => known[version - 1]?.name !== name)
  const newest = unknown.toSorted((a, b) => a.version - b.version).at(-1)
  if (newest === undefined) return known.slice(applied.length)
  throw new ServiceError(
    'newer_database',
    `${where} has schema ${newest.version} (${newest.name}), made by release ${newest.release}; this is release ${release()}, which knows schemas up to ${known.length}`,
    {
      hint: `start release ${newest.release} or a newer one; to go back, restore a backup from before the upgrade. Nothing was changed`,
    },
  )
}

/** Of this program. */
export function release(): string {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  // Our own manifest.
  return (JSON.parse(manifest) as { version: string }).version
}
