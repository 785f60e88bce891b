import { encodeStanza } from '@longhold/core'
import { expect, onTestFinished, test } from 'vitest'

import { everyRow } from '../../src/service/key-store.ts'
import { PostgresStore } from '../../src/store/postgres/store.ts'
import { describePostgres } from '../support/postgres.ts'
import { startTestService, wrapFor } from '../support/service.ts'

const day = 86_400_000

await describePostgres('two nodes on one PostgreSQL', (makeDatabase) => {
  async function start() {
    const { url } = await makeDatabase()
    const store = await PostgresStore.open({ url, maxConnections: 4 })
    onTestFinished(() => store.close())
    const under = await startTestService({ store, keys: ['a'] })
    return { ...under, other: await under.second() }
  }

  test('64 rotations of one key at once make 64 versions and one primary', async () => {
    const under = await start()
    const { service, other, admin, store } = under
    const nodes = [service, other]
    const rotated = await Promise.all(
      Array.from({ length: 64 }, (_, index) =>
        (nodes[index % 2] ?? service).life.versions.rotate(admin, 'a'),
      ),
    )
    expect(new Set(rotated.map(({ primaryVersion }) => primaryVersion)).size).toBe(64)
    const versions = await everyRow(store, 'versions', { key: 'a' })
    expect(versions.map(({ version }) => version)).toEqual(
      Array.from({ length: 65 }, (_, index) => index + 1),
    )
    expect(versions.filter(({ state }) => state === 'primary').map(({ version }) => version)).toEqual([65])
    expect(await under.verifyAudit()).toMatchObject({ ok: true, faults: [] })
  })

  test('what is due is done once, and uses of both are counted', async () => {
    const under = await start()
    const { service, other, admin, store } = under
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'])
    const item = {
      id: '1',
      keyId: dataKey.keyId,
      stanza: encodeStanza(stanza),
      context: [],
    }
    for (const node of [service, other, other]) await node.unwrap(admin, [item])
    await service.life.versions.rotate(admin, 'a')
    await other.life.versions.setState(admin, 'a', 1, 'disabled')
    await service.life.versions.destroy(admin, 'a', 1, 3)
    await other.keys.update(admin, 'a', 4, { rotateEveryMs: 30 * day })
    under.advance(31 * day)
    const rounds = await Promise.all([service.life.upkeep.run(), other.life.upkeep.run()])
    expect(rounds.flatMap(({ failures }) => failures)).toEqual([])
    expect(rounds.flatMap(({ rotated }) => rotated)).toEqual(['a'])
    expect(rounds.flatMap(({ destroyed }) => destroyed)).toEqual([{ key: 'a', version: 1 }])
    await service.life.upkeep.close()
    await other.life.upkeep.close()
    const [usage] = await everyRow(store, 'usage')
    expect(usage).toMatchObject({ key: 'a', version: 1, total: 3 })
  })
})
