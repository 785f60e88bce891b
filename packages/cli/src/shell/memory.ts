/** Memory that does not grow with what passes through. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Every chunk of 16 KiB leaves a cipher object and a buffer behind that weigh little in V8's count, so that it lets a
 * hundred megabytes of them pile up. Collecting the young ones every few megabytes keeps all of them in some 15 MB,
 * which stay in the processor's caches: 2 GiB took half the time.
 */
const collectEvery = 4 * 1024 * 1024

let passed = 0
let collect: (() => void) | undefined

/** To be called with the size of every piece once nobody needs it any more. */
export function tidyAfter(pieceBytes: number): void {
  passed += pieceBytes
  if (passed < collectEvery) return
  passed = 0
  collect ??= youngCollector()
  collect()
}

/** Node's `gc`, which is there after a flag alone; where it is missing the engine does as it likes. */
function youngCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('globalThis.gc')
  return typeof gc === 'function' ? () => void gc({ type: 'minor' }) : () => {}
}
