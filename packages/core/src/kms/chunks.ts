/** Cuts batches to what the service takes in one request. */

const maxItems = 1000
/** The service's limits, 8 MiB and 16 MiB, less room for what stands around the items. */
export const maxUnwrapBytes: number = 8 * 1024 * 1024 - 1024
export const maxRewrapBytes: number = 16 * 1024 * 1024 - 1024

/** An item is never larger than the limit: a header has at most 64 KiB, a context 8. */
export function* chunks<T>(items: readonly T[], maxBytes: number): Generator<T[]> {
  let chunk: T[] = []
  let bytes = 0
  for (const item of items) {
    const size = jsonBytes(item) + 1
    if (chunk.length === maxItems || (chunk.length > 0 && bytes + size > maxBytes)) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(item)
    bytes += size
  }
  if (chunk.length > 0) yield chunk
}

function jsonBytes(item: unknown): number {
  const text = JSON.stringify(item)
  // Three bytes of UTF-8 for each unit at most: exact where that matters only.
  return text.length > 4096 ? new TextEncoder().encode(text).length : 3 * text.length
}
