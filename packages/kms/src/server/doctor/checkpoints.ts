/** Whether checkpoints leave the machine, and whether the database still knows the newest of them. */

import { existsSync, readdirSync } from 'node:fs'
import { relative } from 'node:path'

import { toHex } from '@longhold/core'

import type { DatabaseFacts } from '../../service/database-facts.ts'
import { ServiceError } from '../../service/errors.ts'
import { readCheckpointLines } from '../../store/checkpoint-folder.ts'
import { failure, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const check = 'checkpoints'
const hourMs = 3_600_000
/** Between two of them, where nothing else is said. */
const defaultEveryMs = hourMs

export interface CheckpointPlace {
  readonly folder: string | undefined
  readonly everyMs: number | undefined
  readonly dataDir: string
}

/** What is said of itself by the newest line; its signature is for those to check who have the key. */
export async function examineCheckpoints(
  { folder, everyMs = defaultEveryMs, dataDir }: CheckpointPlace,
  { clusterId, head, newestMs }: DatabaseFacts,
): Promise<Finding> {
  if (folder === undefined) {
    const message = 'no checkpoint leaves the machine: database and anchor put back together are not noticed'
    return warning(check, message, 'name a folder of another machine: checkpoint-folder')
  }
  const none = 'start the service; longhold kms audit checkpoint makes one at once'
  if (!existsSync(folder)) return warning(check, `there is no checkpoint in ${folder}`, none)
  let line: string | undefined
  try {
    line = (await readCheckpointLines(folder, 1))[0]
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    if (readdirSync(folder).length === 0) return warning(check, error.message, none)
    return failure(check, error.message, error.hint ?? none)
  }
  const newest = bodyOf(line ?? '')
  if (newest === undefined || newest.cluster_id !== toHex(clusterId)) {
    return failure(
      check,
      `the newest file of ${folder} is no checkpoint of this service`,
      'look at who writes there',
    )
  }
  if (newest.epoch > head.epoch) {
    const message = `the database is at epoch ${head.epoch}, and was at ${newest.epoch} at a checkpoint of ${newest.at}`
    return failure(
      check,
      message,
      'it was put back: docs/operating.md says what to do after the rollback alarm',
    )
  }
  const lateMs = (newestMs ?? 0) - Date.parse(newest.at)
  if (lateMs > 2 * everyMs + hourMs) {
    const message = `the newest checkpoint in ${folder} is ${Math.floor(lateMs / hourMs)} hours older than the database`
    return warning(
      check,
      message,
      'see to the folder: the log of the service says why nothing is written there',
    )
  }
  const isInside = !relative(dataDir, folder).startsWith('..')
  if (isInside) {
    const message =
      'the checkpoints lie beside the database: who puts back the whole directory puts back both'
    return warning(check, message, 'name a folder of another machine: checkpoint-folder')
  }
  return ok(check, `the database knows the newest checkpoint in ${folder}, of ${newest.at}`)
}

interface Body {
  readonly cluster_id: string
  readonly at: string
  readonly epoch: number
}

function bodyOf(line: string): Body | undefined {
  try {
    const { body } = JSON.parse(line) as { body: string }
    return JSON.parse(body) as Body
  } catch {
    return undefined
  }
}
