/**
 * What the service is compared with, behind the same listener: the service whose log is written nowhere (`unaudited`), the
 * same code with its log (`audited`), and an application that takes JSON and gives JSON (`empty`). The service itself
 * has no switch for that, so it is put together here, with something between it and its store. Started by `kms-process.ts`.
 */

import { readFileSync } from 'node:fs'

import type { App } from '../../packages/kms/src/http/env.ts'
import { listen } from '../../packages/kms/src/http/listen.ts'
import { Metrics } from '../../packages/kms/src/http/metrics.ts'
import { KeyFile } from '../../packages/kms/src/seal/key-file.ts'
import { ServiceGate } from '../../packages/kms/src/server/gate.ts'
import { handlerOf } from '../../packages/kms/src/server/handlers.ts'
import { openLogger } from '../../packages/kms/src/server/logger.ts'
import { resolvePaths } from '../../packages/kms/src/server/paths.ts'
import { slotOpeners } from '../../packages/kms/src/server/slot-openers.ts'
import type { KeyStore, Outcome } from '../../packages/kms/src/service/key-store.ts'
import { Service } from '../../packages/kms/src/service/service.ts'
import { SqliteStore } from '../../packages/kms/src/store/sqlite/store.ts'

const [kind, dataDir = '', certFile = '', keyFile = ''] = process.argv.slice(2)
const tls = {
  certificate: readFileSync(certFile),
  privateKey: readFileSync(keyFile),
  requirePostQuantum: false,
}

const app = kind === 'empty' ? empty() : await service(kind === 'audited')
const listener = await listen(app, { host: '127.0.0.1', port: 0, tls })
process.stdout.write(`listening on ${listener.url}\n`)
process.on('SIGTERM', () => process.exit())

/** The application that serves metrics, since an application is what is wanted, with one more route. */
function empty(): App {
  const one = new Metrics().app()
  one.post('/empty', async (c) => {
    const body: unknown = await c.req.json()
    return c.json({ items: Object.keys(body ?? {}) })
  })
  return one
}

async function service(isAudited: boolean) {
  const { database, keyFile: slot } = resolvePaths({ dataDir })
  const store = SqliteStore.open({ path: database })
  // Nothing is verified meanwhile: what the log does to the head is not in the database.
  const options = { opener: KeyFile.read(slot), verifyEveryMs: 3_600_000 }
  const opened = await Service.open({ ...options, store: isAudited ? store : withoutLog(store) })
  const gate = new ServiceGate({
    slots: async () => [],
    open: async () => opened,
    accept: async () => {
      throw new Error('nothing is put back here')
    },
  })
  await gate.unsealWith(options.opener)
  const metrics = new Metrics()
  const { log } = openLogger('info')
  const limits = { rateLimit: { requestsPerSecond: 1_000_000 } }
  const frame = { log, isDraining: () => false, onAnswered: metrics.answered.bind(metrics), limits }
  return handlerOf(gate, slotOpeners(undefined), frame, { mayUnseal: false, mayInit: false })
}

function withoutLog(store: SqliteStore): KeyStore {
  return new Proxy<KeyStore>(store, {
    get(_, name: keyof KeyStore) {
      if (name === 'commit') return async (): Promise<Outcome> => 'done'
      const value: unknown = store[name]
      return typeof value === 'function' ? value.bind(store) : value
    },
  })
}
