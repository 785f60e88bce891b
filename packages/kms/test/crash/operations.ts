/** What is interrupted: a row for each operation. To add one: a row here, and its name in `crash.test.ts`. */

import { createHash } from 'node:crypto'

import { auditExportLine } from '@longhold/core/kms'

import { KeyFile } from '../../src/seal/key-file.ts'
import type { PruneRequest } from '../../src/service/audit-prune.ts'
import { readCheckpoint } from '../../src/service/checkpoint.ts'
import { ServiceError } from '../../src/service/errors.ts'
import { Claim } from '../../src/service/idempotency.ts'
import type { Caller } from '../../src/service/policy.ts'
import type { Service } from '../../src/service/service.ts'

/** A service that is open, and somebody who may do everything. */
export interface Opened {
  readonly service: Service
  readonly admin: Caller
}

export interface Operation {
  /** Brings a service that has the key `a` to where the operation begins. */
  readonly prepare: (opened: Opened, sizes: { readonly versions: number }) => Promise<void>
  /** Statements count from `arm` on. */
  readonly run: (open: () => Promise<Opened>, arm: () => void) => Promise<void>
  /** Of the entries that it writes. */
  readonly actions: readonly string[]
  /** After a kill, whatever was done: completes it, or does it once more. */
  readonly again: (opened: Opened) => Promise<void>
  /** Version 1 of the key: its seed is in no file of the database once that is done. */
  readonly erases?: true
}

async function nothing(): Promise<void> {
  // The service is new, and that is where it begins.
}

/** Version 1 of two, of a key whose destructions wait a millisecond. */
async function switchedOff({ service, admin }: Opened): Promise<void> {
  const { keys, life } = service
  const { generation } = await keys.row(admin, 'a')
  await keys.update(admin, 'a', generation, { destroyAfterMs: 1 })
  await life.versions.rotate(admin, 'a')
  await life.versions.setState(admin, 'a', 1, 'disabled')
}

async function scheduleDestruction({ service, admin }: Opened): Promise<void> {
  const { generation } = await service.keys.row(admin, 'a')
  await service.life.versions.destroy(admin, 'a', 1, generation)
}

async function stateOfFirst({ service, admin }: Opened): Promise<string> {
  return (await service.life.versions.get(admin, 'a', 1)).state
}

async function overwrite({ service }: Opened): Promise<void> {
  const { failures } = await service.life.upkeep.run()
  if (failures.length > 0) throw failures[0]
}

async function rotateRoot({ service, admin }: Opened): Promise<void> {
  await service.rootRotation.begin(admin)
  await service.rootRotation.run()
}

async function addSlot({ service, admin }: Opened): Promise<void> {
  const opener = KeyFile.fromBytes(new Uint8Array(32).fill(9), 'a second file')
  await service.slots.add(admin, { label: 'second', opener })
}

/** A backup that somebody took whole, and says so. */
async function backUp({ service, admin }: Opened): Promise<void> {
  const underWay = await service.backups.begin(admin)
  if (underWay === undefined) throw new Error('no backup')
  const hash = createHash('sha256')
  try {
    for await (const piece of underWay.pieces()) hash.update(piece)
  } finally {
    await underWay.close()
  }
  await service.backups.confirm(admin, underWay.row.backup, hash.digest())
}

/** What takes out of the log what this checkpoint covers. */
async function pruning({ service, admin }: Opened, checkpoint: string): Promise<PruneRequest> {
  const ends = new Map(readCheckpoint(service.signer, checkpoint).chains.map(({ run, seq }) => [run, seq]))
  const { entries } = await service.readAudit(admin, {}, { after: undefined, limit: 10_000 })
  const covered = entries.filter(({ run, seq }) => seq <= (ends.get(run) ?? 0))
  const exportSha256 = createHash('sha256').update(covered.map(auditExportLine).join('')).digest()
  return { checkpoint, exportSha256 }
}

async function firstCheckpoint({ service }: Opened): Promise<string> {
  const [first] = await service.checkpoints.list({ after: undefined, limit: 1 })
  return first?.line ?? ''
}

function once(work: (opened: Opened) => Promise<void>): Operation['run'] {
  return async (open, arm) => {
    const opened = await open()
    arm()
    await work(opened)
  }
}

const rotate = async ({ service, admin }: Opened): Promise<void> => {
  await service.life.versions.rotate(admin, 'a')
}

/** What a request under an idempotency key does. False: it was done before, as far as is known. */
async function rotateOnce({ service, admin }: Opened): Promise<boolean> {
  const request = { route: 'rotate', key: 'k', content: ['a'], isKept: true, isHarmless: false }
  const claim = await service.idempotency.begin(admin.principal, request)
  if (!(claim instanceof Claim)) return false
  const { primaryVersion } = await service.life.versions.rotate({ ...admin, riders: [claim] }, 'a')
  await claim.finish({ status: 200, headers: [], body: String(primaryVersion) })
  claim.release()
  return true
}

export const operations = {
  rotate: { prepare: nothing, run: once(rotate), actions: ['key.rotate'], again: rotate },
  // The change with its key, then the answer: never made twice, whoever dies where.
  'rotate-once': {
    prepare: nothing,
    run: once(async (opened) => void (await rotateOnce(opened))),
    actions: ['key.rotate'],
    again: async (opened) => {
      const before = (await opened.service.keys.row(opened.admin, 'a')).latestVersion
      const isMade = await rotateOnce(opened).catch((error: unknown) => {
        if (error instanceof ServiceError && error.code === 'idempotency_in_progress') return false
        throw error
      })
      const after = (await opened.service.keys.row(opened.admin, 'a')).latestVersion
      if (isMade !== (before === 1) || after !== 2) throw new Error(`version ${before}, then ${after}`)
    },
  },
  destroy: {
    prepare: switchedOff,
    run: once(scheduleDestruction),
    actions: ['version.destroy'],
    again: async (opened) => {
      if ((await stateOfFirst(opened)) === 'disabled') await scheduleDestruction(opened)
      await expectState(opened, 'destroy_scheduled')
    },
  },
  overwrite: {
    prepare: async (opened) => {
      await switchedOff(opened)
      await scheduleDestruction(opened)
    },
    run: once(overwrite),
    actions: ['version.destroyed', 'service.upkeep'],
    again: async (opened) => {
      await overwrite(opened)
      await expectState(opened, 'destroyed')
    },
    erases: true,
  },
  'root-rotation': {
    prepare: async (opened, { versions }) => {
      await addSlot(opened)
      for (let made = 1; made < versions; made++) await rotate(opened)
    },
    run: once(rotateRoot),
    actions: ['root.rotate', 'root.reseal', 'root.retire'],
    again: async (opened) => {
      const { rootRotation } = opened.service
      await rootRotation.run()
      const { rootVersion, nextRootVersion } = await rootRotation.state()
      if (nextRootVersion !== null) throw new Error('the rotation did not end')
      await rotateRoot(opened)
      const after = await rootRotation.state()
      if (after.rootVersion !== rootVersion + 1 || after.rowsLeft !== 0) throw new Error('no second rotation')
    },
  },
  unseal: {
    prepare: nothing,
    run: async (open, arm) => {
      arm()
      await open()
    },
    actions: ['service.start'],
    // The check opens it, once more.
    again: nothing,
  },
  'slot-add': {
    prepare: nothing,
    run: once(addSlot),
    actions: ['slot.create'],
    again: async (opened) => {
      const before = (await opened.service.slots.list()).length
      await addSlot(opened)
      if ((await opened.service.slots.list()).length !== before + 1) throw new Error('no other slot')
    },
  },
  backup: {
    prepare: nothing,
    run: once(backUp),
    actions: ['backup.create', 'backup.finish', 'backup.confirm'],
    again: async (opened) => {
      const confirmed = async (): Promise<number> =>
        (await opened.service.backups.every()).filter(({ confirmedAt }) => confirmedAt !== null).length
      const before = await confirmed()
      await backUp(opened)
      if ((await confirmed()) !== before + 1) throw new Error('no other backup')
    },
  },
  prune: {
    prepare: async (opened) => {
      await rotate(opened)
      await opened.service.checkpoints.create(opened.admin)
    },
    run: async (open, arm) => {
      const opened = await open()
      const { pruning: audit } = opened.service
      const request = await pruning(opened, await firstCheckpoint(opened))
      await audit.settled()
      arm()
      await audit.prune(opened.admin, request)
      await audit.settled()
    },
    actions: ['audit.prune'],
    again: async (opened) => {
      const { pruning: audit, checkpoints } = opened.service
      const done = await audit.list({ after: undefined, limit: 10 })
      if (done.length === 0) {
        await audit.prune(opened.admin, await pruning(opened, await firstCheckpoint(opened)))
      }
      const { line } = await checkpoints.create(opened.admin)
      await audit.prune(opened.admin, await pruning(opened, line))
      await audit.settled()
      const { entries } = await opened.service.readAudit(opened.admin, {}, { after: undefined, limit: 100 })
      // About the checkpoint, and what came after it.
      if (entries.length > 5) throw new Error('entries were left')
    },
  },
} as const satisfies Record<string, Operation>

export type OperationName = keyof typeof operations

export const operationNames = Object.keys(operations) as OperationName[]

async function expectState(opened: Opened, wanted: string): Promise<void> {
  const state = await stateOfFirst(opened)
  if (state !== wanted) throw new Error(`version 1 is ${state}, not ${wanted}`)
}
