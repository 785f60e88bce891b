/** What every competitor offers to the benchmark of wrapped data keys: 32 bytes for one recipient. */

import { expectBytes } from './peer.ts'

export interface WrapPeer {
  /** As printed; the package and what of it is used. */
  readonly name: string
  readonly kind: 'ours' | 'floor' | 'peer'
  /** The key of its row among the bundle sizes. */
  readonly library: string
  /** What is timed where that is not the plain operation. */
  readonly note?: string
  /** Called before each slot, outside the clock. */
  readonly before?: () => void
  readonly wrap: () => unknown
  readonly unwrap: () => unknown
  /** Bytes of what is stored. */
  readonly wrappedBytes: number
}

type Names = Pick<WrapPeer, 'name' | 'kind' | 'library' | 'note' | 'before'>

/** Throws unless what is wrapped comes out again. */
export async function wrapPeer<Wrapped extends Uint8Array | string>(
  names: Names,
  dataKey: Uint8Array,
  wrap: () => Wrapped | Promise<Wrapped>,
  unwrap: (wrapped: Wrapped) => Uint8Array | Promise<Uint8Array>,
): Promise<WrapPeer> {
  const wrapped = await wrap()
  expectBytes(await unwrap(wrapped), dataKey, `${names.name} unwraps`)
  return { ...names, wrap, unwrap: () => unwrap(wrapped), wrappedBytes: wrapped.length }
}
