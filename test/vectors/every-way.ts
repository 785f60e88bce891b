/** Each way a caller can read the same bytes must come to the same: the same plaintext, or the same kind of refusal. */

import { LongholdError, concat, equalBytes } from '@longhold/core'
import type { ByteTransform, EncryptedReader } from '@longhold/core'

type Open = () => Uint8Array | Promise<Uint8Array>

/** What the first way gives or throws; another outcome of another way is an error of its own. */
export async function everyWay(ways: Readonly<Record<string, Open>>): Promise<Uint8Array> {
  const outcomes: { readonly way: string; readonly opened?: Uint8Array; readonly refused?: LongholdError }[] =
    []
  for (const [way, open] of Object.entries(ways)) {
    try {
      outcomes.push({ way, opened: await open() })
    } catch (error) {
      if (!(error instanceof LongholdError)) throw error
      outcomes.push({ way, refused: error })
    }
  }
  const [first, ...others] = outcomes
  if (first === undefined) throw new Error('no way to read it')
  for (const { way, opened, refused } of others) {
    const sameBytes = opened && first.opened && equalBytes(opened, first.opened)
    const sameCode = refused && refused.code === first.refused?.code
    if (!sameBytes && !sameCode)
      throw new Error(
        `${first.way} gives ${first.refused?.code ?? 'bytes'}, ${way} ${refused?.code ?? 'bytes'}`,
      )
  }
  if (first.opened === undefined) throw first.refused ?? new Error('neither bytes nor an error')
  return first.opened
}

/** Through a stream: byte by byte where that is quick, else in pieces that no boundary of the format hides in. */
export async function streamed(transform: ByteTransform, bytes: Uint8Array): Promise<Uint8Array> {
  const size = bytes.length <= 2048 ? 1 : 1009
  let at = 0
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < bytes.length) controller.enqueue(bytes.slice(at, (at += size)))
      else controller.close()
    },
  })
  const reader = source.pipeThrough(transform).getReader()
  const parts: Uint8Array[] = []
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return concat(...parts)
    parts.push(value)
  }
}

/** Through random access, in two slices. */
export async function sliced(
  open: (source: Blob) => Promise<EncryptedReader>,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const reader = await open(new Blob([new Uint8Array(bytes)]))
  try {
    const middle = Math.floor(reader.size / 3)
    return concat(await reader.slice(0, middle), await reader.slice(middle))
  } finally {
    reader.close()
  }
}
