import { existsSync } from 'node:fs'

import { expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

test('says what is to be done, and exit 1 that there is something', async () => {
  using space = new Workspace()
  await space.ok(['init'])
  const { code, stdout, stderr } = await space.cli(['kms', 'doctor'])
  expect(code).toBe(1)
  expect(stdout).toMatch(/^warning {2}files +the key file lies beside the database/mu)
  expect(stdout).toMatch(/^ {21}next: longhold kms slots add/mu)
  expect(stderr).toMatch(/^longhold: error: \d+ findings to see to\n/u)
  const { findings } = JSON.parse((await space.cli(['kms', 'doctor', '--json'])).stdout)
  expect(findings).toContainEqual({
    check: 'slots',
    level: 'warning',
    message: expect.stringContaining('one slot opens the root key (key-file)'),
    next: expect.stringContaining('longhold kms slots add'),
  })
})

test('reads what the service is started with: longhold.yaml, the environment, options', async () => {
  using space = new Workspace()
  await space.ok(['init'])
  const config = space.read('longhold.yaml')
  space.write(
    'longhold.yaml',
    config.replace(/^kms:\n/mu, 'kms:\n  tls-cert: there.crt\n  tls-key: there.key\n'),
  )
  expect((await space.cli(['kms', 'doctor'])).stdout).toContain('there.crt cannot be read (ENOENT)')
  const env = { LONGHOLD_KMS_TLS_CERT: 'env.crt' }
  expect((await space.cli(['kms', 'doctor'], { env })).stdout).toContain('env.crt cannot be read (ENOENT)')
  const given = await space.cli(['kms', 'doctor', '--tls-cert', 'given.crt'], { env })
  expect(given.stdout).toContain('given.crt cannot be read (ENOENT)')
})

test('is said by kms serve --check-config, which starts nothing', async () => {
  using space = new Workspace()
  await space.ok(['init'])
  const argv = ['kms', 'serve', '--check-config', '--max-connections', '7']
  const { stdout } = await space.ok(argv)
  expect(stdout).toMatch(/^configuration file: .*longhold\.yaml\ndata-dir +\S+ {2}\(data-dir of /u)
  expect(stdout).toContain('max-connections      7  (--max-connections)')
  expect(JSON.parse((await space.ok([...argv, '--json'])).stdout)).toMatchObject({ 'max-connections': 7 })
  const wrong = await space.cli([...argv, '--tls-cert', 'gone.crt', '--tls-key', 'gone.key'])
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('gone.crt cannot be read')])
})

test('a name that is none is exit 2 with the one that was meant', async () => {
  using space = new Workspace()
  await space.ok(['init'])
  const config = space.read('longhold.yaml')
  space.write('longhold.yaml', config.replace(/^kms:\n/mu, 'kms:\n  tls-requir-pq: true\n'))
  const inFile = await space.cli(['kms', 'serve'])
  expect([inFile.code, inFile.stderr]).toEqual([2, expect.stringContaining('did you mean tls-require-pq?')])
  space.write('longhold.yaml', config)
  const inEnvironment = await space.cli(['kms', 'serve'], { env: { LONGHOLD_KMS_LISTN: 'x' } })
  expect([inEnvironment.code, inEnvironment.stderr]).toEqual([
    2,
    expect.stringContaining('did you mean LONGHOLD_KMS_LISTEN?'),
  ])
  expect((await space.cli(['kms', 'serve', '--tls-requir-pq'])).code).toBe(2)
  expect(existsSync(space.file('nowhere'))).toBe(false)
  expect((await space.cli(['kms', 'doctor', '--data-dir', 'nowhere'])).code).toBe(2)
})
