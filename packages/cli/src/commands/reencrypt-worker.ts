/** A worker thread: everything it needs comes with its start, then one message in and one out for each batch. */

import { parentPort, workerData } from 'node:worker_threads'

import { KeyCommandError } from '../legacy-keys/key-command.ts'
import { PrivateKeySet } from '../legacy-keys/private-key-set.ts'
import type { PrivateKeyEntry } from '../legacy-keys/private-key-set.ts'
import { createTransform } from '../reencrypt/transform.ts'
import type { Batch } from '../reencrypt/transform.ts'
import type { WorkerRequest, WorkerResponse } from '../reencrypt/worker-pool.ts'
import { makeFormats } from './reencrypt-formats.ts'
import type { FormatChoice } from './reencrypt-formats.ts'

/** Plain data and KeyObjects: what can be sent. */
export interface WorkerSettings {
  readonly table: string
  readonly column: string
  readonly columns: readonly string[]
  readonly formats: readonly FormatChoice[]
  readonly privateKeys: readonly PrivateKeyEntry[]
  readonly acceptUnauthenticated: boolean
  readonly isConsumerReady: boolean
  readonly digestKey: Uint8Array
}

// Only reencrypt-engine.ts starts this file, with settings of this type.
const { columns, formats, privateKeys, isConsumerReady, ...settings } = workerData as WorkerSettings
const transform = createTransform({
  ...settings,
  formats: await makeFormats(formats, columns, isConsumerReady),
  keys: new PrivateKeySet(privateKeys),
})

parentPort?.on('message', ({ batch }: WorkerRequest) => void answer(batch))

async function answer(batch: Batch): Promise<void> {
  const response: WorkerResponse = await transform(batch).then(
    (result) => ({ result }),
    (error: unknown) => (error instanceof KeyCommandError ? { unreachable: error.message } : { error }),
  )
  // A worker thread has no origin to name.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort?.postMessage(response)
}
