/** Opens an object wherever it is, and gives its envelope what it had besides its bytes. */

import type { ObjectPlace, OpenedObject } from './object-source.ts'
import { BucketClient } from './s3-client.ts'
import { openBucketObject } from './s3-objects.ts'
import type { BucketConnection } from './s3-signature.ts'
import { copyAttributes } from './tree-attributes.ts'
import { openTreeFile } from './tree-files.ts'

/**
 * What opens objects; it throws ObjectChanged when one is not what was listed, ObjectRefused when it cannot be read.
 *
 * @param connection Of a bucket.
 */
export function objectOpener(connection?: BucketConnection) {
  const client = connection === undefined ? undefined : new BucketClient(connection)
  return async (place: ObjectPlace): Promise<OpenedObject> => {
    if (place.kind === 'file') return await openTreeFile(place)
    if (client === undefined) throw new Error('an object of a bucket without a connection')
    return await openBucketObject(client, place)
  }
}

/** @param withExtended Extended attributes of files too. */
export function dressObject(withExtended: boolean) {
  return async (place: ObjectPlace, path: string): Promise<void> => {
    if (place.kind === 'file') await copyAttributes(place.path, path, withExtended)
  }
}
