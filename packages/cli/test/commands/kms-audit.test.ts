import { expect, test } from 'vitest'

import type { CliResult } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

test('longhold kms audit reads the log, makes a checkpoint, and holds the log against it', async () => {
  await using space = await ServiceWorkspace.create()
  await space.ask(['kms', 'rotate', 'default'])
  const list = await space.ask(['kms', 'audit', '--action', 'key.rotate'])
  expect(list.stdout).toMatch(/^\d{4}-\d\d-\d\dT\S+Z {2}key\.rotate {2}[0-9a-f]{24} {2}default 2, primary\n$/u)
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

  const altered = space.read('checkpoint.json').replace('number', 'numbre')
  space.write('altered.json', altered)
  const refused = await space.ask(['kms', 'audit', 'verify', '--checkpoint', 'altered.json'])
  expect(problem(refused)).toMatch(/^[1-4] .*not signed by this service/u)
  expect(problem(await space.ask(['kms', 'audit', 'verify', '--checkpoint', 'nowhere']))).toMatch(
    /^2 .*nowhere/u,
  )
})
