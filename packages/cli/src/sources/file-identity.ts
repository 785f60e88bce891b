/** Whether a file is still the one it was: size, time, inode, and in the end every byte. */

import { createHash } from 'node:crypto'
import { fstatSync, readSync } from 'node:fs'

export interface FileIdentity {
  readonly size: string
  readonly mtimeNs: string
  readonly inode: string
  /** SHA-256, hexadecimal. */
  readonly digest: string
}

const chunkBytes = 1024 * 1024

/** Reads the whole file. */
export function identityOf(fd: number): FileIdentity {
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafe(chunkBytes)
  let at = 0
  for (;;) {
    const read = readSync(fd, chunk, 0, chunkBytes, at)
    if (read === 0) break
    hash.update(chunk.subarray(0, read))
    at += read
  }
  return { ...statOf(fd), digest: hash.digest('hex') }
}

/** A look that costs nothing: catches every writer but one that puts the time back. */
export function looksUnchanged(fd: number, { size, mtimeNs, inode }: FileIdentity): boolean {
  const now = statOf(fd)
  return now.size === size && now.mtimeNs === mtimeNs && now.inode === inode
}

export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.inode === b.inode && a.digest === b.digest
}

function statOf(fd: number): Omit<FileIdentity, 'digest'> {
  const { size, mtimeNs, ino } = fstatSync(fd, { bigint: true })
  return { size: String(size), mtimeNs: String(mtimeNs), inode: String(ino) }
}
