/** Opens an object wherever it is, and gives its envelope what it had besides its bytes. */

import { ObjectRefused } from './object-source.ts'
import type { ObjectPlace, OpenedObject } from './object-source.ts'
import { copyAttributes } from './tree-attributes.ts'
import { openTreeFile } from './tree-files.ts'

/**
 * @throws ObjectChanged when it is not what was listed.
 * @throws ObjectRefused when it cannot be read.
 */
export async function openObject(place: ObjectPlace): Promise<OpenedObject> {
  if (place.kind === 'file') return await openTreeFile(place)
  throw new ObjectRefused('not_readable', 'no such kind of place')
}

/** @param withExtended Extended attributes of files too. */
export function dressObject(withExtended: boolean) {
  return async (place: ObjectPlace, path: string): Promise<void> => {
    if (place.kind === 'file') await copyAttributes(place.path, path, withExtended)
  }
}
