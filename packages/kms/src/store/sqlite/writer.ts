/** The writer's thread: one connection, one write after the other. Started by `writer-thread.ts`. */

import { parentPort, workerData } from 'node:worker_threads'

import { openConnection, storageError } from './connection.ts'
import type { WriteReply, WriteRequest, WriterOptions } from './writer-messages.ts'
import { runWrite } from './writes.ts'

if (parentPort !== null) {
  const port = parentPort
  // What `writer-thread.ts` sends.
  const { path, busyTimeoutMs } = workerData as WriterOptions
  const connection = openConnection(path, { readonly: false, busyTimeoutMs })
  port.on('message', (request: WriteRequest | 'close') => {
    if (request === 'close') {
      connection.client.close()
      port.close()
      return
    }
    const { id, name, argument, audit } = request
    let reply: WriteReply
    try {
      reply = { id, outcome: runWrite(connection, name, argument, audit) }
    } catch (error) {
      const { message, hint } = storageError(error)
      reply = { id, failure: { message, hint } }
    }
    port.postMessage(reply, [])
  })
}
