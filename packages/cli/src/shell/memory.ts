/** Memory that does not grow with what passes through. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Gives memory back that nobody uses any more: the next piece is made in it, which the processor still has at hand. Left to the
 * collector, some 64 MiB of pieces pile up, each of them in memory that is new to the processor.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  // A part of something larger is not ours alone.
  if (byteLength === buffer.byteLength && 'transfer' in buffer) buffer.transfer(0)
}

/**
 * For pieces that cannot be given back: collecting the young ones every few megabytes keeps all of them in some 15 MB, which
 * stay in the processor's caches.
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
