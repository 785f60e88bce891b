import { createHash } from 'node:crypto'
import { join } from 'node:path'

import { auditExportLine } from '@longhold/core/kms'
import { expect, onTestFinished, test } from 'vitest'

import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService } from '../support/service.ts'

async function busy() {
  const store = SqliteStore.open({ path: join(temporaryDirectory(), 'kms.db') })
  onTestFinished(() => store.close())
  const under = await startTestService({ store, keys: ['a'] })
  const { service, admin } = under
  for (let made = 0; made < 300; made++) {
    await Promise.all([service.recordDenied(admin, 'unwrap'), service.recordDenied(admin, 'wrap')])
  }
  const end = new AbortController()
  const writing = async (): Promise<void> => {
    while (!end.signal.aborted) await service.recordDenied(admin, 'rewrap')
  }
  const writers = [writing(), writing(), writing()]
  const rest = async (): Promise<void> => {
    end.abort()
    await Promise.all(writers)
  }
  return { under, rest }
}

test('a log that is written to while it is checked is whole', async () => {
  const { under, rest } = await busy()
  const { service, admin } = under
  for (let round = 0; round < 8; round++) {
    const { line } = await service.checkpoints.create(admin)
    const second = round === 4 ? await under.second() : service
    expect(await second.verifyAudit(admin, [line])).toMatchObject({ ok: true, faults: [] })
  }
  await rest()
})

test('a log that is pruned while it is checked is whole', async () => {
  const { under, rest } = await busy()
  const { service, admin } = under
  for (let round = 0; round < 3; round++) {
    const { line } = await service.checkpoints.create(admin)
    const hash = createHash('sha256')
    for await (const page of under.client().audit.covered(line)) {
      for (const entry of page) hash.update(auditExportLine(entry))
    }
    const pruning = service.pruning.prune(admin, { checkpoint: line, exportSha256: hash.digest() })
    const checks = Array.from({ length: 5 }, async () => {
      await new Promise((resolve) => setImmediate(resolve))
      return await service.verifyAudit(admin, [line])
    })
    for (const check of checks) expect(await check).toMatchObject({ ok: true, faults: [] })
    await pruning
    expect(await service.verifyAudit(admin, [line])).toMatchObject({ ok: true, faults: [] })
  }
  await rest()
})
