/** The three kinds of containers, and how each is opened. */

import type { ContainerKind } from '../src/format/container.ts'
import type { ContextInput } from '../src/format/context.ts'
import { decrypt, unwrapDataKey } from '../src/index.ts'
import type { DataKey, Identity } from '../src/index.ts'

export type Opener = (bytes: Uint8Array) => unknown

export function openers({
  dataKey,
  identities,
  context,
}: {
  dataKey: DataKey
  identities: readonly Identity[]
  context: ContextInput
}): Record<ContainerKind, Opener> {
  return {
    'wrapped key': (bytes) => unwrapDataKey(bytes, { identities, keyContext: context }),
    record: (bytes) => dataKey.decrypt(bytes, { recordContext: context }),
    envelope: (bytes) => decrypt(bytes, { identities, context }),
  }
}
