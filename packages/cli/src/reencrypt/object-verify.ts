/** Opens every envelope of a tree or bucket as a reader would. */

import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'

import { LongholdError } from '@longhold/core'
import type { Identity, Suite } from '@longhold/core'
import { decryptTransform } from '@longhold/core/node'

import { ObjectChanged, ObjectRefused } from '../sources/object-source.ts'
import type { ListedObject, ObjectPlace, ObjectReader, OpenedObject } from '../sources/object-source.ts'
import { lookAt } from './object-formats.ts'
import type { ObjectFormat } from './object-formats.ts'
import { addFailure } from './object-survey.ts'
import type { Failure } from './object-survey.ts'

export interface ObjectVerification {
  readonly opened: number
  /** Still of an old format. */
  readonly remaining: number
  /** Of no named format, links and devices. */
  readonly others: number
  /** Envelopes and other objects that do not open, by code. */
  readonly failures: ReadonlyMap<string, Failure>
}

export interface ObjectVerifySettings {
  readonly reader: ObjectReader
  readonly open: (place: ObjectPlace) => Promise<OpenedObject>
  readonly formats: readonly ObjectFormat[]
  readonly identities: readonly Identity[]
  readonly suites: readonly Suite[]
  readonly contextOf: (name: string) => Readonly<Record<string, string>>
  readonly onProgress: (bytes: number) => void
  /** Called between objects; throws to stop. */
  readonly checkStop: () => void
}

const pageLimits = { maxObjects: 256, maxBytes: 1024 ** 4 }

export async function verifyObjects(settings: ObjectVerifySettings): Promise<ObjectVerification> {
  const { reader, checkStop, onProgress } = settings
  const failures = new Map<string, Failure>()
  let [opened, remaining, others, bytes] = [0, 0, 0, 0]
  for (let after: string | undefined; ;) {
    const page = await reader.list(after, pageLimits)
    after = page.position
    others += page.skipped
    for (const object of page.objects) {
      await setImmediate()
      checkStop()
      const end = await endOf(settings, object)
      if (end === 'opened') opened++
      else if (end === 'remaining') remaining++
      else if (end === 'other') others++
      else addFailure(failures, end.code, end.reason, object.name)
      bytes += object.size
      onProgress(bytes)
    }
    if (page.isLast) return { opened, remaining, others, failures }
  }
}

type End = 'opened' | 'remaining' | 'other' | { readonly code: string; readonly reason: string }

async function endOf(settings: ObjectVerifySettings, listed: ListedObject): Promise<End> {
  const { reader, open, formats } = settings
  if (listed.version === '') return { code: listed.problem ?? 'not_readable', reason: 'it cannot be read' }
  try {
    const object = await open(reader.place(listed))
    try {
      const look = await lookAt(formats, listed.name, object)
      if (look.kind === 'legacy') return 'remaining'
      if (look.kind === 'other' || look.value.kind === 'record') return 'other'
      await decrypt(settings, listed.name, object)
      return 'opened'
    } finally {
      await object.close()
    }
  } catch (error) {
    if (error instanceof ObjectChanged) return { code: 'changed', reason: 'it was written to meanwhile' }
    if (error instanceof ObjectRefused) return { code: error.code, reason: error.message }
    if (error instanceof LongholdError && error.code !== 'unavailable') {
      return { code: error.code, reason: error.message }
    }
    throw error
  }
}

async function decrypt(
  { identities, suites, contextOf }: ObjectVerifySettings,
  name: string,
  object: OpenedObject,
): Promise<void> {
  const transform = decryptTransform({ identities, suites, context: contextOf(name) })
  await pipeline(object.pieces(), transform, async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const piece of pieces) piece.fill(0)
  })
}
