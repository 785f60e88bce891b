import { statSync } from 'node:fs'

import { startService } from '@longhold/kms'
import { expect, onTestFinished, test } from 'vitest'

import type { CliResult } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

test('longhold kms audit reads the log, makes a checkpoint, and holds the log against it', async () => {
  await using space = await ServiceWorkspace.create()
  await space.ask(['kms', 'rotate', 'default'])
  const list = await space.ask(['kms', 'audit', '--action', 'key.rotate'])
  expect(list.stdout).toMatch(
    /^\d{4}-\d\d-\d\dT\S+Z {2}key\.rotate {2}[0-9a-f]{24} {2}default 2, primary\n$/u,
  )
  const lines = (await space.ask(['kms', 'audit', '--json'])).stdout.trim().split('\n')
  expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toContainEqual([
    'run',
    'seq',
    'body',
    'mac',
  ])

  const made = await space.ask(['kms', 'audit', 'checkpoint', '-o', 'checkpoint.json'])
  expect(made.stdout).toBe('checkpoint 1: checkpoint.json\n')
  const verified = await space.ask(['kms', 'audit', 'verify', '--checkpoint', 'checkpoint.json'])
  expect(problem(verified)).toMatch(/^0 /u)
  expect(verified.stdout).toMatch(/^whole: \d+ entries in 2 chains, and fits 1 checkpoint\n$/u)
  expect(problem(await space.ask(['kms', 'audit', 'verify']))).toContain('only against a checkpoint')

  await space.stop()
  await space.start('--checkpoint-folder', 'copies')
  await space.ask(['kms', 'audit', 'checkpoint'])
  const folder = await space.ask(['kms', 'audit', 'verify', '--checkpoint', 'copies'])
  expect(folder.stdout).toMatch(/ and fits \d checkpoints\n$/u)

  await space.stop()
  const stopped = ['kms', 'audit', 'verify', '--stopped', '--checkpoint', 'copies']
  expect((await space.cli(stopped)).stdout).toMatch(
    /^whole: \d+ entries in \d chains, and fits \d checkpoints\n$/u,
  )
  await space.start()
  expect(problem(await space.cli(stopped))).toMatch(/^4 .*another key service is using/u)

  const altered = space.read('checkpoint.json').replace('number', 'numbre')
  space.write('altered.json', altered)
  const refused = await space.ask(['kms', 'audit', 'verify', '--checkpoint', 'altered.json'])
  expect(problem(refused)).toMatch(/^[1-4] .*not signed by this service/u)
  expect(problem(await space.ask(['kms', 'audit', 'verify', '--checkpoint', 'nowhere']))).toMatch(
    /^2 .*nowhere/u,
  )
})

test('longhold kms audit export and prune: what is kept elsewhere goes, and what is left is whole', async () => {
  await using space = await ServiceWorkspace.create()
  await space.ask(['kms', 'rotate', 'default'])
  await space.ask(['kms', 'audit', 'checkpoint', '-o', 'checkpoint.json'])
  const exported = await space.ask([
    'kms',
    'audit',
    'export',
    '--checkpoint',
    'checkpoint.json',
    '-o',
    'log.jsonl',
  ])
  expect(exported.stdout).toMatch(/^[34] entries up to checkpoint 1: log\.jsonl\nSHA-256 [0-9a-f]{64}\n$/u)
  expect(statSync(space.file('log.jsonl')).mode & 0o777).toBe(0o600)
  const lines = space.read('log.jsonl').trim().split('\n')
  expect(lines.map((line) => Object.keys(JSON.parse(line) as object).join())).toEqual(
    lines.map(() => 'run,seq,body,mac'),
  )

  const prune = ['kms', 'audit', 'prune', '--checkpoint', 'checkpoint.json', '--export', 'log.jsonl']
  expect(problem(await space.ask(prune))).toMatch(/^2 .*keeps its audit log for ever[^]*audit-retention/u)
  await space.stop()
  await space.start('--audit-retention', '1d')
  expect(problem(await space.ask(prune))).toMatch(/^2 .*are kept until/u)
  const early = await space.ask(['kms', 'audit', 'export', '--before', '2020-01-01', '-o', 'early.jsonl'])
  expect(problem(early)).toMatch(/^1 .*no checkpoint from before then/u)
  expect(problem(await space.ask(['kms', 'audit', 'export', '-o', 'none.jsonl']))).toMatch(/^2 .*--before/u)
  expect(problem(await space.ask([...prune.slice(0, -1), 'nowhere']))).toMatch(/^2 .*nowhere/u)
  await space.stop()

  // A day is the shortest that can be configured.
  const dataDir = space.file('.longhold/kms')
  const running = await startService({ dataDir, port: 0, auditRetentionMs: 0 })
  onTestFinished(() => running.close())
  space.url = running.url
  const before = Number((await space.ask(['kms', 'audit', 'verify'])).stdout.match(/(\d+) entries/u)?.[1])
  expect((await space.ask([...prune, '--dry-run'])).stdout).toBe('would be pruned up to checkpoint 1\n')
  space.write('forged.jsonl', space.read('log.jsonl').replace('key.rotate', 'key.create'))
  const forged = await space.ask([...prune.slice(0, -1), 'forged.jsonl'])
  expect(problem(forged)).toMatch(/^2 .*not what is to be deleted/u)
  const pruned = await space.ask(prune)
  expect(pruned.stdout).toBe(`pruned ${lines.length} entries: the log begins at checkpoint 1\n`)
  expect(problem(await space.ask(prune))).toMatch(/^2 .*begins at checkpoint 1 already/u)
  const verified = await space.ask(['kms', 'audit', 'verify', '--checkpoint', 'checkpoint.json'])
  expect(verified.stdout).toMatch(/^whole: \d+ entries in \d chains, and fits 1 checkpoint\n$/u)
  // The check and the pruning are entries themselves.
  expect(Number(verified.stdout.match(/(\d+) entries/u)?.[1])).toBe(before + 2 - lines.length)
})
