import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import type { LogEntry } from '../../src/http/env.ts'
import { openLogger } from '../../src/server/logger.ts'
import { temporaryDirectory } from '../support/files.ts'

async function linesOf(level: 'info' | 'error' | 'silent', ...entries: object[]): Promise<unknown[]> {
  const path = join(temporaryDirectory(), 'log')
  const fd = openSync(path, 'w')
  const logger = openLogger(level, fd)
  // As a program without types could call it.
  for (const entry of entries) logger.log(entry as LogEntry)
  await logger.close()
  try {
    closeSync(fd)
  } catch {
    // The logger closed it.
  }
  const text = readFileSync(path, 'utf8')
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as unknown]))
}

test('a line has the fields that may be there, and no others, however they came', async () => {
  const entry = {
    level: 'info',
    message: 'request',
    requestId: 'r',
    status: 200,
    token: 'CANARY',
    body: { x: 'CANARY' },
    err: new Error('CANARY'),
    route: { toString: () => 'CANARY' },
  }
  expect(await linesOf('info', entry)).toEqual([
    { level: 'info', time: expect.any(String) as string, msg: 'request', requestId: 'r', status: 200 },
  ])
})

test('a message cannot make a second line', async () => {
  const [line, ...more] = await linesOf('info', { level: 'info', message: 'a\n{"level":"error"}' })
  expect([line, more]).toMatchObject([{ msg: 'a\n{"level":"error"}' }, []])
})

test('errors alone, or nothing at all', async () => {
  const entries = [
    { level: 'info', message: 'a' },
    { level: 'error', message: 'b' },
  ]
  expect(await linesOf('error', ...entries)).toMatchObject([{ msg: 'b' }])
  expect(await linesOf('silent', ...entries)).toEqual([])
})
