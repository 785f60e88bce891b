/** Why a store is not filled. */

import { ServiceError } from './errors.ts'

/** @param table Where something is; empty: there is a cluster head and nothing else. */
export function notEmpty(table: string): ServiceError {
  const what = table === '' ? 'a cluster head' : `rows of ${table}`
  return new ServiceError('already_initialised', `the database is not empty: it holds ${what}`, {
    hint: 'give another data directory or database, or move this one away',
  })
}

/** Two rows of one name, or with the same of what is unique. */
export function twice(table: string): ServiceError {
  return new ServiceError('bad_backup', `two rows of ${table} are in each other's place`)
}
