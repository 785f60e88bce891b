import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'
import { javaYaml, oldPem } from '../support/legacy-values.ts'
import { makeNotes } from '../support/migration.ts'

const second = 'MLKEM1024-P384, HKDF-SHA384, AES-256-GCM'

/** A directory with an identity of each suite. */
async function withBoth(): Promise<Workspace & { ordinary: string; strong: string }> {
  const space = new Workspace()
  const ordinary = (await space.ok(['keygen', '-o', 'ordinary.txt'])).stdout.trim()
  const strong = (await space.ok(['keygen', '--suite', 'mlkem1024-p384', '-o', 'strong.txt'])).stdout.trim()
  return Object.assign(space, { ordinary, strong })
}

describe('keys of the second suite', () => {
  test('keygen makes them, and knows no other name', async () => {
    using space = await withBoth()
    expect((await space.ok(['keygen', '-y', 'strong.txt'])).stdout.trim()).toBe(space.strong)
    const wrong = await space.cli(['keygen', '--suite', 'rsa', '-o', 'x'])
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('mlkem768-x25519, mlkem1024-p384')
  })

  test('encrypt, inspect, can-open, decrypt', async () => {
    using space = await withBoth()
    await space.ok(['encrypt', '-r', space.strong, '-o', 'x.lh', '-c', 'a=b'], { stdin: 'hello' })
    const { stdout } = await space.ok(['inspect', 'x.lh'])
    expect(stdout).toContain(`${second}, 1,735 bytes`)
    const opens = await space.ok(['can-open', 'x.lh', '-c', 'a=b', '-i', 'strong.txt', '-i', 'ordinary.txt'])
    expect(opens.stdout).toMatch(/strong\.txt \(.*\) +yes\n.*ordinary\.txt \(.*\) +no +not a recipient/u)
    const decrypt = ['decrypt', 'x.lh', '-i', 'strong.txt', '-c']
    expect((await space.ok([...decrypt, 'a=b'])).stdout).toBe('hello')
    expect(await space.cli([...decrypt, 'a=c'])).toMatchObject({ code: 1, stdout: '' })
    const text = await space.ok(['encrypt', '-r', space.strong, '--text'], { stdin: 'hello' })
    expect((await space.ok(['decrypt', '-i', 'strong.txt'], { stdin: text.stdout })).stdout).toBe('hello')
  })

  test('both in one header, in whichever order, by stream and by file', async () => {
    using space = await withBoth()
    for (const [first, other] of [
      [space.ordinary, space.strong],
      [space.strong, space.ordinary],
    ]) {
      const { stdoutBytes } = await space.ok(['encrypt', '-r', first ?? '', '-r', other ?? ''], {
        stdin: 'hello',
      })
      space.write('x.lh', stdoutBytes)
      for (const identity of ['ordinary.txt', 'strong.txt']) {
        expect((await space.ok(['decrypt', 'x.lh', '-i', identity])).stdout).toBe('hello')
        const opened = await space.ok(['decrypt', '-i', identity], { stdin: stdoutBytes })
        expect(opened.stdout).toBe('hello')
      }
    }
  })

  test('rewrap moves data from one suite to the other and back', async () => {
    using space = await withBoth()
    await space.ok(['encrypt', '-r', space.ordinary, '-o', 'x.lh'], { stdin: 'hello' })
    await space.ok(['rewrap', 'x.lh', '-i', 'ordinary.txt', '-r', space.strong])
    expect((await space.ok(['inspect', 'x.lh'])).stdout).toContain(second)
    await space.ok(['rewrap', 'x.lh', '-i', 'strong.txt', '-r', space.ordinary])
    expect((await space.ok(['decrypt', 'x.lh', '-i', 'ordinary.txt'])).stdout).toBe('hello')
  })

  test('a record with its wrapped key', async () => {
    using space = await withBoth()
    const { DataKey, defaultSuite, parseRecipient, wrapDataKey } = await import('@longhold/core')
    const { mlKem1024P384Suite } = await import('@longhold/core/mlkem1024-p384')
    const suites = [defaultSuite, mlKem1024P384Suite]
    using dataKey = DataKey.generate()
    const recipients = [parseRecipient(space.strong, { suites })]
    space.write('key', await wrapDataKey(dataKey, { recipients, suites }))
    space.write('row', dataKey.encrypt(Buffer.from('a row'), { recordContext: {} }))
    const { stdout } = await space.ok(['decrypt', 'row', '-i', 'strong.txt', '--wrapped-key', 'key'])
    expect(stdout).toBe('a row')
  })

  test('a damaged key is one clear error', async () => {
    using space = await withBoth()
    const result = await space.cli(['encrypt', '-r', space.strong.slice(0, -1)], { stdin: 'x' })
    expect(`${result.code} ${result.stderr}`).toContain('2 longhold: error: --recipient')
  })
})

test('re-encryption to a key of the second suite, and its verification', async () => {
  using space = new Workspace()
  await makeNotes(space.file('notes.db'), 12)
  space.write('old.pem', oldPem)
  space.write(
    'longhold.yaml',
    `reencrypt:\n  table: notes\n  column: body\n  private-keys: [old.pem]${javaYaml}`,
  )
  await space.ok(['keygen', '--suite', 'mlkem1024-p384', '--output', 'id.txt'])
  const recipient = /lhrecipient1-\S+/.exec(space.read('id.txt'))?.[0] ?? ''
  const keys = ['--recipient', recipient, '--identity', 'id.txt']
  const ran = await space.ok(['reencrypt', 'run', 'notes.db', '--execute', '--workers', '1', ...keys])
  expect(ran.stdout).toMatch(/ migrated +12\n/)
  const verified = await space.ok(['reencrypt', 'verify', 'notes.db', '--identity', 'id.txt'])
  expect(verified.stdout).toMatch(/opened +12 under 1 data key\n/)
})
