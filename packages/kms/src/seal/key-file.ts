/** A slot that is a file: 32 random bytes only its owner can read. Whoever has it and the database has every key. */

import { hkdfSync, randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { platform } from 'node:os'
import { dirname } from 'node:path'

import { Secret } from '@longhold/core'

import { ServiceError } from '../service/errors.ts'
import { open, seal } from '../service/sealing.ts'
import type { SlotOpener } from '../service/slot-opener.ts'

const fileBytes = 32

export class KeyFile implements SlotOpener {
  readonly kind = 'key-file'
  readonly #path: string
  readonly #key: Secret

  private constructor(path: string, key: Secret) {
    this.#path = path
    this.#key = key
  }

  /**
   * Reads an existing key file.
   *
   * @throws ServiceError `wrong_key_file` when it is missing, not 32 bytes long, or open to others.
   */
  static read(path: string): KeyFile {
    const content = readKeyFile(path)
    try {
      return KeyFile.fromBytes(content, path)
    } finally {
      content.fill(0)
    }
  }

  /**
   * The content of a key file that is elsewhere.
   *
   * @param content 32 bytes. Borrowed.
   * @param name For messages.
   * @throws ServiceError `wrong_secret` for another length.
   */
  static fromBytes(content: Uint8Array, name: string): KeyFile {
    if (content.length !== fileBytes) {
      throw new ServiceError('wrong_secret', `${name} is not ${fileBytes} bytes long`)
    }
    // Derived: the bytes of the file are never a key of AES themselves.
    const key = hkdfSync('sha256', content, new Uint8Array(0), 'longhold/kms/v1/key-file', 32)
    return new KeyFile(name, Secret.take(new Uint8Array(key)))
  }

  /**
   * Makes the file. One that is there already is read and left as it is.
   *
   * @throws ServiceError `wrong_key_file`.
   */
  static readOrCreate(path: string): { keyFile: KeyFile; isNew: boolean } {
    const isNew = createKeyFile(path)
    return { keyFile: KeyFile.read(path), isNew }
  }

  async seal(slotSecret: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
    return this.#key.use((key) => seal(key, bound, slotSecret))
  }

  async open(sealed: Uint8Array, bound: Uint8Array): Promise<Secret> {
    const slotSecret = this.#key.use((key) => open(key, bound, sealed))
    if (slotSecret !== undefined) return slotSecret
    throw new ServiceError('wrong_secret', `${this.#path} is not the key file of this database`, {
      hint: 'give the key file that was made with it, or restore that from its backup; nothing was changed',
    })
  }

  close(): void {
    this.#key.wipe()
  }
}

function readKeyFile(path: string): Uint8Array {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    throw unreadable(path, error)
  }
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) throw wrong(`${path} is not a file`, 'give the key file of this service')
    // Windows has no such bits.
    if (platform() !== 'win32' && (stats.mode & 0o077) !== 0) {
      const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
      throw wrong(`the key file ${path} is open to others (mode ${mode})`, `chmod 600 ${path}`)
    }
    const content = new Uint8Array(fileBytes)
    if (stats.size === fileBytes && readSync(file, content) === fileBytes) return content
    const hint =
      stats.size === 0
        ? 'its making was cut short: delete it if no database was made with it, else restore it from its backup'
        : 'restore it from its backup'
    throw wrong(`the key file ${path} is not ${fileBytes} bytes long`, hint)
  } finally {
    closeSync(file)
  }
}

/** @returns Whether it was not there before. */
function createKeyFile(path: string): boolean {
  let file: number
  try {
    file = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw unreadable(path, error)
  }
  const content = new Uint8Array(randomBytes(fileBytes))
  try {
    writeSync(file, content)
    fsyncSync(file)
  } finally {
    content.fill(0)
    closeSync(file)
  }
  // The name too must outlive a power cut: the database is sealed under this file from now on.
  // Windows opens no directories.
  if (platform() === 'win32') return true
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
  return true
}

function unreadable(path: string, error: unknown): ServiceError {
  const code = codeOf(error)
  if (code === 'ENOENT') {
    return wrong(
      `there is no key file ${path}`,
      'say where it is, or restore it from its backup: a new one could not open this database',
    )
  }
  return wrong(`the key file ${path} cannot be read (${code})`, 'run the service as the user it belongs to')
}

function wrong(message: string, hint: string): ServiceError {
  return new ServiceError('wrong_key_file', message, { hint })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
