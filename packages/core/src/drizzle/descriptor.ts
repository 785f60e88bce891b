/**
 * What is known of an encrypted or blind index column besides what Drizzle knows. Drizzle keeps a column's mapping
 * function and hands it on to aliases; by that function the descriptor is found again.
 */

import type { Column } from 'drizzle-orm'

import type { ValueType } from '../format/value.ts'
import type { ColumnOptions } from './migrating.ts'

export interface Descriptor {
  /** The same object for all columns of one `encryptedColumns`. */
  readonly family: object
  /** In the database. */
  readonly name: string
  readonly type: ValueType
  readonly options: ColumnOptions<unknown>
}

export interface IndexDescriptor {
  readonly family: object
  /** The database's name of the column it is about. */
  readonly of: string
  readonly bits: number
}

const descriptors = new WeakMap<object, Descriptor>()
const indexes = new WeakMap<object, IndexDescriptor>()

export function describeColumn(mapping: object, descriptor: Descriptor): void {
  descriptors.set(mapping, descriptor)
}

export function describeIndex(mapping: object, descriptor: IndexDescriptor): void {
  indexes.set(mapping, descriptor)
}

export function descriptorOf(column: Column): Descriptor | undefined {
  return descriptors.get(column.mapToDriverValue)
}

export function indexDescriptorOf(column: Column): IndexDescriptor | undefined {
  return indexes.get(column.mapToDriverValue)
}
