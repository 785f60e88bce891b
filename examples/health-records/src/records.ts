/** Patients' records: written, found by insurance number, changed, forgotten. */

import { randomUUID } from 'node:crypto'

import { and, eq, isNull } from 'drizzle-orm'

import type { Keys } from './keys.ts'
import { columns, healthRecords, noKey } from './schema.ts'
import type { AppDatabase } from './schema.ts'

export interface HealthRecord {
  readonly name: string
  readonly insuranceNumber: string
  readonly born: Date
  readonly diagnoses: string[]
}

export type StoredRecord = HealthRecord & { readonly id: string }

/** `gone`: there was one, and it is forgotten. */
export type Missing = 'unknown' | 'gone'

export class Records {
  readonly #db: AppDatabase
  readonly #keys: Keys

  constructor(db: AppDatabase, keys: Keys) {
    this.#db = db
    this.#keys = keys
  }

  async add(record: HealthRecord): Promise<string> {
    // Encrypted values are bound to the row's id, so it is made here and not by the database.
    const id = randomUUID()
    const row = await this.#columnsOf(id).row(healthRecords, { id, ...record })
    this.#db.insert(healthRecords).values(row).run()
    return id
  }

  async get(id: string): Promise<StoredRecord | Missing> {
    const row = this.#db.select().from(healthRecords).where(eq(healthRecords.id, id)).get()
    if (row === undefined || row.forgottenAt !== null) return row === undefined ? 'unknown' : 'gone'
    return shown(await this.#columnsOf(id).open(row))
  }

  async find(insuranceNumber: string): Promise<StoredRecord[]> {
    const finder = columns.withKey(noKey, { indexKey: this.#keys.index })
    const where = await finder.eq(healthRecords.insuranceNumber, insuranceNumber)
    const rows = this.#db
      .select()
      .from(healthRecords)
      .where(and(where, isNull(healthRecords.forgottenAt)))
      .all()
    const opened = await Promise.all(rows.map((row) => this.#columnsOf(row.id).open(row)))
    // A blind index may find more than is meant.
    return opened.filter((row) => row.insuranceNumber === insuranceNumber).map(shown)
  }

  async setDiagnoses(id: string, diagnoses: string[]): Promise<Missing | undefined> {
    const missing = this.missing(id)
    if (missing !== undefined) return missing
    const changes = await this.#columnsOf(id).changes(healthRecords, { id, diagnoses })
    const { changes: changed } = this.#db
      .update(healthRecords)
      .set(changes)
      .where(and(eq(healthRecords.id, id), isNull(healthRecords.forgottenAt)))
      .run()
    return changed === 0 ? 'gone' : undefined
  }

  /** Nothing is written for the patient from the mark on; then the data keys go. Again, should it have been cut off. */
  async forget(id: string): Promise<boolean> {
    const { changes } = this.#db
      .update(healthRecords)
      .set({ forgottenAt: new Date(), insuranceIndex: null })
      .where(eq(healthRecords.id, id))
      .run()
    if (changes === 0) return false
    await this.#keys.forget(id)
    return true
  }

  missing(id: string): Missing | undefined {
    const { forgottenAt } = healthRecords
    const row = this.#db.select({ forgottenAt }).from(healthRecords).where(eq(healthRecords.id, id)).get()
    if (row === undefined) return 'unknown'
    return row.forgottenAt === null ? undefined : 'gone'
  }

  #columnsOf(patient: string) {
    return columns.withKey(() => this.#keys.ofPatient(patient), { indexKey: this.#keys.index })
  }
}

function shown({ id, name, insuranceNumber, born, diagnoses }: StoredRecord): StoredRecord {
  return { id, name, insuranceNumber, born, diagnoses }
}
