/** Reading in parts: what comes out must be what one piece gives, and nothing unchecked may come out before. */

import { concat } from '@longhold/core'
import type { ByteTransform, EncryptedReader } from '@longhold/core'

import { same } from './drafts.ts'
import { Random } from './random.ts'
import { asyncOutcomeOf } from './trial.ts'
import type { Input, Outcome } from './trial.ts'

/** Writes the input in random pieces and collects what comes out. */
export function streamed(make: () => ByteTransform, { bytes, args }: Input): Promise<Outcome> {
  return asyncOutcomeOf(async () => {
    const { readable, writable } = make()
    const [read, written] = await Promise.allSettled([
      collect(readable),
      writePieces(writable, bytes, new Random(args['pieces'] ?? 0)),
    ])
    if (read.status === 'rejected') throw read.reason
    if (written.status === 'rejected') throw new Error('the stream ended cleanly, and its writer failed')
    return read.value
  })
}

async function collect(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of readable) parts.push(part)
  return concat(...parts)
}

async function writePieces(
  writable: WritableStream<Uint8Array>,
  bytes: Uint8Array,
  random: Random,
): Promise<void> {
  const writer = writable.getWriter()
  writer.closed.catch(() => undefined) // the same failure as that of the write below
  const largest = random.pick([1, 7, 100, 5000, 70_000])
  const most = Math.max(largest, bytes.length / 20) // or it takes too long
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + random.below(most)
    await writer.write(bytes.subarray(at, end))
    at = end
  }
  await writer.close()
}

/** Opens for random access, reads a slice and then everything: when the whole opens, the slice is a part of it. */
export function sliced(open: () => Promise<EncryptedReader>, { args }: Input): Promise<Outcome> {
  return asyncOutcomeOf(async () => {
    const reader = await open()
    try {
      const random = new Random(args['pieces'] ?? 0)
      const start = random.below(reader.size + 1)
      const end = start + random.below(reader.size + 1 - start)
      const part = await asyncOutcomeOf(() => reader.slice(start, end))
      const whole = await reader.slice()
      if (part.output === undefined) throw new Error('a slice does not open, and the whole does')
      if (!same(part.output, whole.subarray(start, end)))
        throw new Error('a slice is not a part of the whole')
      return whole
    } finally {
      reader.close()
    }
  })
}
