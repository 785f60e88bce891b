/** Names of data keys under which no record is written (SPEC §12). */

const indexPrefix = 'blind-index:'
/** Of keyring keys. */
export const keyringKeyName = 'keyring-key'

/** The name of the index key of a name. */
export function indexName(name: string): string {
  return indexPrefix + name
}

/** Whether no record is written under data keys of that name. */
export function isReservedName(name: string): boolean {
  return name === keyringKeyName || name.startsWith(indexPrefix)
}

/**
 * Whether a data key becomes `reading` when it is rewrapped (SPEC §6.5): somebody loses access to what there is, and
 * must not get at what comes. An index key goes on: the rows it indexed would not be found. So does a keyring key, by its
 * reference, until another one is named. Throws nothing.
 *
 * @param name Of the data key, `''` for none.
 * @param before Ids of the recipients there were, in whatever form `after` has them.
 * @param after Ids of those there will be.
 */
export function rewrapStopsWriting(
  name: string,
  before: Iterable<string>,
  after: ReadonlySet<string>,
): boolean {
  return !isReservedName(name) && [...before].some((id) => !after.has(id))
}
