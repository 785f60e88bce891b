/** The writer's thread: one connection, one write after the other. Started by `writer-thread.ts`. */

import { parentPort, workerData } from 'node:worker_threads'

import type { Commit } from '../../service/key-store.ts'
import { openConnection, storageError } from './connection.ts'
import type { Connection } from './connection.ts'
import type { WriteReply, WriteRequest, WriterOptions } from './writer-messages.ts'
import { unpack } from './writer-messages.ts'
import { prepareWrites, runCommit, runForgetting } from './writes.ts'

if (parentPort !== null) {
  const port = parentPort
  // What `writer-thread.ts` sends.
  const { path, busyTimeoutMs } = workerData as WriterOptions
  const connection = openConnection(path, { readonly: false, busyTimeoutMs })
  const writes = prepareWrites(connection)
  /** The log (WAL) still has what a commit overwrote for good. */
  let hasRemains = false
  port.on('message', (request: WriteRequest | 'close') => {
    if (request === 'close') {
      connection.client.close()
      port.close()
      return
    }
    const { id } = request
    let reply: WriteReply
    try {
      if ('forget' in request) reply = { id, outcome: runForgetting(writes, request.forget) }
      else {
        const commit = unpack(request.packed)
        reply = { id, outcome: runCommit(writes, commit) }
        hasRemains ||= reply.outcome === 'done' && destroys(commit)
      }
    } catch (error) {
      const { message, hint } = storageError(error)
      reply = { id, failure: { message, hint } }
    }
    port.postMessage(reply, [])
    if (hasRemains) hasRemains = !foldLog(connection)
  })
}

function destroys({ writes }: Commit): boolean {
  return writes.some(
    (write) => write.table === 'versions' && 'row' in write && write.row.state === 'destroyed',
  )
}

/**
 * Folds the log into the database and empties it: pages as they were before stay in it otherwise.
 *
 * @returns Whether that could be done; not while somebody reads an older state. Then after the next commit.
 */
function foldLog({ client }: Connection): boolean {
  try {
    const [result] = client.pragma('wal_checkpoint(TRUNCATE)') as { readonly busy: number }[]
    return result?.busy === 0
  } catch {
    return false
  }
}
