import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'

const main = join(import.meta.dirname, '../../packages/cli/src/main.ts')
const recipient = join(import.meta.dirname, 'recipient.txt')

function longhold(cwd: string, argv: readonly string[]) {
  const child = spawn(process.execPath, [main, ...argv], { cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return { child, closed: once(child, 'close'), stderr: () => stderr }
}

describe('a signal to the process', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s while it reads: exit 4, and no file is left',
    async (signal) => {
      const cwd = mkdtempSync(join(tmpdir(), 'longhold-signal-'))
      onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
      const { child, closed, stderr } = longhold(cwd, ['encrypt', '-R', recipient, '-o', 'out.lh'])
      // More than a pipe holds: when all of it is written the program is reading, and it waits for more.
      await new Promise((written) => child.stdin.write(Buffer.alloc(1024 * 1024), written))
      child.kill(signal)
      await closed
      expect(child.exitCode).toBe(4)
      expect(stderr()).toMatch(/^longhold: error: interrupted\nlonghold: hint: /u)
      expect(readdirSync(cwd)).toEqual([])
    },
  )

  test('SIGTERM to a service that is ready: exit 0, and its database can be opened again', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'longhold-signal-'))
    onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
    await longhold(cwd, ['init']).closed
    for (const _ of ['first', 'second']) {
      const { child, closed } = longhold(cwd, ['kms', 'serve', '--listen', '127.0.0.1:0', '--json'])
      const [line] = await once(child.stdout, 'data')
      expect(JSON.parse(String(line)).url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/u)
      child.kill('SIGTERM')
      await closed
      expect(child.exitCode).toBe(0)
    }
  })
})
