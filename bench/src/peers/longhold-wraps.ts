/** Longhold on either backend: `wrapDataKey` and `unwrapDataKey`, recipient and identity prepared, key context of three pairs. */

import { DataKey, LocalIdentity, unwrapDataKey, wrapDataKey } from '../../../packages/core/src/index.ts'
import { testingUseBackend } from '../../../packages/core/src/primitives/backend.ts'
import { recordContext as keyContext } from './record-peer.ts'
import { wrapPeer, type WrapPeer } from './wrap-peer.ts'

export const longholdWraps = {
  native: (dataKey: Uint8Array) => wraps('native', 'longhold, node:crypto', dataKey),
  portable: (dataKey: Uint8Array) => wraps('noble', 'longhold, portable', dataKey),
}

async function wraps(backend: 'native' | 'noble', name: string, bytes: Uint8Array): Promise<WrapPeer> {
  const before = () => testingUseBackend(backend)
  before()
  const identity = LocalIdentity.generate()
  const dataKey = DataKey.from(bytes)
  const wrap = { recipients: [identity.recipient], keyContext }
  const unwrap = { identities: [identity], keyContext }
  return await wrapPeer(
    { name, kind: 'ours', library: 'longhold', before },
    bytes,
    () => wrapDataKey(dataKey, wrap),
    async (wrapped) => {
      using opened = await unwrapDataKey(wrapped, unwrap)
      return opened.use((secret) => new Uint8Array(secret))
    },
  )
}
