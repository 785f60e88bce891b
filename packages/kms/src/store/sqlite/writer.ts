/** The writer's thread: one connection, one write after the other. Started by `writer-thread.ts`. */

import { parentPort, workerData } from 'node:worker_threads'

import { openConnection, storageError } from './connection.ts'
import type { WriteReply, WriteRequest, WriterOptions } from './writer-messages.ts'
import { prepareWrites, runCommit } from './writes.ts'

if (parentPort !== null) {
  const port = parentPort
  // What `writer-thread.ts` sends.
  const { path, busyTimeoutMs } = workerData as WriterOptions
  const connection = openConnection(path, { readonly: false, busyTimeoutMs })
  const writes = prepareWrites(connection)
  port.on('message', (request: WriteRequest | 'close') => {
    if (request === 'close') {
      connection.client.close()
      port.close()
      return
    }
    const { id, commit } = request
    let reply: WriteReply
    try {
      reply = { id, outcome: runCommit(writes, commit) }
    } catch (error) {
      const { message, hint } = storageError(error)
      reply = { id, failure: { message, hint } }
    }
    port.postMessage(reply, [])
  })
}
