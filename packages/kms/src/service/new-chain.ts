/** The chain of a run that begins. */

import { randomBytes } from 'node:crypto'

import { toHex } from '@longhold/core'

import type { Chain } from './audit-chain.ts'
import type { OwnKeys } from './own-keys.ts'
import type { Root } from './root.ts'

export function newChain(root: Root, ownKeys: OwnKeys, began: { ordinal: number; startedAt: number }): Chain {
  const key = ownKeys.newest('audit-chain')
  return { clusterId: root.clusterId, run: toHex(randomBytes(16)), ...began, key }
}
