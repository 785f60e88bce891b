import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { startTestService } from '../support/service.ts'

const day = 86_400_000

test('a seed that was destroyed is in no file of the database, whatever held it before', async () => {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  const under = await startTestService({
    store,
    keys: ['a'],
    onEnd: () => undefined,
  })
  const { service, admin } = under
  const [row] = await everyRow(store, 'versions', { key: 'a' })
  const seed = Buffer.from(row?.sealedSeed ?? [])
  const files = () =>
    [path, `${path}-wal`].filter((file) => existsSync(file) && readFileSync(file).includes(seed))
  expect(seed).toHaveLength(60)
  expect(files()).not.toEqual([])
  const { versions, upkeep } = service.life
  await versions.rotate(admin, 'a')
  await versions.setState(admin, 'a', 1, 'disabled')
  await versions.destroy(admin, 'a', 1, 3)
  under.advance(31 * day)
  expect(await upkeep.run()).toMatchObject({ destroyed: [{ key: 'a', version: 1 }] })
  // The log is folded by the writer before it takes the next write.
  await versions.rotate(admin, 'a')
  expect(files()).toEqual([])
  await service.close()
  await store.close()
})
