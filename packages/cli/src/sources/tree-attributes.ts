/**
 * What a file has besides its bytes: owner, group, mode, access control lists, times, extended attributes. Node knows
 * the first four alone and times to the microsecond, so `cp` of GNU coreutils copies all of them where it is there.
 */

import { execFile } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { ObjectRefused } from './object-source.ts'
import { Problem } from './problem.ts'

const run = promisify(execFile)

const copyFlags = [
  '--attributes-only',
  '--preserve=mode,ownership,timestamps,xattr',
  '--no-dereference',
  '--',
]

/** @throws Problem `wrong` where nothing copies extended attributes. */
export async function checkAttributes(directory: string): Promise<void> {
  const place = mkdtempSync(join(directory, 'attributes-'))
  const [from, to] = [join(place, 'from'), join(place, 'to')]
  try {
    writeFileSync(from, '')
    writeFileSync(to, 'kept')
    await run('cp', [...copyFlags, from, to])
    if (statSync(to).size !== 4) throw new Error('cp copied the content')
  } catch (error) {
    throw new Problem('wrong', 'there is no cp of GNU coreutils here that copies extended attributes', {
      hint: 'install coreutils, or give --no-xattrs: mode, owner and times are kept all the same',
      cause: error,
    })
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

/**
 * Gives a new file the attributes of an old one.
 *
 * @throws ObjectRefused `attributes` when one cannot be given, say an owner by somebody who is not root.
 */
export async function copyAttributes(from: string, to: string, withExtended: boolean): Promise<void> {
  const old = statSync(from, { bigint: true })
  try {
    if (withExtended) {
      await run('cp', [...copyFlags, from, to])
    } else {
      // Owner first: changing it may clear mode bits.
      chownSync(to, Number(old.uid), Number(old.gid))
      chmodSync(to, Number(old.mode & 0o7777n))
      utimesSync(to, Number(old.atimeNs) / 1e9, Number(old.mtimeNs) / 1e9)
    }
  } catch (error) {
    throw new ObjectRefused('attributes', `its attributes cannot be kept: ${String(error)}`)
  }
  if (!isAlike(old, statSync(to, { bigint: true }), withExtended)) {
    throw new ObjectRefused('attributes', 'its owner, mode or time cannot be kept')
  }
}

function isAlike(a: BigIntStats, b: BigIntStats, isExact: boolean): boolean {
  const isSame = a.uid === b.uid && a.gid === b.gid && a.mode === b.mode
  return isSame && (!isExact || a.mtimeNs === b.mtimeNs)
}
