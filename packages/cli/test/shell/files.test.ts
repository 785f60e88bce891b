import { linkSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { PassThrough } from 'node:stream'

import { afterEach, describe, expect, test, vi } from 'vitest'

import { readInput } from '../../src/shell/files.ts'
import { OutputFile, writeOutput } from '../../src/shell/output-file.ts'
import { Terminal } from '../../src/shell/terminal.ts'
import { Workspace } from '../support/cli.ts'

function terminalIn(cwd: string): Terminal {
  const stream = new PassThrough()
  return new Terminal(
    { stdin: stream, stdout: stream, stderr: stream, env: {}, cwd, signal: new AbortController().signal },
    { json: false, configPath: undefined },
  )
}

describe('reading with a limit', () => {
  const limit = { maxBytes: 10, reason: 'ten is all' }

  test.each([0, 9, 10])('%d bytes are read', async (length) => {
    using space = new Workspace()
    space.write('file', new Uint8Array(length))
    expect(await readInput(terminalIn(space.path), 'file', limit)).toEqual(new Uint8Array(length))
  })

  test('one more is refused, also where the size is not known before', async () => {
    using space = new Workspace()
    space.write('file', new Uint8Array(11))
    await expect(readInput(terminalIn(space.path), 'file', limit)).rejects.toMatchObject({
      code: 'limit_exceeded',
      exitCode: 1,
      message: 'file has 11 bytes: ten is all',
    })
    await expect(readInput(terminalIn(space.path), '/dev/zero', limit)).rejects.toMatchObject({
      code: 'limit_exceeded',
      message: '/dev/zero has more than 10 bytes: ten is all',
    })
  })
})

describe('writing whole or not at all', () => {
  test('the old file is replaced, not written into: another link to it keeps the old content', async () => {
    using space = new Workspace()
    space.write('file', 'old')
    linkSync(space.file('file'), space.file('other'))
    await writeOutput(terminalIn(space.path), 'file', 'new', { overwrite: true })
    expect(space.read('file')).toBe('new')
    expect(space.read('other')).toBe('old')
    expect(space.list()).toEqual(['file', 'other'])
  })

  test('the mode is the one asked for, or that of the old file', async () => {
    using space = new Workspace()
    const terminal = terminalIn(space.path)
    await writeOutput(terminal, 'secret', 'x', { mode: 0o600 })
    expect(statSync(space.file('secret')).mode & 0o777).toBe(0o600)
    const like = statSync(space.file('secret'))
    await writeOutput(terminal, 'secret', 'y', { overwrite: true, like })
    expect(statSync(space.file('secret')).mode & 0o777).toBe(0o600)
  })

  test('a failure leaves no temporary file behind', async () => {
    using space = new Workspace()
    mkdirSync(space.file('folder'))
    await expect(
      writeOutput(terminalIn(space.path), 'folder', 'x', { overwrite: true }),
    ).rejects.toMatchObject({
      exitCode: 2,
      message: 'folder is a directory',
    })
    space.write('taken', 'x')
    await expect(writeOutput(terminalIn(space.path), 'taken', 'y')).rejects.toMatchObject({ code: 'exists' })
    expect(space.list()).toEqual(['folder', 'taken'])
    expect(readFileSync(space.file('taken'), 'utf8')).toBe('x')
  })
})

describe('writing in pieces', () => {
  afterEach(() => vi.restoreAllMocks())

  test.each([1, 3, 4, 6, 100])(
    'a file system that takes %d bytes at a time gets all of them',
    async (most) => {
      using space = new Workspace()
      space.write('any', '')
      const handle = await open(space.file('any'))
      const prototype = Object.getPrototypeOf(handle) as FileHandle // as a handle has it
      await handle.close()
      const partly = vi.spyOn(prototype, 'writev').mockImplementation(async function (
        this: FileHandle,
        pieces,
      ) {
        const bytes = Buffer.concat(pieces as Uint8Array[]).subarray(0, most) // what OutputFile gives it
        return { bytesWritten: (await this.write(bytes)).bytesWritten, buffers: pieces }
      })
      await using file = await OutputFile.create(terminalIn(space.path), 'file')
      await file.write(Buffer.from('one'), Buffer.from(''), Buffer.from('two'), Buffer.from('three'))
      await file.write()
      await file.write(Buffer.from('four'))
      await file.commit()
      expect(space.read('file')).toBe('onetwothreefour')
      expect(partly).toHaveBeenCalledTimes(Math.ceil(11 / most) + Math.ceil(4 / most))
    },
  )
})
