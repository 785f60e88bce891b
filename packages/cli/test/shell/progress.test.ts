import { PassThrough } from 'node:stream'

import { describe, expect, test } from 'vitest'

import { Progress } from '../../src/shell/progress.ts'
import { Terminal } from '../../src/shell/terminal.ts'

function terminalWith({ isTTY, json = false }: { isTTY: boolean; json?: boolean }) {
  const stderr = Object.assign(new PassThrough(), { isTTY, columns: 20 })
  const stream = new PassThrough()
  const terminal = new Terminal(
    { stdin: stream, stdout: stream, stderr, env: {}, cwd: '/', signal: new AbortController().signal },
    { json, configPath: undefined },
  )
  return { terminal, printed: () => String(stderr.read() ?? '') }
}

describe('progress', () => {
  test('on a terminal one line is rewritten, never wider than the screen, and taken away at the end', () => {
    const { terminal, printed } = terminalWith({ isTTY: true })
    const progress = new Progress(terminal)
    progress.update('12345 of 20000 records, 3 minutes left')
    progress.update('a moment later')
    expect(printed()).toBe('\r\u001b[2K12345 of 20000 reco')
    progress.done()
    expect(printed()).toBe('\r\u001b[2K')
    progress.done()
    expect(printed()).toBe('')
  })

  test('a terminal shows more lines than a log, and all of them are taken away', () => {
    const { terminal, printed } = terminalWith({ isTTY: true })
    const progress = new Progress(terminal)
    progress.update('half', ['second', 'a third line that is too wide'])
    expect(printed()).toBe('\r\u001b[2Khalf\nsecond\na third line that i')
    progress.done()
    expect(printed()).toBe('\u001b[2A\r\u001b[J')
  })

  test('elsewhere nothing is printed within the first minute, and with --json never', () => {
    for (const kind of [{ isTTY: false }, { isTTY: true, json: true }]) {
      const { terminal, printed } = terminalWith(kind)
      const progress = new Progress(terminal)
      progress.update('half')
      progress.done()
      expect(printed()).toBe('')
    }
  })
})
