/** Everything put together: database, keys, routes, and a server on a port. */

import { mkdirSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { createAdaptorServer } from '@hono/node-server'
import { SqliteKeyStore } from '@longhold/core/stores/sqlite'

import { createApp } from './app.ts'
import { Attachments } from './attachments.ts'
import { Keys } from './keys.ts'
import type { KeyHolder } from './keys.ts'
import { Records } from './records.ts'
import { openDatabase } from './schema.ts'

export interface Config {
  /** Made when it is missing. */
  readonly directory: string
  /** Of the loopback interface. 0: any that is free. */
  readonly port: number
  readonly keyHolder: KeyHolder
  readonly log: (line: string) => void
}

export interface RunningServer {
  readonly url: string
  close(): Promise<void>
}

/** How long `close` waits for answers under way. */
const graceMs = 10_000

export async function start({ directory, port, keyHolder, log }: Config): Promise<RunningServer> {
  const files = join(directory, 'attachments')
  mkdirSync(files, { recursive: true, mode: 0o700 })
  const { db, close: closeDatabase } = openDatabase(join(directory, 'health.db'))
  const keys = await Keys.open(keyHolder, await SqliteKeyStore.open(db))
  const app = createApp({
    keys,
    records: new Records(db, keys),
    attachments: new Attachments(db, keys, files),
    log,
  })
  const hostname = '127.0.0.1'
  // Without options for another kind, it is one of node:http.
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, hostname, resolve)
  })
  // It listens on a host and port, so this is not the path of a socket.
  const address = server.address() as AddressInfo
  return {
    url: `http://${hostname}:${address.port}`,
    async close() {
      const closed = new Promise<unknown>((resolve) => {
        server.close(resolve)
      })
      server.closeIdleConnections()
      const patience = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearTimeout(patience)
      await keys.close()
      closeDatabase()
    },
  }
}
