import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { freePort } from './processes.ts'
import { blocksOf, parseSession, playSession } from './session.ts'

const root = join(import.meta.dirname, '../..')
const sessions = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.session.txt'))

test('there are sessions to play', () => {
  expect(sessions.length).toBeGreaterThan(2)
})

test('a session that goes another way is found out, at its own line', async () => {
  const text = '# a comment\n\n$ echo a; echo b >&2; exit 3\na\n! b\n[exit 3]\n$ echo c\nd\n'
  expect(await playSession(parseSession(text))).toEqual({
    line: 7,
    kind: '$',
    command: 'echo c',
    expected: ['d'],
    actual: ['c'],
  })
  expect(await playSession(parseSession('$ seq 5\n1\n…\n5\n\n$ echo abc\na…c\n'))).toBeUndefined()
})

describe('sessions', { timeout: 120_000 }, () => {
  test.each(sessions)('%s', async (name) => {
    const text = readFileSync(join(import.meta.dirname, name), 'utf8')
    expect(await playSession(parseSession(text))).toBeUndefined()
  })

  // One session from its first block to its last; its port 8421 stands for a free one.
  test('the console blocks of docs/cli.md', async () => {
    const blocks = blocksOf(readFileSync(join(root, 'docs/cli.md'), 'utf8'), 'console')
    const text = blocks.replaceAll('8421', String(await freePort()))
    expect(await playSession(parseSession(text))).toBeUndefined()
  })
})
