/**
 * The floor under a wrapped data key: that of the KEM and HPKE (floor.ts), and the HMACs of SPEC §3 and §5: the header key, the
 * MAC over the header, and on opening the key id.
 */

import { bareHmac, floor } from './floor.ts'
import { makeInputs } from './peers/peer.ts'
import type { WrapPeer } from './peers/wrap-peer.ts'

const headerBytes = 17 + 1192

export function wrapFloor(dataKey: Uint8Array): WrapPeer {
  const { seal, open } = floor({ ...makeInputs(), dataKey }).operations
  if (seal === undefined || open === undefined) throw new Error('the floor cannot wrap')
  const headerKey = bareHmac('sha512', 24)
  const keyId = bareHmac('sha512', 20)
  const mac = bareHmac('sha256', headerBytes)
  return {
    name: 'floor: the bare node:crypto calls',
    kind: 'floor',
    library: 'none',
    wrap: () => [seal(), headerKey(), mac()],
    unwrap: () => [open(), keyId(), headerKey(), mac()],
    wrappedBytes: 1245,
  }
}
