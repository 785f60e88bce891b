import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'

import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

const mebibyte = 1024 * 1024

interface Place extends Disposable {
  readonly space: Workspace
  readonly recipient: string
}

async function withIdentity(): Promise<Place> {
  const space = new Workspace()
  const recipient = (await space.ok(['keygen', '-o', 'mine.txt'])).stdout.trim()
  return { space, recipient, [Symbol.dispose]: () => space[Symbol.dispose]() }
}

/** As a pipe brings it. */
function piped(bytes: Uint8Array, pieceBytes = 65_536): Readable {
  return Readable.from(
    (function* pieces() {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
    })(),
    { objectMode: false },
  )
}

/** Another byte at one place of a file. */
function damage(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

describe('round trips', () => {
  test.each([0, 1, 16_383, 16_384, 65_612, mebibyte - 1, mebibyte, mebibyte + 1, 3 * mebibyte + 16_384])(
    '%d bytes, from files and from pipes',
    async (length) => {
      using place = await withIdentity()
      const { space, recipient } = place
      const plaintext = Uint8Array.from(randomBytes(length))
      space.write('in', plaintext)
      await space.ok(['encrypt', 'in', '-r', recipient, '-c', 'a=b', '-o', 'file.lh'])
      await space.ok(['encrypt', '-r', recipient, '-c', 'a=b', '-o', 'pipe.lh'], { stdin: piped(plaintext) })
      expect(statSync(space.file('file.lh')).size).toBe(1317 + length + 16 * Math.floor(length / 16_384))
      expect(space.bytes('pipe.lh').length).toBe(space.bytes('file.lh').length)

      const decrypt = ['decrypt', '-i', 'mine.txt', '-c', 'a=b']
      await space.ok([...decrypt, 'pipe.lh', '-o', 'out'])
      expect(Buffer.compare(space.bytes('out'), plaintext)).toBe(0)
      const { stdoutBytes } = await space.ok([...decrypt, 'file.lh'])
      expect(Buffer.compare(stdoutBytes, plaintext)).toBe(0)
      const stdin = piped(space.bytes('file.lh'), 10_007)
      await space.ok([...decrypt, '-o', 'again'], { stdin })
      expect(Buffer.compare(space.bytes('again'), plaintext)).toBe(0)
    },
  )

  test('a long record with its wrapped key, from a file and from a pipe', async () => {
    using place = await withIdentity()
    const { space, recipient } = place
    const { DataKey, parseRecipient, wrapDataKey } = await import('@longhold/core')
    using dataKey = DataKey.generate()
    const plaintext = Uint8Array.from(randomBytes(2 * mebibyte + 5))
    space.write('key', await wrapDataKey(dataKey, { recipients: [parseRecipient(recipient)] }))
    space.write('row', dataKey.encrypt(plaintext, { recordContext: { id: '7' } }))
    const open = ['decrypt', '-i', 'mine.txt', '-c', 'id=7', '--wrapped-key', 'key']
    for (const input of [{ argv: ['row'] }, { argv: [], stdin: piped(space.bytes('row')) }]) {
      const { argv, ...more } = input
      const { stdoutBytes } = await space.ok([...open, ...argv], more)
      expect(Buffer.compare(stdoutBytes, plaintext)).toBe(0)
    }
    damage(space.file('row'), mebibyte)
    expect(await space.cli([...open, 'row', '-o', 'out'])).toMatchObject({ code: 1 })
    expect(space.list()).toEqual(['key', 'mine.txt', 'row'])
  })
})

describe('what turns out to be damaged at its end', () => {
  test('a file appears only when all of it was right', async () => {
    using place = await withIdentity()
    const { space, recipient } = place
    const whole = Uint8Array.from(randomBytes(3 * mebibyte))
    await space.ok(['encrypt', '-r', recipient, '-o', 'x.lh'], { stdin: piped(whole) })
    space.write('kept', 'as it was')
    const end = statSync(space.file('x.lh')).size
    for (const harm of [
      () => damage(space.file('x.lh'), end - 20_000),
      () => truncateSync(space.file('x.lh'), end - 9),
    ]) {
      harm()
      for (const input of [{ argv: ['x.lh'] }, { argv: [], stdin: piped(space.bytes('x.lh')) }]) {
        const { argv, ...more } = input
        const result = await space.cli(['decrypt', '-i', 'mine.txt', '-o', 'kept', '-f', ...argv], more)
        expect(result.code).toBe(1)
        expect(result.stderr).toMatch(/^longhold: error: (x\.lh|standard input): cannot open/u)
        expect(space.read('kept')).toBe('as it was')
        expect(space.list()).toEqual(['kept', 'mine.txt', 'x.lh'])
      }
    }
  })

  test('beyond 64 MiB a file still gives nothing to a pipe, a pipe gives what it cannot take back and says so', async () => {
    using place = await withIdentity()
    const { space, recipient } = place
    const whole = new Uint8Array(66 * mebibyte).fill(7)
    await space.ok(['encrypt', '-r', recipient, '-o', 'x.lh'], { stdin: piped(whole) })
    const decrypt = ['decrypt', '-i', 'mine.txt']
    expect(Buffer.compare((await space.ok([...decrypt, 'x.lh'])).stdoutBytes, whole)).toBe(0)
    const fromPipe = await space.ok(decrypt, { stdin: piped(space.bytes('x.lh')) })
    expect(Buffer.compare(fromPipe.stdoutBytes, whole)).toBe(0)

    const onScreen = await space.cli([...decrypt, 'x.lh'], { tty: ['stdout'] })
    expect(onScreen).toMatchObject({ code: 2, stdout: '' })
    expect(onScreen.stderr).toContain('refusing to write more than 64 MiB to a terminal')

    damage(space.file('x.lh'), statSync(space.file('x.lh')).size - 40_000)
    expect(await space.cli([...decrypt, 'x.lh'])).toMatchObject({ code: 1, stdout: '' })
    const cut = space.bytes('x.lh')
    const result = await space.cli(decrypt, { stdin: piped(cut.subarray(0, cut.length - 20_000)) })
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(
      /^longhold: error: standard input: cannot open: .*; what was written to standard output is only the beginning\nlonghold: hint: throw it away\. With --output/u,
    )
    expect(result.stdoutBytes.length).toBeGreaterThan(64 * mebibyte)
    expect(Buffer.compare(result.stdoutBytes, whole.subarray(0, result.stdoutBytes.length))).toBe(0)
    // With --output the same ends with nothing at all.
    const toFile = await space.cli([...decrypt, '-o', 'out'], { stdin: piped(cut) })
    expect(toFile.code).toBe(1)
    expect(space.list()).not.toContain('out')
  })

  test('a file that becomes shorter while it is read', async () => {
    using place = await withIdentity()
    const { space, recipient } = place
    const { openContainer } = await import('../../src/shell/containers.ts')
    const { Terminal } = await import('../../src/shell/terminal.ts')
    await space.ok(['encrypt', '-r', recipient, '-o', 'x.lh'], { stdin: piped(new Uint8Array(mebibyte)) })
    const nothing = new Readable({ read() {} })
    const io = { stdin: nothing, stdout: process.stdout, stderr: process.stderr, env: {}, cwd: space.path }
    const terminal = new Terminal(
      { ...io, signal: new AbortController().signal },
      { json: false, configPath: undefined },
    )
    await using container = await openContainer(terminal, 'x.lh')
    truncateSync(space.file('x.lh'), 1000)
    await expect(container.source?.read(0, 2000)).rejects.toMatchObject({
      exitCode: 1,
      message: 'x.lh became shorter while it was read',
    })
  })
})

describe('what needs no body', () => {
  test('rewrap writes a new header, and every byte behind it stays', async () => {
    using place = await withIdentity()
    const { space, recipient } = place
    const { stdout: theirs } = await space.ok(['keygen', '-o', 'theirs.txt'])
    await space.ok(['encrypt', '-r', recipient, '-o', 'x.lh'], { stdin: piped(randomBytes(5 * mebibyte)) })
    const before = space.bytes('x.lh')
    await space.ok(['rewrap', 'x.lh', '-i', 'mine.txt', '-r', theirs.trim(), '-r', recipient])
    const after = space.bytes('x.lh')
    expect(after.length - before.length).toBe(1192)
    expect(Buffer.compare(before.subarray(1245), after.subarray(1245 + 1192))).toBe(0)
    const opened = await space.ok(['decrypt', 'x.lh', '-i', 'theirs.txt'])
    expect(opened.stdoutBytes.length).toBe(5 * mebibyte)
    expect(space.list()).toEqual(['mine.txt', 'theirs.txt', 'x.lh'])
  })

  test('inspect says the same of a file and of a pipe', async () => {
    using place = await withIdentity()
    const { space, recipient } = place
    await space.ok(['encrypt', '-r', recipient, '-o', 'x.lh'], { stdin: piped(new Uint8Array(2 * mebibyte)) })
    const file = await space.ok(['inspect', 'x.lh'])
    expect(file.stdout).toContain('plaintext   2,097,152 bytes')
    const pipe = await space.ok(['inspect'], { stdin: piped(space.bytes('x.lh')) })
    expect(pipe.stdout).toBe(file.stdout.replace('x.lh', 'standard input'))
  })

  test('can-open goes through all of it; a long stream only for one identity', async () => {
    using place = await withIdentity()
    const { space, recipient } = place
    await space.ok(['keygen', '-o', 'theirs.txt'])
    const whole = new Uint8Array(65 * mebibyte)
    await space.ok(['encrypt', '-r', recipient, '-o', 'x.lh'], { stdin: piped(whole) })
    const one = ['can-open', '-i', 'mine.txt']
    expect(await space.cli([...one, 'x.lh'])).toMatchObject({ code: 0 })
    expect(await space.cli(one, { stdin: piped(space.bytes('x.lh')) })).toMatchObject({ code: 0 })
    const two = await space.cli([...one, '-i', 'theirs.txt'], { stdin: piped(space.bytes('x.lh')) })
    expect(two.code).toBe(1)
    expect(two.stdout).toContain('can be read only once')
    damage(space.file('x.lh'), 30 * mebibyte)
    expect((await space.cli([...one, 'x.lh'])).stdout).toContain(
      'cannot open: another context, or altered bytes',
    )
  })
})

test('progress on a terminal: how far, how fast, how long still', async () => {
  using place = await withIdentity()
  const { space, recipient } = place
  space.write('in', new Uint8Array(70 * mebibyte))
  const { stderr } = await space.ok(['encrypt', 'in', '-r', recipient, '-o', 'x.lh'], { tty: ['stderr'] })
  expect(stderr).toContain('in: 1 of 70 MiB')
  expect(stderr.endsWith('\r\u001b[2K')).toBe(true)
})
