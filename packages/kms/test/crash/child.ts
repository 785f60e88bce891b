/**
 * A process of its own: opens the service of a cluster and runs one operation, or ends on the way (`hook.ts`). Called
 * with the cluster as JSON, the name of the operation, and `trace` to say where everything stands before it and after
 * each of its commits, or `count` for the number of its statements.
 */

import type { Commit, KeyStore } from '../../src/service/key-store.ts'
import { openService, openStore } from './cluster.ts'
import type { Cluster } from './cluster.ts'
import { arm, disarm } from './hook.ts'
import { operations } from './operations.ts'
import type { Opened, Operation, OperationName } from './operations.ts'
import { stateOf } from './state.ts'

const [cluster = '', name = '', mode = 'count'] = process.argv.slice(2)
// As `harness.ts` calls it.
const operation: Operation = operations[name as OperationName]
const at = JSON.parse(cluster) as Cluster
const store = await openStore(at)
const states: string[] = []
let isTracing = false
const watched = new Proxy(store, {
  get(target, member: keyof KeyStore) {
    const method = (target[member] as (...args: unknown[]) => Promise<unknown>).bind(target)
    if (member !== 'commit' || mode !== 'trace') return method
    return async (commit: Commit) => {
      const outcome = await target.commit(commit)
      if (isTracing && outcome === 'done') states.push(await stateOf(target, operation.actions))
      return outcome
    }
  },
})
let opened: Opened | undefined
const open = async (): Promise<Opened> => (opened = await openService(at, watched))
if (mode === 'trace') {
  if (name !== 'unseal') await open()
  states.push(await stateOf(store, operation.actions))
  await operation.run(
    async () => opened ?? (await open()),
    () => void (isTracing = true),
  )
  isTracing = false
  process.stdout.write(JSON.stringify(states))
} else {
  await operation.run(open, arm)
  process.stdout.write(String(disarm()))
}
await opened?.service.close()
await store.close()
