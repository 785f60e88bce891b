/** Adds up rows in a thread of its own, in one transaction on a connection of its own. Started by `beside.ts`. */

import { parentPort, workerData } from 'node:worker_threads'

import { Secret } from '@longhold/core'

import { integrityViolation, ServiceError } from '../../service/errors.ts'
import { RowMacs } from '../../service/row-mac.ts'
import { sumSpan } from '../../service/row-sums.ts'
import type { BesideOptions, BesideReply, BesideRequest } from './beside.ts'
import { openConnection, storageError } from './connection.ts'
import { TableReads } from './table-reads.ts'

if (parentPort !== null) {
  const port = parentPort
  const answer = async (make: () => Promise<BesideReply>): Promise<void> => {
    let reply: BesideReply
    try {
      reply = await make()
    } catch (error) {
      const { code, message, hint } = error instanceof ServiceError ? error : storageError(error)
      reply = { failure: { code, message, hint } }
    }
    port.postMessage(reply, [])
  }
  // What `beside.ts` gives.
  const { path, busyTimeoutMs, clusterId, key } = workerData as BesideOptions
  const secret = Secret.take(key)
  const macs = new RowMacs(clusterId, secret)
  secret.wipe()
  await answer(async () => {
    const connection = openConnection(path, { readonly: true, busyTimeoutMs })
    connection.client.exec('BEGIN')
    const reads = new TableReads(connection)
    const head = await reads.head()
    if (head === undefined) throw integrityViolation('the database, without a cluster head,')
    port.on('message', (request: BesideRequest) => {
      if (request === 'close') {
        macs.close()
        connection.client.close()
        port.close()
      } else void answer(async () => ({ total: await sumSpan(reads, macs, request) }))
    })
    return { head }
  })
}
