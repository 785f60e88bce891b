import { expect, test } from 'vitest'

import { ServiceWorkspace } from '../support/service.ts'

test('longhold kms init sets up the service that waits for it', async () => {
  await using space = new ServiceWorkspace()
  space.write('longhold.yaml', 'kms:\n  data-dir: data\n')
  await space.start('--await-init')
  expect((await space.cli(['kms', 'seal-status'])).stdout).toBe(
    'not initialised: longhold kms init sets it up\n',
  )
  const made = await space.ok(['kms', 'init', '--first-key', 'orders'])
  expect(made.stdout).toContain('/data/admin.token\nfingerprint  ')
  expect((await space.cli(['kms', 'seal-status'])).stdout).toBe('unsealed\n')
  const keys = await space.ask(['kms', 'keys', '--kms-token-file', 'data/admin.token'])
  expect(keys.stdout).toMatch(/^orders /mu)
  const again = await space.cli(['kms', 'init'])
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('set up already') as string })
})
