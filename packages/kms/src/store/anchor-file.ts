/** The anchor as a file: one line of JSON, for its owner only. */

import { readFile } from 'node:fs/promises'

import { fromHex, toHex } from '@longhold/core'

import type { Anchor, AnchoredHead } from '../service/anchor.ts'
import { ServiceError } from '../service/errors.ts'
import { fileCode, writeWholeFile } from './whole-file.ts'

const format = 'longhold/kms/v1/anchor'

export class AnchorFile implements Anchor {
  readonly place: string

  constructor(path: string) {
    this.place = path
  }

  async read(): Promise<AnchoredHead | undefined> {
    let text: string
    try {
      text = await readFile(this.place, 'utf8')
    } catch (error) {
      if (fileCode(error) === 'ENOENT') return undefined
      throw unreadable(this.place, fileCode(error))
    }
    const head = parse(text)
    if (head === undefined) throw unreadable(this.place, 'it is no anchor')
    return head
  }

  async write({ clusterId, epoch, rowCount, mac }: AnchoredHead): Promise<void> {
    const fields = { format, cluster_id: toHex(clusterId), epoch, row_count: rowCount, head_mac: toHex(mac) }
    try {
      await writeWholeFile(this.place, `${JSON.stringify(fields)}\n`, 0o600)
    } catch (error) {
      throw new ServiceError(
        'storage_unavailable',
        `the anchor ${this.place} cannot be written (${fileCode(error)})`,
        { hint: 'see to its disk and directory: until then a rollback of the database may not be noticed' },
      )
    }
  }
}

function parse(text: string): AnchoredHead | undefined {
  let fields: Record<string, unknown>
  try {
    // Each field is looked at below.
    fields = JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
  if (typeof fields !== 'object' || fields === null || fields['format'] !== format) return undefined
  const clusterId = bytesOf(fields['cluster_id'], 16)
  const mac = bytesOf(fields['head_mac'], 32)
  const [epoch, rowCount] = [fields['epoch'], fields['row_count']]
  if (clusterId === undefined || mac === undefined || !isCount(epoch) || !isCount(rowCount)) return undefined
  return { clusterId, epoch, rowCount, mac }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0
}

function bytesOf(value: unknown, length: number): Uint8Array | undefined {
  const bytes = typeof value === 'string' ? fromHex(value) : undefined
  return bytes?.length === length ? bytes : undefined
}

function unreadable(place: string, why: string): ServiceError {
  return new ServiceError('bad_config', `the anchor ${place} cannot be read (${why})`, {
    hint: 'put back what was there, or move it away and accept the database: longhold kms accept-rollback',
  })
}
