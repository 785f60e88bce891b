/** Mutations that know nothing of the format. */

import type { Random } from './random.ts'

/** One change somewhere: a bit, a byte, a cut, an insertion, a repetition. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length + 1)
  const few = 1 + random.below(8)
  switch (random.below(7)) {
    case 0:
      return flipped(bytes, random)
    case 1:
      return spliced(bytes, at, 1, Uint8Array.of(random.pick([0, 1, 0x7f, 0x80, 0xff])))
    case 2:
      return bytes.slice(0, at)
    case 3:
      return spliced(bytes, at, few, new Uint8Array())
    case 4:
      return spliced(bytes, at, 0, random.bytes(few))
    case 5:
      return spliced(bytes, at, 0, bytes.subarray(at, at + few * 4))
    default:
      return spliced(bytes, bytes.length, 0, random.bytes(few))
  }
}

export function flipped(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = new Uint8Array(bytes)
  const at = random.below(copy.length)
  if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
  return copy
}

/** `bytes` with `remove` bytes at `at` replaced by `insert`. */
export function spliced(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const rest = bytes.subarray(Math.min(bytes.length, at + remove))
  const joined = new Uint8Array(Math.min(bytes.length, at) + insert.length + rest.length)
  joined.set(bytes.subarray(0, at))
  joined.set(insert, Math.min(bytes.length, at))
  joined.set(rest, joined.length - rest.length)
  return joined
}
