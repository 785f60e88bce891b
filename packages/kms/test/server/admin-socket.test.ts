import { lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'

import { listenOnSocket } from '../../src/http/admin-socket.ts'
import { temporaryDirectory } from '../support/files.ts'

const app = { fetch: async () => new Response('here') }

async function listen(path: string) {
  const listener = await listenOnSocket(app, path)
  onTestFinished(() => listener.close(0))
  return listener
}

async function ask(socketPath: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/', agent: false }, (answer) => {
      answer.setEncoding('utf8').once('data', resolve)
    })
    asked.once('error', reject)
    asked.end()
  })
}

describe('the admin socket', () => {
  test('is its owner’s alone, answers, and is gone at the end', async () => {
    const path = join(temporaryDirectory(), 'admin.sock')
    const listener = await listenOnSocket(app, path)
    const found = lstatSync(path)
    expect(found.isSocket()).toBe(true)
    expect(found.mode & 0o777).toBe(0o600)
    expect(await ask(path)).toBe('here')
    await listener.close(1000)
    expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined()
  })

  test('is so from the first moment, whatever new files are by default', async () => {
    const path = join(temporaryDirectory(), 'admin.sock')
    const before = process.umask(0)
    try {
      const listening = listen(path)
      expect(lstatSync(path).mode & 0o777).toBe(0o600)
      await listening
      expect(process.umask(0)).toBe(0)
    } finally {
      process.umask(before)
    }
  })

  test('takes the place of one that a killed process left', async () => {
    const path = join(temporaryDirectory(), 'admin.sock')
    // A server whose file stays: nobody unlinks it but whoever closes it.
    const dead = createServer()
    onTestFinished(() => void dead.close())
    await new Promise<void>((resolve) => dead.listen(path, resolve))
    await listen(path)
    expect(await ask(path)).toBe('here')
  })

  test('does not take the place of a file', async () => {
    const path = join(temporaryDirectory(), 'admin.sock')
    writeFileSync(path, 'something')
    await expect(listenOnSocket(app, path)).rejects.toMatchObject({ code: 'bad_config' })
    expect(readFileSync(path, 'utf8')).toBe('something')
  })

  test('cannot be where there is no directory, or at a path that systems cut off', async () => {
    const directory = temporaryDirectory()
    for (const path of [join(directory, 'no', 'admin.sock'), join(directory, 'x'.repeat(104))]) {
      await expect(listenOnSocket(app, path)).rejects.toMatchObject({ code: 'bad_config' })
    }
  })
})
