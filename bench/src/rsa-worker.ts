/** One worker thread of rsa-alone.ts: so many private operations, one after the other, and nothing else. */

import { constants, privateDecrypt, type KeyObject } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'

if (parentPort === null) throw new Error('rsa-worker.ts runs as a worker thread')
const port = parentPort
const { key, wrapped, wrappedBytes } = workerData as RsaWorkerData // what rsa-alone.ts passes

export interface RsaWorkerData {
  readonly key: KeyObject
  /** Wrapped keys, one after the other. */
  readonly wrapped: Uint8Array
  readonly wrappedBytes: number
}

port.on('message', (operations: number) => {
  const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  for (let i = 0; i < operations; i++) {
    const at = (i * wrappedBytes) % wrapped.length
    privateDecrypt(options, wrapped.subarray(at, at + wrappedBytes))
  }
  port.postMessage(operations)
})
