import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { KmsClient } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import type { ServiceConfig } from '../../src/server/start.ts'
import { verifyAudit } from '../../src/server/verify-audit.ts'
import { CheckpointFolder, readCheckpointLines } from '../../src/store/checkpoint-folder.ts'
import { temporaryDirectory } from '../support/files.ts'
import { readToken } from '../support/service.ts'

/** A service whose checkpoints are copied to a folder, and what is done with it while it runs. */
async function setUp() {
  const dataDir = temporaryDirectory()
  const folder = join(temporaryDirectory(), 'checkpoints')
  const made = await initService({ dataDir, firstKey: 'a' })
  const paths = { dataDir, adminSocket: 'none', checkpointFolder: folder }
  const logged: string[] = []
  const serving = async (work: (client: KmsClient) => Promise<void>, more: Partial<ServiceConfig> = {}) => {
    const log = ({ level, message }: { level: string; message: string }) => {
      if (level === 'error') logged.push(message)
    }
    const service = await startService({ ...paths, port: 0, log, ...more })
    try {
      await work(new KmsClient({ url: service.url, token: readToken(made.tokenFile), attempts: 1 }))
    } finally {
      await service.close()
    }
  }
  const files = () => readdirSync(folder).toSorted()
  return { ...made, dataDir, folder, paths, logged, serving, files, anchor: join(dataDir, 'anchor.json') }
}

describe('checkpoints that are copied off the host', () => {
  test('each is a file, written once; those of earlier runs follow', async () => {
    const { folder, serving, files } = await setUp()
    await serving(async ({ audit }) => void (await audit.checkpoint()), { checkpointFolder: undefined })
    let lines: string[] = []
    await serving(async ({ audit }) => {
      await audit.checkpoint()
      lines = (await audit.listCheckpoints()).map(({ line }) => line)
    })
    const names = files()
    expect(names).toHaveLength(lines.length)
    expect(names.every((name) => /^checkpoint-\d{8}-\d{8}T\d{9}Z\.json$/u.test(name))).toBe(true)
    const written = names.map((name) => readFileSync(join(folder, name), 'utf8'))
    expect(written).toEqual(lines.map((line) => `${line}\n`))
    expect(await readCheckpointLines(folder, 1)).toEqual(lines.slice(-1))
    expect(await readCheckpointLines(folder, 100)).toEqual(lines.toReversed())
  })

  test('a folder that cannot be written is said, and the checkpoint is made all the same', async () => {
    const { folder, serving, files, logged } = await setUp()
    writeFileSync(folder, 'a file')
    await serving(async ({ audit }) => {
      expect((await audit.checkpoint()).line).toContain('longhold/kms/v1/checkpoint')
    })
    expect(logged.join('\n')).toMatch(/checkpoint-\d{8}-.* cannot be written \(E[A-Z]+\)/u)
    rmSync(folder)
    await serving(async ({ audit }) => {
      await audit.checkpoint()
      expect(files()).toHaveLength((await audit.listCheckpoints()).length)
    })
  })

  test('an old one cannot take the place of the newest by a later name', async () => {
    const { folder, serving, files } = await setUp()
    await serving(async ({ audit }) => {
      await audit.checkpoint()
      await audit.checkpoint()
    })
    const [oldest = ''] = files()
    copyFileSync(join(folder, oldest), join(folder, 'checkpoint-00000099-20990101T000000000Z.json'))
    await expect(readCheckpointLines(folder, 1)).rejects.toMatchObject({
      code: 'bad_config',
      message: expect.stringContaining('is not the checkpoint that its name says') as string,
    })
  })

  test('are not written through a link that somebody put there', async () => {
    const place = temporaryDirectory()
    const folder = new CheckpointFolder(place)
    const other = join(place, 'elsewhere')
    writeFileSync(other, 'kept')
    const name = 'checkpoint-00000001-20261125T000000000Z.json'
    symlinkSync(other, join(place, `${name}.new`))
    await folder.write({ checkpoint: 1, line: 'a line', createdAt: Date.UTC(2026, 10, 25) })
    expect(readFileSync(other, 'utf8')).toBe('kept')
    expect(readFileSync(join(place, name), 'utf8')).toBe('a line\n')
    expect(lstatSync(join(place, name)).mode & 0o777).toBe(0o600)
  })

  test('show that database and anchor were put back together, which nothing else does', async () => {
    const { dataDir, database, folder, paths, serving, anchor } = await setUp()
    await serving(async () => undefined)
    const copies = [database, anchor].map((path) => [path, `${path}.copy`] as const)
    for (const [path, copy] of copies) copyFileSync(path, copy)
    await serving(async (client) => {
      await client.keys.rotate('a')
      await client.audit.checkpoint()
    })
    expect(await verifyAudit(paths)).toMatchObject({ ok: true, faults: [] })

    for (const side of ['-wal', '-shm']) rmSync(database + side, { force: true })
    for (const [path, copy] of copies) copyFileSync(copy, path)
    expect(await verifyAudit({ dataDir })).toMatchObject({ ok: true })
    const { ok, faults } = await verifyAudit(paths)
    expect(ok).toBe(false)
    expect(faults.join('\n')).toMatch(/the database is at epoch \d+, checkpoint \d+ saw it at \d+/u)
    expect(faults.join('\n')).toMatch(
      /chain [0-9a-f]{32}: the whole chain is missing, checkpoint \d+ has it/u,
    )
    // It starts, since its anchor fits: whoever asks it with the checkpoints is told the same.
    await serving(
      async ({ audit }) => {
        const lines = await readCheckpointLines(folder, 100)
        expect(await audit.verify(lines)).toMatchObject({ ok: false })
      },
      { checkpointFolder: undefined },
    )
  })
})

describe('a node without an anchor', () => {
  async function lost() {
    const under = await setUp()
    await under.serving(async () => undefined)
    copyFileSync(under.database, `${under.database}.copy`)
    await under.serving(async (client) => {
      await client.keys.rotate('a')
      await client.audit.checkpoint()
    })
    rmSync(under.anchor)
    const joinFrom = { path: under.folder, fingerprint: under.fingerprint }
    const putBack = () => {
      for (const side of ['-wal', '-shm']) rmSync(under.database + side, { force: true })
      copyFileSync(`${under.database}.copy`, under.database)
    }
    return { ...under, joinFrom, putBack }
  }
  const answers = async (client: KmsClient) => void (await client.listKeys())
  const refuses = async (client: KmsClient) => {
    await expect(client.listKeys()).rejects.toThrow('rollback_detected')
  }

  test('joins from a checkpoint of the service that is pinned, and has an anchor then', async () => {
    const { serving, joinFrom, anchor, files } = await lost()
    await serving(refuses)
    const newest = files().length
    const starts: unknown[] = []
    await serving(
      async ({ audit }) => {
        for await (const page of audit.events({ action: 'service.start' })) {
          starts.push(...page.map(({ body }) => (JSON.parse(body) as { checkpoint?: number }).checkpoint))
        }
      },
      { join: joinFrom },
    )
    // On record, with the number of the checkpoint.
    expect(starts.at(-1)).toBe(newest)
    expect(readFileSync(anchor, 'utf8')).toContain('longhold/kms/v1/anchor')
    await serving(answers)
  })

  test('does not with a database that is older than the checkpoint', async () => {
    const { serving, joinFrom, anchor, putBack } = await lost()
    putBack()
    await serving(refuses, { join: joinFrom })
    expect(() => readFileSync(anchor)).toThrow('ENOENT')
  })

  test('does not start with a checkpoint or a fingerprint of somebody else', async () => {
    const { serving, joinFrom } = await lost()
    const other = await lost()
    const badConfig = { code: 'bad_config' }
    await expect(serving(answers, { join: { ...joinFrom, path: other.folder } })).rejects.toMatchObject(
      badConfig,
    )
    await expect(
      serving(answers, { join: { ...joinFrom, fingerprint: other.fingerprint } }),
    ).rejects.toMatchObject(badConfig)
    const empty = join(temporaryDirectory(), 'empty')
    mkdirSync(empty)
    await expect(serving(answers, { join: { ...joinFrom, path: empty } })).rejects.toMatchObject(badConfig)
  })
})
