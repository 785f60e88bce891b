/** A folder of backups: each a file of its own, for its owner only, that is there whole or not at all. */

import { constants } from 'node:fs'
import { link, open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'

import type { BackupPlace } from '../service/backup-keeper.ts'
import { ServiceError } from '../service/errors.ts'

const namePattern = /^longhold-kms-[\w-]+\.lhb$/u
const temporaryPattern = /^\.longhold-kms-[\w-]+\.lhb\.new$/u
/** Nobody writes one for so long: its process ended. */
const leftOverMs = 24 * 60 * 60 * 1000

export class BackupFolder implements BackupPlace {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async write(fileName: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const target = this.#file(fileName)
    const beside = join(this.#path, `.${fileName}.new`)
    await this.#translated(() => this.#removeLeftOver())
    // Whoever may write to the folder has no say in where this goes.
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
    const file = await this.#translated(() => open(beside, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600))
    try {
      try {
        for await (const piece of pieces) await this.#translated(() => writeAll(file, piece))
        await this.#translated(() => file.sync())
      } finally {
        await file.close()
      }
      // Unlike a rename, this takes no name that is taken.
      await this.#translated(() => link(beside, target))
    } finally {
      await unlink(beside).catch(() => undefined)
    }
    await this.#translated(() => this.#sync())
  }

  async remove(fileName: string): Promise<void> {
    await this.#translated(async () => {
      try {
        await unlink(this.#file(fileName))
        await this.#sync()
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error
      }
    })
  }

  #file(fileName: string): string {
    if (!namePattern.test(fileName)) throw new TypeError('this is no name of a backup')
    return join(this.#path, fileName)
  }

  async #removeLeftOver(): Promise<void> {
    for (const name of await readdir(this.#path)) {
      if (!temporaryPattern.test(name)) continue
      const path = join(this.#path, name)
      const { mtimeMs } = await stat(path)
      if (Date.now() - mtimeMs > leftOverMs) await unlink(path)
    }
  }

  async #sync(): Promise<void> {
    const directory = await open(this.#path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  async #translated<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      if (error instanceof ServiceError || error instanceof TypeError) throw error
      throw new ServiceError(
        'storage_unavailable',
        `the folder of backups ${this.#path} cannot be written (${codeOf(error)})`,
        { hint: 'see to its disk, and that the user of the service may write there' },
      )
    }
  }
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, piece: Uint8Array): Promise<void> {
  let at = 0
  while (at < piece.length) at += (await file.write(piece, at)).bytesWritten
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
