import { describe, expect, test } from 'vitest'

import type { CliResult } from '../support/cli.ts'
import { ServiceWorkspace } from '../support/service.ts'

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

describe('longhold kms principals, grants and explain', () => {
  test('a principal reads with its token what its grants say, and nothing when they are gone', async () => {
    await using space = await ServiceWorkspace.create()
    const ok = async (...argv: string[]) => {
      const result = await space.ask(['kms', ...argv])
      expect(problem(result)).toMatch(/^0 /u)
      return result
    }
    const { stdoutBytes } = await space.ask(['encrypt', '-c', 'tenant=acme'], { stdin: 'hello' })
    // What opening a file takes besides.
    const opening = ['-p', 'wrap', '-p', 'keys.list']
    await ok('principals', 'create', 'billing', '--description', 'nightly invoices')
    await ok(
      'tokens',
      'create',
      'job',
      '--principal',
      'billing',
      '-p',
      'unwrap',
      ...opening,
      '-o',
      'job.token',
    )
    const read = () =>
      space.ask(['decrypt', '-c', 'tenant=acme', '--kms-token-file', 'job.token'], { stdin: stdoutBytes })
    await ok('grants', 'create', 'billing', ...opening)
    expect((await read()).code).not.toBe(0)

    const created = await ok(
      'grants',
      'create',
      'billing',
      '-p',
      'unwrap',
      '-k',
      'default',
      '-c',
      'tenant=acme',
      '--json',
    )
    const { id } = JSON.parse(created.stdout) as { id: string }
    expect((await read()).stdout).toBe('hello')
    const explained = await ok(
      'explain',
      'unwrap',
      '--principal',
      'billing',
      '-k',
      'default',
      '-c',
      'tenant=acme',
    )
    expect(explained.stdout).toBe(`allowed by ${id}\n`)
    const other = await ok(
      'explain',
      'unwrap',
      '--principal',
      'billing',
      '-k',
      'default',
      '-c',
      'tenant=other',
    )
    expect(other.stdout).toBe('denied: no rule allows it\n')
    const hidden = await ok('explain', 'unwrap', '--principal', 'billing', '-k', 'nothing')
    expect(hidden.stdout).toBe('denied: the key is not there for it\n')

    const list = await ok('grants', 'billing')
    expect(list.stdout).toMatch(new RegExp(`^${id} +allow +unwrap +key default; context tenant=acme$`, 'mu'))
    await ok('principals', 'disable', 'billing')
    expect((await read()).code).not.toBe(0)
    expect((await ok('principals')).stdout).toMatch(/billing +disabled \d{4}-/u)
    await ok('principals', 'enable', 'billing')
    expect((await read()).stdout).toBe('hello')
    await ok('grants', 'delete', 'billing', id)
    expect((await read()).code).not.toBe(0)
  })

  test('wrong calls are exit 2 and say what was meant', async () => {
    await using space = await ServiceWorkspace.create()
    const wrong = (...argv: string[]) => space.ask(['kms', ...argv]).then(problem)
    expect(await wrong('grants', 'create', 'billing', '-p', 'unwarp')).toContain('did you mean unwrap?')
    expect(await wrong('grants', 'create', 'billing', '-p', 'unwrap', '--uses', '0')).toMatch(/^2 .*--uses/u)
    expect(await wrong('explain', 'unwrap')).toMatch(/^2 .*either --principal or --token-id/u)
    expect(await wrong('grants', 'create', 'nobody', '-p', 'unwrap')).toContain('principal nobody')
  })
})

describe('longhold kms tokens revoke', () => {
  test('ends what was made with the token too, unless it is to end alone', async () => {
    await using space = await ServiceWorkspace.create()
    const make = async (name: string, ...more: string[]) => {
      const made = await space.ask([
        'kms',
        'tokens',
        'create',
        name,
        '-p',
        'tokens.create',
        '-o',
        `${name}.token`,
        '--json',
        ...more,
      ])
      return JSON.parse(made.stdout) as { id: string }
    }
    const parent = await make('parent')
    const child = await make('child', '--kms-token-file', 'parent.token')
    const alone = await space.ask(['kms', 'tokens', 'revoke', parent.id, '--keep-descendants', '--json'])
    expect(JSON.parse(alone.stdout)).toEqual({ revoked: parent.id, descendants: [] })
    const after = await space.ask(['kms', 'tokens', 'revoke', parent.id, '--json'])
    expect(JSON.parse(after.stdout)).toEqual({ revoked: parent.id, descendants: [child.id] })
    const again = await space.ask(['kms', 'tokens', 'revoke', parent.id])
    expect(problem(again)).toContain('revoked already')
  })
})
