/** Copies of checkpoints as files of a folder, one each: on another machine, where who writes to the database cannot. */

import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

import type { CheckpointCopies } from '../service/checkpoints.ts'
import { ServiceError } from '../service/errors.ts'
import type { CheckpointRow } from '../service/rows.ts'
import { fileCode, writeWholeFile } from './whole-file.ts'

/** Number, then when it was made: after a rollback the same number is made again, and must not take the place of the other. */
const namePattern = /^checkpoint-\d{8,}-(\d{8}T\d{9}Z)\.json$/u

export class CheckpointFolder implements CheckpointCopies {
  readonly #path: string

  /** @param path Of the folder; made when it is not there. */
  constructor(path: string) {
    this.#path = path
  }

  async write(row: CheckpointRow): Promise<void> {
    const path = join(this.#path, nameOf(row))
    try {
      await mkdir(this.#path, { recursive: true, mode: 0o700 })
      // Written once: what is there is the same.
      if ((await stat(path).catch(() => undefined)) === undefined) {
        await writeWholeFile(path, `${row.line}\n`, 0o600)
      }
    } catch (error) {
      throw new ServiceError('storage_unavailable', `${path} cannot be written (${fileCode(error)})`, {
        hint: 'see to the folder of the checkpoints: what is not there proves nothing',
      })
    }
  }
}

/**
 * Lines of checkpoints, newest first.
 *
 * @param path Of one file, or of a folder of them.
 * @param maxLines Of a folder, at most so many, 10 KiB or so each.
 * @throws ServiceError `bad_config` when it cannot be read, holds none, or one under the name of another: whoever may add
 * files could hide the newest behind older ones.
 */
export async function readCheckpointLines(path: string, maxLines: number): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [(await readFile(path, 'utf8')).trim()]
    const names = (await readdir(path)).filter((name) => namePattern.test(name)).toSorted(byTime)
    const lines = await Promise.all(
      names.slice(0, maxLines).map(async (name) => {
        const line = (await readFile(join(path, name), 'utf8')).trim()
        if (nameIn(line) !== name) throw misnamed(join(path, name))
        return line
      }),
    )
    if (lines.length > 0) return lines
  } catch (error) {
    if (error instanceof ServiceError) throw error
    throw new ServiceError('bad_config', `${path} cannot be read (${fileCode(error)})`, {
      hint: 'give a checkpoint of the service, or the folder it keeps them in',
    })
  }
  throw new ServiceError('bad_config', `there is no checkpoint in ${path}`, {
    hint: 'a service that is given it as checkpoint-folder writes them there',
  })
}

function nameOf({ checkpoint, createdAt }: Pick<CheckpointRow, 'checkpoint' | 'createdAt'>): string {
  const time = new Date(createdAt).toISOString().replaceAll(/[-:.]/gu, '')
  return `checkpoint-${String(checkpoint).padStart(8, '0')}-${time}.json`
}

/** What the file of a line is called; whether somebody signed it, whoever has the key looks at. */
function nameIn(line: string): string | undefined {
  try {
    const { body } = JSON.parse(line) as { body: string }
    const { number, at } = JSON.parse(body) as { number: number; at: string }
    return nameOf({ checkpoint: number, createdAt: Date.parse(at) })
  } catch {
    return undefined
  }
}

function misnamed(path: string): ServiceError {
  return new ServiceError('bad_config', `${path} is not the checkpoint that its name says`, {
    hint: 'look at who writes there, and take the file away',
  })
}

function byTime(a: string, b: string): number {
  const [left = '', right = ''] = [a, b].map((name) => namePattern.exec(name)?.[1])
  return left < right ? 1 : left > right ? -1 : 0
}
