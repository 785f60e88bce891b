/** A fleet of real processes on a table of a PostgreSQL server. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { fromText, parseIdentity, toHex, unwrapDataKey } from '@longhold/core'
import type { DataKey } from '@longhold/core'
import { DatabaseError } from 'pg'
import type { Client } from 'pg'

import type { Workspace } from './cli.ts'
import { oldPem } from './legacy-values.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface FleetProcess {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>
}

/** Recipients, identity and the old key, and the flags that name them. */
export async function prepareKeys(space: Workspace): Promise<string[]> {
  space.write('old.pem', oldPem)
  chmodSync(space.file('old.pem'), 0o600)
  await space.cli(['keygen', '--output', 'identity.txt'])
  space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
  return ['--private-key', 'old.pem', '--identity', 'identity.txt', '--recipients-file', 'recipients.txt']
}

/** `longhold ARGV…` in the folder of a workspace. */
export function start(space: Workspace, argv: readonly string[]): FleetProcess {
  const child = spawn(process.execPath, [main, ...argv], {
    cwd: space.path,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const outputs = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (outputs.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (outputs.stderr += chunk.toString()))
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((done) => {
    child.once('close', (code) => done({ code, ...outputs }))
  })
  return { child, ended }
}

/** Waits until a query gives true, and its tables are there. Throws when one of the processes ends before. */
export async function until(
  client: Client,
  sql: string,
  processes: readonly FleetProcess[] = [],
): Promise<void> {
  for (;;) {
    const ended = processes.find(({ child }) => child.exitCode !== null)
    if (ended !== undefined) throw new Error(`a process has ended: ${(await ended.ended).stderr}`)
    const result = await client.query<{ is: boolean }>(`SELECT (${sql}) AS is`).catch((error: unknown) => {
      if (error instanceof DatabaseError && error.code === undefinedTable) return undefined
      throw error
    })
    if (result?.rows[0]?.is === true) return
    await client.query('SELECT pg_sleep(0.05)')
  }
}

const undefinedTable = '42P01'

/** What a record of `column` in a row of `table` says to whoever has the identity of the workspace. */
export function recordOpener(
  space: Workspace,
  client: Client,
  table: string,
): (id: string, text: string) => Promise<string> {
  const line = space
    .read('identity.txt')
    .split('\n')
    .find((one) => one.startsWith('LONGHOLD-IDENTITY-'))
  const identities = [parseIdentity(line ?? '')]
  const keys = new Map<string, DataKey>()
  return async (id, text) => {
    const record = fromText(text)
    const keyId = toHex(record.subarray(4, 20))
    let key = keys.get(keyId)
    if (key === undefined) {
      const { rows } = await client.query<{ wrapped_key: Uint8Array; key_context: string }>(
        'SELECT wrapped_key, key_context FROM longhold_data_keys WHERE key_id = $1',
        [Buffer.from(keyId, 'hex')],
      )
      const [row] = rows
      if (row === undefined) throw new Error('a record without its data key')
      const keyContext = JSON.parse(row.key_context) as Record<string, string>
      key = await unwrapDataKey(Uint8Array.from(row.wrapped_key), { identities, keyContext })
      keys.set(keyId, key)
    }
    return Buffer.from(key.decrypt(record, { recordContext: { table, column: 'body', id } })).toString()
  }
}
