/**
 * A Unix socket that only its owner can open: where unsealing is served, since nobody can be authenticated while the
 * service is sealed. Who may open the file is who may unseal.
 */

import { chmodSync, lstatSync, rmSync } from 'node:fs'
import type { Server } from 'node:http'
import { isMainThread } from 'node:worker_threads'

import { createAdaptorServer } from '@hono/node-server'

import { ServiceError } from '../service/errors.ts'
import type { App } from './env.ts'

/** The shortest limit of the systems there are (macOS), its end included. */
const maxPathBytes = 104
const limits = { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 30_000 }
const maxConnections = 16

/**
 * @param path Its directory must be the owner's alone. A socket that a killed process left there is replaced: the lock
 * of the database keeps a second service away.
 * @throws ServiceError `bad_config`.
 */
export async function listenOnSocket(
  app: Pick<App, 'fetch'>,
  path: string,
): Promise<{ close(graceMs: number): Promise<void> }> {
  if (Buffer.byteLength(path) >= maxPathBytes) {
    throw new ServiceError(
      'bad_config',
      `the path of the admin socket is longer than ${maxPathBytes - 1} bytes`,
      {
        hint: 'give a shorter one: --admin-socket /run/longhold/admin.sock',
      },
    )
  }
  removeStale(path)
  // With `serverOptions` for node:http and no other `createServer`, it is one.
  const server = createAdaptorServer({ fetch: app.fetch, serverOptions: limits }) as Server
  server.maxConnections = maxConnections
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error.code, path)))
    listenPrivately(server, path)
  })
  chmodSync(path, 0o600)
  return {
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      const patience = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearTimeout(patience)
    },
  }
}

/** For its owner from the first moment: whoever connected before the mode was set would stay connected. */
function listenPrivately(server: Server, path: string): void {
  // Only there a process has a mask to set. The file is made before `listen` returns.
  if (!isMainThread) return void server.listen(path)
  const before = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
}

function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.isSocket() === true) rmSync(path)
}

function cannotListen(code: string | undefined, path: string): ServiceError {
  return new ServiceError('bad_config', `cannot make the admin socket ${path} (${code ?? 'unknown'})`, {
    hint: 'give a place this user may write in, with --admin-socket PATH, or none',
  })
}
