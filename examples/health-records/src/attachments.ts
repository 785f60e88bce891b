/**
 * Files of patients, of any size: each is one record under a data key of its own, which is in the database under a data
 * key of the patient. So any part of a file is read without the rest, and all of it is gone with the patient's key.
 */

import { randomUUID } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { DataKey, encryptRecordStream, openEncryptedRecord } from '@longhold/core'
import type { EncryptedReader } from '@longhold/core'
import { and, eq, isNull } from 'drizzle-orm'

import { keyContextOf } from './keys.ts'
import type { Keys } from './keys.ts'
import { attachments, healthRecords } from './schema.ts'
import type { AppDatabase } from './schema.ts'

export interface OpenAttachment {
  readonly mediaType: string
  /** To be closed. */
  readonly reader: EncryptedReader
}

export class Attachments {
  readonly #db: AppDatabase
  readonly #keys: Keys
  readonly #directory: string

  constructor(db: AppDatabase, keys: Keys, directory: string) {
    this.#db = db
    this.#keys = keys
    this.#directory = directory
  }

  /** @returns `undefined` when the patient was forgotten meanwhile. */
  async add(
    patient: string,
    mediaType: string,
    content: ReadableStream<Uint8Array>,
  ): Promise<string | undefined> {
    const id = randomUUID()
    using fileKey = DataKey.generate()
    const patientKey = this.#keys.ofPatient(patient)
    await patientKey.ready()
    const sealedKey = fileKey.use((bytes) => patientKey.encrypt(bytes, keyPlace(id)))
    const encrypted = content.pipeThrough(encryptRecordStream(fileKey, filePlace(patient, id)))
    try {
      await writeFile(this.#path(id), encrypted, { flag: 'wx', mode: 0o600, flush: true })
      if (this.#insert({ id, patient, mediaType, sealedKey: Buffer.from(sealedKey) })) return id
    } catch (error) {
      await rm(this.#path(id), { force: true })
      throw error
    }
    await rm(this.#path(id), { force: true })
    return undefined
  }

  /**
   * Opens one for reading in parts.
   *
   * @throws LongholdError `destroyed` when the patient is forgotten, `cannot_open` for a file that was altered or moved.
   */
  async open(patient: string, id: string): Promise<OpenAttachment | undefined> {
    const isIt = and(eq(attachments.id, id), eq(attachments.patient, patient))
    const row = this.#db.select().from(attachments).where(isIt).get()
    if (row === undefined) return undefined
    // The data key is found by its id in the record, so that nothing is made anew for who is forgotten.
    const keyContext = keyContextOf(patient)
    const bytes = await this.#keys.keyring.decrypt(row.sealedKey, { ...keyPlace(id), keyContext })
    try {
      using fileKey = DataKey.from(bytes)
      const file = await openAsBlob(this.#path(id))
      const reader = await openEncryptedRecord(file, fileKey, filePlace(patient, id))
      return { mediaType: row.mediaType, reader }
    } finally {
      bytes.fill(0)
    }
  }

  /** The files of a patient. Their rows stay, to say that they are gone. */
  async remove(patient: string): Promise<void> {
    const rows = this.#db.select().from(attachments).where(eq(attachments.patient, patient)).all()
    await Promise.all(rows.map(({ id }) => rm(this.#path(id), { force: true })))
  }

  #insert(row: typeof attachments.$inferInsert): boolean {
    const isThere = and(eq(healthRecords.id, row.patient), isNull(healthRecords.forgottenAt))
    return this.#db.transaction((tx) => {
      if (tx.select({ id: healthRecords.id }).from(healthRecords).where(isThere).get() === undefined)
        return false
      tx.insert(attachments).values(row).run()
      return true
    })
  }

  #path(id: string): string {
    return join(this.#directory, id)
  }
}

const keyPlace = (id: string) => ({ recordContext: { table: 'attachments', column: 'sealed_key', id } })
const filePlace = (patient: string, id: string) => ({ recordContext: { patient, attachment: id } })
