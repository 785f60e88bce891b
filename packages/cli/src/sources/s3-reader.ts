/** Objects below a prefix of an S3-compatible store, to look at: listed, and what runs did to them. */

import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { matchesGlob } from 'node:path/posix'

import { ObjectJournal, objectsAs } from './object-journal.ts'
import type {
  BucketPlace,
  ListedObject,
  ObjectPage,
  ObjectPageLimits,
  ObjectReader,
  ObjectTarget,
} from './object-source.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { BucketClient } from './s3-client.ts'
import type { BucketConnection } from './s3-signature.ts'
import { lockName, TargetLock } from './target-lock.ts'

export interface BucketOptions {
  readonly connection: BucketConnection
  /** Keys begin with it. */
  readonly prefix: string
  /** As the person named it. */
  readonly shown: string
  /** Of keys below the prefix. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Of the journal, absolute. */
  readonly stateFile: string
}

/** One request takes so much (Amazon S3 User Guide, "Uploading objects"). */
export const maxPutBytes = 5 * 1024 ** 3
/** What objects were is kept here until the run is finalised. */
export const originalsPrefix = '.longhold-originals/'

/** To look at: takes no lock, changes nothing. */
export function readBucket(options: BucketOptions): ObjectReader {
  return new BucketReader(options)
}

/** The name of its lock. */
export function lockOf({ connection: { endpoint, bucket }, prefix }: BucketOptions): string {
  return lockName(endpoint, bucket, prefix)
}

export class BucketReader implements ObjectReader {
  readonly runsAs = objectsAs
  readonly target: ObjectTarget
  protected readonly options: BucketOptions
  protected readonly client: BucketClient
  #journal: ObjectJournal | undefined

  constructor(options: BucketOptions) {
    this.options = options
    this.client = new BucketClient(options.connection)
    this.target = {
      kind: 'bucket',
      name: options.shown,
      notices: [
        'access control lists of single objects are not copied; metadata, content type, storage class and tags are',
        'an object above 5 GiB stays as it is',
      ],
    }
  }

  size(): undefined {
    return undefined
  }

  async list(after: string | undefined, { maxObjects, maxBytes }: ObjectPageLimits): Promise<ObjectPage> {
    const { prefix } = this.options
    const { keys, isLast } = await this.client.list(prefix, after, Math.min(1000, maxObjects))
    const objects: ListedObject[] = []
    let [skipped, bytes, position] = [0, 0, after ?? '']
    for (const { key, size, etag } of keys) {
      if (objects.length > 0 && bytes + size > maxBytes) return { objects, skipped, position, isLast: false }
      position = key
      if (!this.#isWanted(key)) {
        if (!key.startsWith(originalsPrefix)) skipped++
        continue
      }
      bytes += size
      objects.push({
        name: key,
        size,
        version: etag,
        problem: size > maxPutBytes ? 'limit_exceeded' : undefined,
      })
    }
    return { objects, skipped, position, isLast }
  }

  place({ name, size, version }: ListedObject): BucketPlace {
    return { kind: 'bucket', name, size, version }
  }

  names(key: string): Readonly<Record<string, string>> {
    return { bucket: this.options.connection.bucket, key }
  }

  latestRun(): RunState | undefined {
    return this.runs()[0]
  }

  runs(): readonly RunState[] {
    return this.journal?.runs() ?? []
  }

  deadLetters(runId: string): Iterable<DeadLetter> {
    return this.journal?.deadLetters(runId) ?? []
  }

  isLocked(): boolean {
    return TargetLock.isHeld(dirname(this.options.stateFile), lockOf(this.options))
  }

  close(): void {
    this.#journal?.close()
  }

  protected get journal(): ObjectJournal | undefined {
    const { stateFile } = this.options
    if (this.#journal === undefined && existsSync(stateFile)) this.#journal = new ObjectJournal(stateFile)
    return this.#journal
  }

  #isWanted(key: string): boolean {
    if (key.startsWith(originalsPrefix) || key.endsWith('/')) return false
    const { prefix, include, exclude } = this.options
    const below = key.slice(prefix.length)
    if (include.length > 0 && !include.some((glob) => matchesGlob(below, glob))) return false
    return !exclude.some((glob) => matchesGlob(below, glob))
  }
}
