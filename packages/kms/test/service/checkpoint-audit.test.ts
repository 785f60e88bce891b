import { toHex } from '@longhold/core'
import { expect, test } from 'vitest'

import { auditHeads } from '../../src/service/audit-heads.ts'
import { faultsAgainst } from '../../src/service/checkpoint-audit.ts'
import type { AuditReader } from '../../src/service/checkpoint-audit.ts'
import type { Checkpoint } from '../../src/service/checkpoint.ts'
import type { AuditHeadRow } from '../../src/service/rows.ts'
import { startTestService } from '../support/service.ts'

/** The log with its heads changed. */
function withHeads(
  log: AuditReader,
  change: (heads: AuditHeadRow[]) => AuditHeadRow[],
): Partial<AuditReader> {
  // Nothing but the heads is read.
  return { rows: async () => change(await auditHeads(log)) as never }
}

async function checkpointOf(log: AuditReader): Promise<Checkpoint> {
  const chains = (await auditHeads(log)).map(({ run, seq, lastMac }) => ({ run, seq, mac: toHex(lastMac) }))
  return { number: 7, at: 0, epoch: 1, headMac: '', chains, finalVersions: [], keys: [], newestBackup: null }
}

test('a log that grew since the checkpoint fits it', async () => {
  const { store, service, admin } = await startTestService({ keys: ['a'] })
  const checkpoint = await checkpointOf(store)
  await service.life.versions.rotate(admin, 'a')
  expect(checkpoint.chains.length).toBeGreaterThan(0)
  expect(await faultsAgainst(checkpoint, store)).toEqual([])
})

test.each<[string, (log: AuditReader, run: string) => Partial<AuditReader>, RegExp]>([
  [
    'the newest chain taken away whole',
    (log, run) => withHeads(log, (heads) => heads.filter((head) => head.run !== run)),
    /the whole chain is missing, checkpoint 7 has it/u,
  ],
  [
    'an older state with a head that fits it',
    (log, run) =>
      withHeads(log, (heads) => heads.map((head) => (head.run === run ? { ...head, seq: 1 } : head))),
    /ends at 1, checkpoint 7 saw it end at 3/u,
  ],
  [
    'another history of the same length',
    (log) => ({
      auditEntries: async (run, page) =>
        (await log.auditEntries(run, page)).map((entry) => ({ ...entry, mac: new Uint8Array(32) })),
    }),
    /entry 3 is not the one that checkpoint 7 saw/u,
  ],
  ['an entry that is gone', () => ({ auditEntries: async () => [] }), /entry 3 is not the one/u],
])('%s', async (_, tampered, fault) => {
  const { store, service, admin } = await startTestService({ keys: ['a'] })
  await service.life.versions.rotate(admin, 'a')
  const checkpoint = await checkpointOf(store)
  const run = checkpoint.chains.at(-1)?.run ?? ''
  const log: AuditReader = {
    head: () => store.head(),
    row: (table, key) => store.row(table, key),
    rows: (table, page) => store.rows(table, page),
    auditEntries: (of, page) => store.auditEntries(of, page),
  }
  const faults = await faultsAgainst(checkpoint, { ...log, ...tampered(log, run) })
  expect(faults.length).toBeGreaterThan(0)
  expect(
    faults.some((line) => line.includes(run) && fault.test(line)),
    faults.join('\n'),
  ).toBe(true)
})

test('a version that was final and is more again', async () => {
  const { store, service, admin } = await startTestService({ keys: ['a'] })
  await service.life.versions.setState(admin, 'a', 1, 'compromised')
  const seen = { ...(await checkpointOf(store)), finalVersions: [] }
  const final = (version: number, state: 'compromised' | 'destroyed') => ({ key: 'a', version, state })
  const compromised = { ...seen, finalVersions: [final(1, 'compromised')] }
  expect(await faultsAgainst(compromised, store)).toEqual([])
  const more = [final(1, 'destroyed'), final(2, 'compromised'), final(3, 'compromised')]
  expect(await faultsAgainst({ ...seen, finalVersions: more }, store)).toEqual([
    'version 1 of a: compromised, checkpoint 7 saw it destroyed',
    'version 2 of a: primary, checkpoint 7 saw it compromised',
    'version 3 of a: missing, checkpoint 7 saw it compromised',
  ])
})
