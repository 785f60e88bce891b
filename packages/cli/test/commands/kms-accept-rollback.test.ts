import { expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

/** The data directory of `longhold init`, with an anchor that knows a newer database. */
function putBack(space: Workspace): void {
  const path = '.longhold/kms/anchor.json'
  space.write(path, space.read(path).replace(/"epoch":\d+/u, '"epoch":57'))
}

test('names the two epochs, and goes on when they are accepted', async () => {
  using space = new Workspace()
  await space.ok(['init'])
  const nothing = await space.ok(['kms', 'accept-rollback', '--json'])
  expect(JSON.parse(nothing.stdout)).toEqual({ accepted: false, database_epoch: null, anchor_epoch: null })
  putBack(space)

  const asked = await space.cli(['kms', 'accept-rollback'])
  expect(asked.code).toBe(2)
  expect(asked.stderr).toMatch(/^longhold: error: the database is at epoch (\d+), and was at 57 before\n/u)
  const [, epochs = ''] = /--epochs (\d+:57)\n/u.exec(asked.stderr) ?? []
  expect((await space.cli(['kms', 'accept-rollback', '--epochs', '1:58'])).code).toBe(2)
  expect((await space.ok(['kms', 'accept-rollback', '--epochs', epochs])).stdout).toMatch(/^accepted: /u)
  expect((await space.ok(['kms', 'accept-rollback'])).stdout).toMatch(/^there is nothing to accept/u)
})

test('--yes accepts whatever the epochs are; a stranger accepts nothing', async () => {
  using space = new Workspace()
  await space.ok(['init'])
  putBack(space)
  space.write('passphrase.txt', 'of nobody\n')
  const stranger = ['kms', 'accept-rollback', '--yes', '--passphrase-file', 'passphrase.txt']
  expect((await space.cli(stranger)).code).toBe(2)
  const accepted = await space.ok(['kms', 'accept-rollback', '--yes', '--json'])
  expect(JSON.parse(accepted.stdout)).toMatchObject({ accepted: true, anchor_epoch: 57 })
  expect((await space.cli(['kms', 'accept-rollback', '--yes', '--epochs', '1:2'])).code).toBe(2)
})

test('asks the service where one runs, which answers again', async () => {
  await using space = await ServiceWorkspace.create()
  await space.stop()
  putBack(space)
  await space.start()
  expect((await space.ask(['kms', 'keys'])).stderr).toContain('(rollback_detected)')

  const asked = await space.cli(['kms', 'accept-rollback'])
  expect(asked).toMatchObject({ code: 2, stdout: '' })
  const [, epochs = ''] = /--epochs (\d+:57)\n/u.exec(asked.stderr) ?? []
  const accepted = await space.ok(['kms', 'accept-rollback', '--epochs', epochs])
  expect(accepted.stdout).toMatch(/^accepted: the database is at epoch \d+, and was at 57 before\n$/u)
  expect((await space.ask(['kms', 'keys'])).code).toBe(0)
  expect((await space.ok(['kms', 'accept-rollback'])).stdout).toMatch(/^there is nothing to accept/u)
})
