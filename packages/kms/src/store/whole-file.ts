/** A file that is there whole or not at all, whenever the machine stops. */

import { open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * In place of the one before.
 *
 * @throws Error of the file system, with its `code`; what was there before is there still.
 */
export async function writeWholeFile(path: string, text: string, mode: number): Promise<void> {
  const beside = `${path}.new`
  try {
    await removeLeftOver(beside)
    // Never through a link: whoever may write there has no say in where this goes.
    const file = await open(beside, 'wx', mode)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
    const directory = await open(dirname(path), 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  } catch (error) {
    await unlink(beside).catch(() => undefined)
    throw error
  }
}

/** What a process left that ended, or somebody put there. */
async function removeLeftOver(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (fileCode(error) !== 'ENOENT') throw error
  }
}

/** Of an error of the file system. */
export function fileCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
