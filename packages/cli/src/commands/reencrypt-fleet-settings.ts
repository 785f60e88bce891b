/** What the processes of a fleet have in common: the table, the queue, and a configuration that must be the same. */

import { createHash } from 'node:crypto'
import { hostname } from 'node:os'

import { toHex } from '@longhold/core'
import type { Recipient } from '@longhold/core'

import { usage } from '../shell/errors.ts'
import type { FleetConfiguration, FleetLimits, FleetMember } from '../sources/fleet.ts'
import { Problem } from '../sources/problem.ts'
import type { RunFlags } from './reencrypt-flags.ts'
import type { LegacySettings, TargetSettings } from './reencrypt-settings.ts'

export const defaultTakeoverS = 30
export const defaultRangeRows = 10_000

/** @throws CliError (exit 2) for what only one process can work on. */
export async function openFleet(
  target: TargetSettings,
  columns: LegacySettings['columns'],
  kind: 'coordinator' | 'member' | 'onlooker',
) {
  const { path, kind: targetKind, table = '', busyTimeoutMs, shown } = target
  if (targetKind !== 'postgres') {
    throw usage(`${shown} is on this machine alone: a fleet works on a table of PostgreSQL`, {
      hint: 'leave --queue out; --workers N keeps all cores busy',
    })
  }
  // Loaded when they are needed: most runs are those of one process.
  const { openPostgresFleet } = await import('../sources/postgres-fleet.ts')
  return await openPostgresFleet({ url: path, table, columns, busyTimeoutMs }, kind)
}

export async function openQueue(url: string, { takeoverSeconds = defaultTakeoverS }: RunFlags) {
  const { openFleetQueue } = await import('../sources/fleet-queue.ts')
  return await openFleetQueue({ url, takeoverSeconds })
}

export function thisMember(id: string): FleetMember {
  return { id, name: `${hostname()}/${process.pid}` }
}

/** Everything on which depends what is written; never a private key, which each process has by itself. */
export function configurationOf(
  { column, config }: TargetSettings,
  { formats, columns }: LegacySettings,
  flags: RunFlags,
  dataset: string,
  recipients: readonly Recipient[],
): FleetConfiguration {
  const parts: Readonly<Record<string, unknown>> = {
    columns: { column, ...columns },
    formats,
    dataset,
    recipients: recipients.map(({ kemId, recipientId }) => `${kemId} ${toHex(recipientId)}`).toSorted(),
    'accept-unauthenticated': flags.acceptUnauthenticated ?? config['accept-unauthenticated'],
    'consumer-ready': flags.consumerReady ?? config['consumer-ready'],
    'keyring-key': flags.keyringKey ?? config['keyring-key'] ?? null,
  }
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, digestOf(part)]))
}

/** @throws Problem `wrong` that names what differs. */
export function checkConfiguration(ours: FleetConfiguration, theirs: FleetConfiguration): void {
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs)])
  const differ = [...names].filter((name) => ours[name] !== theirs[name])
  if (differ.length === 0) return
  throw new Problem('wrong', `this process is configured otherwise than its fleet: ${differ.join(', ')}`, {
    hint: 'give all of them the same longhold.yaml and flags; private keys and identities may differ',
  })
}

export function limitsOf({ config }: TargetSettings, flags: RunFlags): FleetLimits {
  return {
    rowsPerSecond: flags.maxRowsPerSecond ?? config['max-rows-per-second'],
    bytesPerSecond: flags.maxBytesPerSecond ?? config['max-bytes-per-second'],
  }
}

function digestOf(part: unknown): string {
  return createHash('sha256').update(canonical(part)).digest('hex')
}

/** The same text for the same value, whatever the order of its members. */
function canonical(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes ${toHex(value)}`
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
    return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`
  }
  return JSON.stringify(value) ?? 'undefined'
}
