import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from 'node:fs'

import { encrypt, parseRecipient } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'
import type { CliResult } from '../support/cli.ts'

/** A directory with `mine.txt`, an identity, and its recipient. */
async function withIdentity(): Promise<Workspace & { recipient: string }> {
  const space = new Workspace()
  const { stdout } = await space.ok(['keygen', '-o', 'mine.txt'])
  return Object.assign(space, { recipient: stdout.trim() })
}

function problem({ code, stderr }: CliResult): string {
  return `${code} ${stderr}`
}

describe('round trips', () => {
  test('from file to file', async () => {
    using space = await withIdentity()
    const plaintext = Uint8Array.from({ length: 40_000 }, (_, index) => index % 251)
    space.write('in', plaintext)
    const wrote = await space.cli([
      'encrypt',
      'in',
      '-r',
      space.recipient,
      '-o',
      'in.lh',
      '-c',
      'tenant=acme',
    ])
    expect(wrote).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const read = await space.cli([
      'decrypt',
      'in.lh',
      '-i',
      'mine.txt',
      '-o',
      'out',
      '--context',
      'tenant=acme',
    ])
    expect(read).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(space.bytes('out')).toEqual(plaintext)
    expect(statSync(space.file('out')).mode & 0o777).toBe(0o600)
    expect(space.list()).toEqual(['in', 'in.lh', 'mine.txt', 'out'])
  })

  test('through pipes, in binary and in text form', async () => {
    using space = await withIdentity()
    const binary = await space.ok(['encrypt', '-r', space.recipient], { stdin: 'hello' })
    expect((await space.ok(['decrypt', '-i', 'mine.txt'], { stdin: binary.stdoutBytes })).stdout).toBe(
      'hello',
    )
    const text = await space.ok(['encrypt', '--text', '-r', space.recipient], { stdin: 'hello' })
    expect(text.stdout).toMatch(/^TEhFA[\w-]+\n$/u)
    for (const stdin of [text.stdout, text.stdout.trim(), text.stdout.replace('\n', '\r\n')]) {
      expect((await space.ok(['decrypt', '-i', 'mine.txt'], { stdin })).stdout).toBe('hello')
    }
  })

  test('empty data', async () => {
    using space = await withIdentity()
    const { stdoutBytes } = await space.ok(['encrypt', '-r', space.recipient])
    expect(await space.ok(['decrypt', '-i', 'mine.txt'], { stdin: stdoutBytes })).toMatchObject({
      stdout: '',
    })
  })

  test('several recipients, also from a file, each of whom opens it', async () => {
    using space = await withIdentity()
    const { stdout: theirs } = await space.ok(['keygen', '-o', 'theirs.txt'])
    space.write('team', `# the team\n\n${theirs}`)
    await space.ok(['encrypt', '-r', space.recipient, '-R', 'team', '-o', 'x.lh'], { stdin: 'both' })
    for (const identity of ['mine.txt', 'theirs.txt']) {
      expect((await space.ok(['decrypt', '-i', identity, 'x.lh'])).stdout).toBe('both')
    }
  })

  test('a record with its wrapped key', async () => {
    using space = await withIdentity()
    const { DataKey, wrapDataKey } = await import('@longhold/core')
    using dataKey = DataKey.generate()
    const keyContext = { dataset: 'users' }
    space.write(
      'key',
      await wrapDataKey(dataKey, { recipients: [parseRecipient(space.recipient)], keyContext }),
    )
    space.write('row', dataKey.encrypt(Buffer.from('a row'), { recordContext: { id: '7' } }))
    const open = ['decrypt', 'row', '-i', 'mine.txt', '-c', 'id=7', '--wrapped-key', 'key', '--key-context']
    expect((await space.ok([...open, 'dataset=users'])).stdout).toBe('a row')
    expect(problem(await space.cli([...open, 'dataset=other']))).toContain(
      '1 longhold: error: key: cannot open',
    )
    expect(problem(await space.cli(['decrypt', 'row', '-i', 'mine.txt']))).toContain('--wrapped-key FILE')
    expect(problem(await space.cli(['decrypt', 'key', '-i', 'mine.txt']))).toContain(
      'key is a wrapped data key',
    )
  })

  test('--json tells what was written', async () => {
    using space = await withIdentity()
    const wrote = await space.ok(['encrypt', '--json', '-r', space.recipient, '-o', 'x.lh'], {
      stdin: 'hello',
    })
    const told = JSON.parse(wrote.stdout)
    expect(told).toMatchObject({ output: 'x.lh', recipients: 1, plaintext_bytes: 5, envelope_bytes: 1322 })
    const read = await space.ok(['decrypt', '--json', '-i', 'mine.txt', 'x.lh', '-o', 'x'])
    expect(JSON.parse(read.stdout)).toEqual({ output: 'x', key_id: told.key_id, plaintext_bytes: 5 })
    expect(problem(await space.cli(['decrypt', '--json', '-i', 'mine.txt', 'x.lh']))).toMatch(
      /^2 .*--output FILE/u,
    )
  })
})

describe('what cannot be opened is exit 1, and nothing is written', () => {
  test('a wrong or missing context lists the possible causes', async () => {
    using space = await withIdentity()
    await space.ok(['encrypt', '-r', space.recipient, '-c', 'tenant=a', '-o', 'x.lh'], { stdin: 'secret' })
    for (const context of [[], ['-c', 'tenant=b'], ['-c', 'tenant=a', '-c', 'more=1']]) {
      const result = await space.cli(['decrypt', 'x.lh', '-i', 'mine.txt', '-o', 'out', ...context])
      expect(problem(result)).toMatch(/^1 longhold: error: x\.lh: cannot open: .*key.*context.*altered/u)
      expect(result.stderr).toContain('hint: check --context first')
    }
    expect(space.list()).not.toContain('out')
  })

  test('somebody else’s file names its recipients', async () => {
    using space = await withIdentity()
    const { stdout } = await space.ok(['keygen', '-o', 'theirs.txt'])
    await space.ok(['encrypt', '-r', stdout.trim(), '-o', 'x.lh'], { stdin: 'secret' })
    const result = await space.cli(['decrypt', 'x.lh', '-i', 'mine.txt'])
    expect(problem(result)).toContain('1 longhold: error: x.lh: none of our identities is a recipient')
    expect(result.stderr).toMatch(/hint: it was wrapped for recipient [0-9a-f]{32}/u)
  })

  test('every cut is refused, and none releases a byte', async () => {
    using space = await withIdentity()
    const envelope = await encrypt(new Uint8Array(40_000), { recipients: [parseRecipient(space.recipient)] })
    for (const length of [1, 3, 4, 1000, 1244, 1245, 1320, envelope.length - 16_400, envelope.length - 1]) {
      const result = await space.cli(['decrypt', '-i', 'mine.txt'], { stdin: envelope.subarray(0, length) })
      expect(result, `cut to ${length}`).toMatchObject({ code: 1, stdout: '' })
      expect(result.stderr).toContain('longhold: error: standard input')
    }
  })

  test.each([
    ['', 'it is empty'],
    ['age-encryption.org/v1\n', 'an age file'],
    ['eyJhbGciOiJSU0EtT0FFUCJ9.x', 'a JWE or JWT'],
    ['-----BEGIN PGP MESSAGE-----\n', 'an OpenPGP message'],
    ['%PDF-1.7', 'something else'],
  ])('a foreign file, %j', async (content, what) => {
    using space = await withIdentity()
    space.write('foreign', content)
    const result = await space.cli(['decrypt', 'foreign', '-i', 'mine.txt'])
    expect(problem(result)).toContain('1 longhold: error: foreign is not an envelope')
    expect(result.stderr).toContain(what)
  })

  test('a text form with something else in it', async () => {
    using space = await withIdentity()
    const { stdout } = await space.ok(['encrypt', '--text', '-r', space.recipient], { stdin: 'hello' })
    for (const stdin of [`${stdout}\n`, stdout.replace('TEhF', 'TEhF '), `${stdout.trim()}=`]) {
      expect(await space.cli(['decrypt', '-i', 'mine.txt'], { stdin })).toMatchObject({ code: 1, stdout: '' })
    }
  })

  test('more than 64 MiB in text form is refused with the limit in the text, before it is read', async () => {
    using space = await withIdentity()
    const sparse = openSync(space.file('huge'), 'w')
    ftruncateSync(sparse, 64 * 1024 * 1024 + 1)
    closeSync(sparse)
    const argv = ['encrypt', '--text', 'huge', '-r', space.recipient, '-o', 'x.lh', '--json']
    const result = await space.cli(argv)
    expect(result.code).toBe(1)
    const { error } = JSON.parse(result.stderr)
    expect(error.code).toBe('limit_exceeded')
    expect(error.message).toBe(
      'huge has 67,108,865 bytes: the text form takes at most 67,108,864 (64 MiB); without --text there is no limit',
    )
    expect(space.list()).not.toContain('x.lh')
  })
})

describe('wrong calls are exit 2', () => {
  test('inputs that cannot be read', async () => {
    using space = await withIdentity()
    mkdirSync(space.file('folder'))
    const open = (...argv: string[]) => space.cli(['decrypt', ...argv]).then(problem)
    expect(await open('missing', '-i', 'mine.txt')).toContain(
      '2 longhold: error: cannot read missing: no such file',
    )
    expect(await open('folder', '-i', 'mine.txt')).toContain('2 longhold: error: folder is a directory')
    expect(await open('mine.txt/x', '-i', 'mine.txt')).toContain('a part of the path is not a directory')
    expect(await open('x', '-i', 'missing')).toContain('2 longhold: error: cannot read missing')
    expect(await open('x')).toContain('2 longhold: error: no identity to open it with')
  })

  test('keys that are not keys, without repeating a secret', async () => {
    using space = await withIdentity()
    const secret = space.read('mine.txt').split('\n')[2] ?? ''
    const encryptTo = (...argv: string[]) => space.cli(['encrypt', ...argv], { stdin: 'x' }).then(problem)
    expect(await encryptTo()).toContain('2 longhold: error: no recipients')
    expect(await encryptTo('-r', 'mine.txt')).toContain('not a recipient: mine.txt')
    expect(await encryptTo('-r', space.recipient.slice(0, -1))).toContain('2 longhold: error: --recipient')
    const pasted = await encryptTo('-r', secret)
    expect(pasted).toContain('this is an identity, the secret half')
    expect(pasted).not.toContain(secret.slice(20))
    expect(await encryptTo('-R', 'mine.txt')).toContain('mine.txt line 3: this is an identity')
    space.write('damaged', secret.replace(/.$/u, secret.endsWith('A') ? 'B' : 'A'))
    chmodSync(space.file('damaged'), 0o600)
    const damaged = await space.cli(['decrypt', 'x', '-i', 'damaged'])
    expect(problem(damaged)).toContain('2 longhold: error: damaged line 1')
    expect(damaged.stderr).not.toContain(secret.slice(20, -2))
    space.write('public', space.recipient)
    expect(problem(await space.cli(['decrypt', 'x', '-i', 'public']))).toContain('this is a recipient')
    space.write('empty', '# nothing\n')
    expect(problem(await space.cli(['decrypt', 'x', '-i', 'empty']))).toContain('empty holds no identity')
  })

  test('contexts that are not pairs', async () => {
    using space = await withIdentity()
    const encryptWith = (...argv: string[]) =>
      space.cli(['encrypt', '-r', space.recipient, ...argv]).then(problem)
    expect(await encryptWith('-c', 'tenant')).toContain('2 longhold: error: --context tenant: not key=value')
    expect(await encryptWith('-c', '=x')).toContain('not key=value')
    expect(await encryptWith('-c', 'a=1', '-c', 'a=2')).toContain('--context a is given twice')
    expect(await encryptWith('-c', `a=${'x'.repeat(9000)}`)).toMatch(
      /2 longhold: error: --context: .*8,?192/u,
    )
  })

  test('a key file that others can read is used with a warning', async () => {
    using space = await withIdentity()
    await space.ok(['encrypt', '-r', space.recipient, '-o', 'x.lh'], { stdin: 'x' })
    chmodSync(space.file('mine.txt'), 0o644)
    const { stderr } = await space.ok(['decrypt', '-i', 'mine.txt', 'x.lh'])
    expect(stderr).toContain(
      'warning: mine.txt can be read by others (mode 0644)\nlonghold: hint: chmod 600 mine.txt',
    )
  })
})

describe('outputs', () => {
  test('an existing file is replaced only with --force, whole', async () => {
    using space = await withIdentity()
    space.write('x.lh', 'old')
    const refusal = await space.cli(['encrypt', '-r', space.recipient, '-o', 'x.lh'], { stdin: 'new' })
    expect(problem(refusal)).toContain('2 longhold: error: x.lh exists already and is not overwritten')
    expect(space.read('x.lh')).toBe('old')
    await space.ok(['encrypt', '-r', space.recipient, '-o', 'x.lh', '--force'], { stdin: 'new' })
    expect((await space.ok(['decrypt', '-i', 'mine.txt', 'x.lh'])).stdout).toBe('new')
  })

  test('a file may replace itself, and a link stays a link', async () => {
    using space = await withIdentity()
    space.write('data', 'secret')
    symlinkSync('data', space.file('link'))
    await space.ok(['encrypt', 'link', '-r', space.recipient, '-o', 'link', '-f'])
    expect(readlinkSync(space.file('link'))).toBe('data')
    await space.ok(['decrypt', 'data', '-i', 'mine.txt', '-o', 'data', '-f'])
    expect(space.read('data')).toBe('secret')
  })

  test('a link to nowhere is not followed', async () => {
    using space = await withIdentity()
    symlinkSync('elsewhere', space.file('link'))
    const result = await space.cli(['encrypt', '-r', space.recipient, '-o', 'link'], { stdin: 'x' })
    expect(problem(result)).toContain('2 longhold: error: link exists already')
    expect(space.list()).not.toContain('elsewhere')
  })

  test('a full disk is exit 4', async () => {
    using space = await withIdentity()
    const result = await space.cli(['encrypt', '-r', space.recipient, '-o', '/dev/full'], { stdin: 'x' })
    expect(problem(result)).toContain('4 longhold: error: cannot write /dev/full: the disk is full')
    expect(result.stderr).toContain('hint: free some space')
  })

  test('binary data does not land on a terminal unless - says so', async () => {
    using space = await withIdentity()
    const onScreen = { stdin: 'x', tty: ['stdout'] } as const
    const refusal = await space.cli(['encrypt', '-r', space.recipient], onScreen)
    expect(problem(refusal)).toContain('2 longhold: error: refusing to write binary data to a terminal')
    expect(refusal.stdout).toBe('')
    await space.ok(['encrypt', '-r', space.recipient, '-o', '-'], onScreen)
    await space.ok(['encrypt', '-r', space.recipient, '--text'], onScreen)

    await space.ok(['encrypt', '-r', space.recipient, '-o', 'text.lh'], { stdin: 'Grüße\n' })
    await space.ok(['encrypt', '-r', space.recipient, '-o', 'escape.lh'], { stdin: '\u001b[31m' })
    await space.ok(['encrypt', '-r', space.recipient, '-o', 'bytes.lh'], { stdin: Uint8Array.of(255, 254) })
    const shown = { tty: ['stdout'] } as const
    expect((await space.ok(['decrypt', '-i', 'mine.txt', 'text.lh'], shown)).stdout).toBe('Grüße\n')
    for (const file of ['escape.lh', 'bytes.lh']) {
      expect(await space.cli(['decrypt', '-i', 'mine.txt', file], shown)).toMatchObject({
        code: 2,
        stdout: '',
      })
      expect((await space.ok(['decrypt', '-i', 'mine.txt', file, '-o', '-'], shown)).stdout).not.toBe('')
    }
  })

  test('a person at the keyboard is told what is awaited', async () => {
    using space = await withIdentity()
    const { stderr } = await space.ok(['encrypt', '--text', '-r', space.recipient], {
      stdin: 'x',
      tty: ['stdin'],
    })
    expect(stderr).toBe('longhold: reading from the terminal; Ctrl-D ends the input\n')
  })
})
