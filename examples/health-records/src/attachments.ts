/**
 * Files of patients, of any size: each is one record under a data key of the patient, like the values in the columns. So
 * any part of a file is read without the rest, and all of it is gone with the patient's keys.
 */

import { randomUUID } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { EncryptedReader } from '@longhold/core'
import { and, eq, isNull } from 'drizzle-orm'

import { keyContextOf, patientKeys } from './keys.ts'
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

  /**
   * Encrypts a file as it arrives.
   *
   * @param size Bytes of content where the request says so: what is cut short is then refused.
   * @returns `undefined` when the patient was forgotten meanwhile.
   */
  async add(
    patient: string,
    mediaType: string,
    content: ReadableStream<Uint8Array>,
    size?: number,
  ): Promise<string | undefined> {
    const id = randomUUID()
    const options = { ...placeOf(patient, id), ...(size !== undefined && { size }) }
    try {
      const encrypted = content.pipeThrough(this.#keys.keyring.encryptStream(patientKeys, options))
      await writeFile(this.#path(id), encrypted, { flag: 'wx', mode: 0o600, flush: true })
      if (this.#insert({ id, patient, mediaType })) return id
    } catch (error) {
      await rm(this.#path(id), { force: true })
      throw error
    }
    await rm(this.#path(id), { force: true })
    return undefined
  }

  /**
   * Opens one for reading in parts. Its data key is found by the id in the file, so that nothing is made anew for who is
   * forgotten.
   *
   * @throws LongholdError `destroyed` when the patient is forgotten, `cannot_open` for a file that was altered or moved.
   */
  async open(patient: string, id: string): Promise<OpenAttachment | undefined> {
    const isIt = and(eq(attachments.id, id), eq(attachments.patient, patient))
    const row = this.#db.select().from(attachments).where(isIt).get()
    if (row === undefined) return undefined
    const file = await openAsBlob(this.#path(id))
    return { mediaType: row.mediaType, reader: await this.#keys.keyring.open(file, placeOf(patient, id)) }
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

/** What a file is bound to: the patient's data keys, and its place. */
const placeOf = (patient: string, id: string) => ({
  keyContext: keyContextOf(patient),
  recordContext: { patient, attachment: id },
})
