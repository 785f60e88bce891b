/** Kills a process at one of its statements, and looks at what it left. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DataKey, PublicKeyRecipient, wrapDataKey } from '@longhold/core'

import { initService } from '../../src/server/init.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import type { UnwrapItem } from '../../src/service/unwrap.ts'
import { encodeStanza, hexOf, stanzaOf } from '../support/service.ts'
import { newCluster, openService, openStore, removeCluster, waitForServer } from './cluster.ts'
import type { Cluster } from './cluster.ts'
import type { Moment } from './hook.ts'
import { operations } from './operations.ts'
import type { Opened, Operation, OperationName } from './operations.ts'
import { stateOf } from './state.ts'

export interface Point {
  readonly statement: number
  readonly moment: Moment
}

/** A cluster on which an operation is about to begin, and what is known of that. */
export interface Prepared {
  readonly name: OperationName
  readonly cluster: Cluster
  readonly server: string | undefined
  /** Of the operation, as the driver counts them. */
  readonly statements: number
  /** Before the operation, and after each of its commits. */
  readonly states: readonly string[]
  /** Wrapped before it. */
  readonly wrapped: readonly { readonly item: UnwrapItem; readonly dataKey: string }[]
  /** A checkpoint from before it. */
  readonly checkpoint: string
  /** Of version 1, as it is sealed. */
  readonly seed: Uint8Array
}

/** @param server An address of PostgreSQL; undefined: SQLite. */
export async function prepare(
  name: OperationName,
  { server, versions = 4 }: { readonly server?: string | undefined; readonly versions?: number } = {},
): Promise<Prepared> {
  const cluster = await newCluster(server)
  await initService({ ...cluster, firstKey: 'a' })
  const operation: Operation = operations[name]
  const begun = await within(cluster, async (opened, store) => {
    await operation.prepare(opened, { versions })
    const first = await store.row('versions', { key: 'a', version: 1 })
    return {
      seed: first?.sealedSeed ?? new Uint8Array(0),
      wrapped: [await wrapFor(opened), await wrapFor(opened)],
      checkpoint: (await opened.service.checkpoints.create(opened.admin)).line,
    }
  })
  const survive = async (mode: 'count' | 'trace'): Promise<string> => {
    const copy = await newCluster(server, cluster)
    const { code, said } = await runChild(copy, name, mode)
    if (code !== 0) throw new Error(`${name} failed by itself`)
    await removeCluster(server, copy)
    return said
  }
  const statements = Number(await survive('count'))
  const states = JSON.parse(await survive('trace')) as string[]
  return { name, cluster, server, statements, states, ...begun }
}

export async function cleanUp({ server, cluster }: Prepared): Promise<void> {
  await removeCluster(server, cluster)
}

/** Every place there is: before and after every statement. */
export function pointsOf({ statements, server }: Prepared): Point[] {
  const moments: Moment[] = server === undefined ? ['before', 'after'] : ['before', 'sent', 'after']
  return Array.from({ length: statements }, (_, index) => index + 1).flatMap((statement) =>
    moments.map((moment) => ({ statement, moment })),
  )
}

/** Two at a time; in the order of the points. Throws as `killAt` does. */
export async function killAll(prepared: Prepared, points: readonly Point[]): Promise<Killed[]> {
  const killed: Killed[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < points.length; index = next++) {
      const point = points[index]
      if (point !== undefined) killed[index] = await killAt(prepared, point)
    }
  }
  await Promise.all([work(), work()])
  return killed
}

/** Which of the operation's states it left. */
export interface Killed {
  readonly state: number
  /** False: it had fewer statements this time, and came to its end. */
  readonly wasKilled: boolean
}

/**
 * Kills the operation there, and checks everything that is left.
 *
 * @throws Error for anything that is not as it was before the operation or after one of its commits, does not verify,
 * does not open, or does not go on.
 */
export async function killAt(prepared: Prepared, { statement, moment }: Point): Promise<Killed> {
  const { name, server, states } = prepared
  const operation: Operation = operations[name]
  const cluster = await newCluster(server, prepared.cluster)
  const { signal } = await runChild(cluster, name, 'count', `${statement} ${moment}`)
  await waitForServer(server, cluster)
  let state = -1
  const lookAt = async (store: KeyStore): Promise<void> => {
    const found = await stateOf(store, operation.actions)
    state = states.indexOf(found)
    if (state < 0)
      throw new Error(
        `${statement} ${moment}: it is between two states: ${found}; there are ${states.join('\n')}`,
      )
  }
  await within(
    cluster,
    async (opened) => {
      await expectWhole(prepared, opened)
      await operation.again(opened)
      await expectWhole(prepared, opened)
    },
    lookAt,
  )
  if (operation.erases === true && server === undefined) expectErased(cluster, prepared.seed)
  await removeCluster(server, cluster)
  return { state, wasKilled: signal === 'SIGKILL' }
}

/** Rows, head and anchor; the log, alone and against the checkpoint; and what was wrapped before. */
async function expectWhole({ wrapped, checkpoint }: Prepared, { service, admin }: Opened): Promise<void> {
  if (service.fault !== undefined) throw service.fault
  await service.verifyRows()
  const { ok, faults } = await service.verifyAudit(admin, [checkpoint])
  if (!ok) throw new Error(faults.join('\n'))
  const opened = await service.unwrap(
    admin,
    wrapped.map(({ item }) => item),
  )
  for (const [index, { answer }] of opened.entries()) {
    if (answer instanceof Error) throw answer
    if (hexOf(answer.dataKey) !== wrapped[index]?.dataKey) throw new Error('another data key')
    answer.dataKey.wipe()
  }
}

function expectErased({ dataDir }: Cluster, seed: Uint8Array): void {
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith('kms.db') && readFileSync(join(dataDir, name)).includes(seed)) {
      throw new Error(`the seed is in ${name}`)
    }
  }
}

async function wrapFor({ service, admin }: Opened): Promise<Prepared['wrapped'][number]> {
  const dataKey = DataKey.generate()
  const { recipient } = await service.keys.publicKey(admin, 'a', 'wrap')
  const theirs = PublicKeyRecipient.fromPublicKey(recipient.kemId, recipient.publicKey)
  const wrappedKey = await wrapDataKey(dataKey, { recipients: [theirs], keyContext: { tenant: 'acme' } })
  const stanza = encodeStanza(stanzaOf(wrappedKey, 0))
  const item = { id: '1', keyId: dataKey.keyId, stanza, context: [['tenant', 'acme']] as const }
  return { item, dataKey: hexOf(dataKey) }
}

async function within<T>(
  cluster: Cluster,
  work: (opened: Opened, store: KeyStore) => Promise<T>,
  first?: (store: KeyStore) => Promise<void>,
): Promise<T> {
  const store = await openStore(cluster)
  try {
    await first?.(store)
    const opened = await openService(cluster, store)
    try {
      return await work(opened, store)
    } finally {
      await opened.service.close()
    }
  } finally {
    await store.close()
  }
}

const compiled = mkdtempSync(join(tmpdir(), 'longhold-kms-compiled-'))
process.on('exit', () => rmSync(compiled, { recursive: true, force: true }))

async function runChild(cluster: Cluster, name: string, mode: 'count' | 'trace', at = '') {
  const file = (script: string) => join(import.meta.dirname, script)
  const child = spawn(
    process.execPath,
    ['--import', file('hook.ts'), file('child.ts'), JSON.stringify(cluster), name, mode],
    {
      env: { ...process.env, NODE_COMPILE_CACHE: compiled, CRASH_AT: at },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, said }
}
