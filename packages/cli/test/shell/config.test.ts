import { mkdirSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

async function withIdentity() {
  const space = new Workspace()
  const { stdout } = await space.ok(['keygen', '-o', 'mine.txt'])
  space.write('team.txt', stdout)
  return space
}

describe('longhold.yaml', () => {
  test('does what the flags do, with paths that start at its own directory', async () => {
    using space = await withIdentity()
    mkdirSync(space.file('etc'))
    space.write('etc/other.yaml', 'recipients-file: ../team.txt\nidentity: [../mine.txt]\n')
    for (const argv of [['--config', 'etc/other.yaml'], []]) {
      const env = argv.length === 0 ? { LONGHOLD_CONFIG: 'etc/other.yaml' } : {}
      const { stdoutBytes } = await space.ok(['encrypt', ...argv], { stdin: 'hello', env })
      expect((await space.ok(['decrypt', ...argv], { stdin: stdoutBytes, env })).stdout).toBe('hello')
    }
  })

  test('is found in the working directory, and a flag takes the place of its list', async () => {
    using space = await withIdentity()
    space.write('longhold.yaml', `recipient:\n  - ${space.read('team.txt')}identity: gone.txt\n`)
    const { stdoutBytes } = await space.ok(['encrypt'], { stdin: 'hello' })
    expect((await space.cli(['decrypt'], { stdin: stdoutBytes })).stderr).toContain('gone.txt: no such file')
    expect((await space.ok(['decrypt', '-i', 'mine.txt'], { stdin: stdoutBytes })).stdout).toBe('hello')
  })

  test('an empty file, and one with a section for reencrypt, say nothing about keys', async () => {
    using space = await withIdentity()
    for (const text of ['', '# nothing\n', 'reencrypt:\n  anything: [1, 2]\n']) {
      space.write('longhold.yaml', text)
      expect((await space.cli(['encrypt'], { stdin: 'x' })).stderr).toContain('error: no recipients')
    }
  })

  test.each([
    ['recipients: x', 'longhold.yaml: unknown entry recipients', 'did you mean recipient?'],
    ['kms:\n  dat-dir: x', 'longhold.yaml: unknown entry kms.dat-dir', 'did you mean data-dir?'],
    ['whatever: x', 'longhold.yaml: unknown entry whatever', 'docs/cli.md lists the entries'],
    ['kms-url: 7', 'longhold.yaml: kms-url has the wrong type', 'docs/cli.md'],
    ['- a list', 'longhold.yaml: it must be a list of entries', 'docs/cli.md'],
    ['a: b: c', 'longhold.yaml is not YAML: ', 'docs/cli.md'],
    ['identity: a\nidentity: b', 'longhold.yaml is not YAML: ', 'docs/cli.md'],
    ['identity: &a [x]\nrecipient: *a', 'longhold.yaml: anchors and aliases are not allowed', ''],
  ])('a mistake in it is exit 2: %j', async (text, error, hint) => {
    using space = await withIdentity()
    space.write('longhold.yaml', text)
    const result = await space.cli(['encrypt'], { stdin: 'x' })
    expect(result.stderr).toContain(`longhold: error: ${error}`)
    expect(result.stderr).toContain(hint)
    expect(result).toMatchObject({ code: 2, stdout: '' })
  })

  test('a file that was named must be there', async () => {
    using space = await withIdentity()
    const result = await space.cli(['encrypt', '--config', 'no.yaml'], { stdin: 'x' })
    expect(result).toMatchObject({ code: 2 })
    expect(result.stderr).toContain('cannot read no.yaml: no such file')
  })
})
