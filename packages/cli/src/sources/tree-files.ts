/** Files of a tree as objects: what they are at a moment, and how they are read. */

import { lstatSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { constants, open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

import { ObjectChanged, ObjectRefused } from './object-source.ts'
import type { FilePlace, OpenedObject } from './object-source.ts'

const pieceBytes = 256 * 1024

/** Of a file at this moment: every write, replacement and change of its attributes makes another. */
export function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join('.')
}

/** The same without what a link to the file changes. */
export function contentVersion(version: string): string {
  return version.split('.').slice(0, 4).join('.')
}

/** Undefined when there is no such file any more, or something else of its name. */
export function versionAt(path: string): string | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return stats?.isFile() === true ? versionOf(stats) : undefined
}

/**
 * @throws ObjectChanged when it is not what was listed.
 * @throws ObjectRefused `not_readable`.
 */
export async function openTreeFile({ path, version }: FilePlace): Promise<OpenedObject> {
  let handle: FileHandle
  try {
    // A link that somebody put there since it was listed is not followed; a pipe does not keep us waiting.
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(code)) throw new ObjectChanged(code)
    if (['EACCES', 'EPERM'].includes(code)) throw new ObjectRefused('not_readable', 'permission denied')
    throw error
  }
  const file = new TreeFile(handle, version)
  try {
    await file.checkUnchanged()
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

class TreeFile implements OpenedObject {
  readonly size: number
  readonly metadata = undefined
  readonly #handle: FileHandle
  readonly #version: string

  constructor(handle: FileHandle, version: string) {
    this.#handle = handle
    this.#version = version
    this.size = Number(version.split('.')[2])
  }

  async head(maxBytes: number): Promise<Uint8Array> {
    const head = Buffer.alloc(Math.min(maxBytes, this.size))
    return head.subarray(0, await this.#fill(head, 0))
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    const read = async (at: number): Promise<Uint8Array> => {
      const bytes = Buffer.allocUnsafeSlow(Math.min(pieceBytes, Math.max(1, this.size - at)))
      return bytes.subarray(0, await this.#fill(bytes, at))
    }
    // While one piece is worked on the next one is read.
    let at = 0
    let next = read(at)
    try {
      for (let piece = await next; piece.length > 0; piece = await next) {
        at += piece.length
        next = read(at)
        next.catch(() => {}) // it is awaited in its turn, perhaps after it failed
        yield piece
      }
    } finally {
      await next.catch(() => {})
    }
  }

  async checkUnchanged(): Promise<void> {
    const stats = await this.#handle.stat({ bigint: true })
    if (versionOf(stats) !== this.#version) throw new ObjectChanged('written to')
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  async #fill(bytes: Uint8Array, offset: number): Promise<number> {
    for (let filled = 0; filled < bytes.length;) {
      const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, offset + filled)
      if (bytesRead === 0) return filled
      filled += bytesRead
    }
    return bytes.length
  }
}
