import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'

const main = join(import.meta.dirname, '../../packages/cli/src/main.ts')
const longhold = `"${process.execPath}" "${main}"`

// Gives a command a terminal of its own. Part of util-linux; elsewhere it takes other flags.
const script = '/usr/bin/script'

interface Shown {
  readonly code: number | null
  readonly screen: string
}

/** Runs a command on a terminal and types an answer whenever it asks: a line that ends with `: `. */
async function onTerminal(cwd: string, command: string, answers: readonly string[]): Promise<Shown> {
  const child = spawn(script, ['-qec', command, '/dev/null'], { cwd, stdio: ['pipe', 'pipe', 'inherit'] })
  const left = [...answers]
  let screen = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text
    if (screen.endsWith(': ')) child.stdin.write(left.shift() ?? '\u0003')
  })
  await once(child, 'close')
  return { code: child.exitCode, screen }
}

describe('on a real terminal', () => {
  beforeEach(({ skip }) => {
    skip(process.platform !== 'linux' || !existsSync(script), 'needs script of util-linux to make a terminal')
  })

  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), 'longhold-tty-'))
    onTestFinished(() => rmSync(path, { recursive: true, force: true }))
    return path
  }

  test('a passphrase is asked for and does not show, also when the data comes through a pipe', async () => {
    const cwd = folder()
    const made = await onTerminal(cwd, `${longhold} keygen -p -o id > pub`, ['swordfish\r', 'swordfish\r'])
    expect(made).toEqual({ code: 0, screen: 'New passphrase: \r\nThe same again: \r\n' })
    expect(readFileSync(join(cwd, 'id'), 'utf8')).toMatch(/^-----BEGIN LONGHOLD PROTECTED IDENTITY-----\n/u)

    writeFileSync(join(cwd, 'data'), 'hello')
    execFileSync(process.execPath, [main, 'encrypt', 'data', '-R', 'pub', '-o', 'data.lh'], { cwd })
    const read = await onTerminal(cwd, `cat data.lh | ${longhold} decrypt -i id > out`, ['swordfish\r'])
    expect(read).toEqual({ code: 0, screen: 'Passphrase of id: \r\n' })
    expect(readFileSync(join(cwd, 'out'), 'utf8')).toBe('hello')

    const wrong = await onTerminal(cwd, `${longhold} decrypt data.lh -i id -o out2`, ['sailfish\r'])
    expect(wrong.code).toBe(2)
    expect(wrong.screen).toContain('longhold: error: id: wrong passphrase, or the file was altered')
    expect(wrong.screen).not.toContain('sailfish')
  })

  test('Ctrl-C while it asks is exit 4, and the terminal is as it was', async () => {
    const cwd = folder()
    const command = `stty -a > before; ${longhold} keygen -p -o id; echo "exit $?"; stty -a | cmp - before`
    const { code, screen } = await onTerminal(cwd, command, ['abc\u0003'])
    expect(code).toBe(0)
    expect(screen).toContain('longhold: error: interrupted')
    expect(screen).toContain('exit 4')
    expect(existsSync(join(cwd, 'id'))).toBe(false)
  })
})

test('without a terminal it says what to do', async () => {
  // A session of its own has no terminal, whatever the tests run on.
  const child = spawn(process.execPath, [main, 'keygen', '-p'], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  await once(child, 'close')
  expect(child.exitCode).toBe(2)
  expect(stderr).toContain('a passphrase is needed, and there is no terminal to ask for it')
})
