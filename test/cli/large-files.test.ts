import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'

import { shell } from './processes.ts'

const main = join(import.meta.dirname, '../../packages/cli/src/main.ts')
const recipient = join(import.meta.dirname, 'recipient.txt')
const printMemory = join(import.meta.dirname, 'print-memory.ts')

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'longhold-large-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Zeros, which take no room on the disk. */
function sparse(path: string, bytes: number): void {
  const file = openSync(path, 'w')
  ftruncateSync(file, bytes)
  closeSync(file)
}

describe('a file of 300 MB', { timeout: 120_000 }, () => {
  test('takes no more memory than 64 MiB over that of a small one', () => {
    const cwd = folder()
    const peakMiB = (...argv: string[]): number => {
      execFileSync(process.execPath, ['--import', printMemory, main, ...argv], {
        cwd,
        env: { ...process.env, PEAK_MEMORY_FILE: join(cwd, 'peak') },
      })
      return Number(readFileSync(join(cwd, 'peak'), 'utf8')) / 1024
    }
    sparse(join(cwd, 'large'), 300_000_000)
    writeFileSync(join(cwd, 'small'), 'small')
    writeFileSync(join(cwd, 'pub'), execFileSync(process.execPath, [main, 'keygen', '-o', 'id'], { cwd }))
    const idle = peakMiB('encrypt', 'small', '-R', 'pub', '-o', 'small.lh')
    expect(idle).toBeGreaterThan(20)
    const limit = idle + 64
    expect(peakMiB('encrypt', 'large', '-R', 'pub', '-o', 'large.lh')).toBeLessThan(limit)
    expect(peakMiB('rewrap', 'large.lh', '-i', 'id', '-R', 'pub', '-R', recipient)).toBeLessThan(limit)
    expect(peakMiB('can-open', 'large.lh', '-i', 'id')).toBeLessThan(limit)
    expect(peakMiB('decrypt', 'large.lh', '-i', 'id', '-o', 'out')).toBeLessThan(limit)
    execFileSync('cmp', ['large', 'out'], { cwd })
  })
})

describe('a file that cannot be finished leaves the old one as it was, and nothing beside it', () => {
  test('no more room: exit 4', async () => {
    const cwd = folder()
    sparse(join(cwd, 'large'), 4_000_000)
    writeFileSync(join(cwd, 'out.lh'), 'old')
    // 1,024 blocks of 512 bytes: the third megabyte does not fit, as on a disk that is full.
    const command = `ulimit -f 1024; exec "${process.execPath}" "${main}" encrypt large -R "${recipient}" -o out.lh -f`
    expect(await shell(command, { cwd, env: {} })).toEqual([
      '! longhold: error: cannot write out.lh: the file system or a limit allows no larger file',
      '! longhold: hint: ulimit -f',
      '[exit 4]',
    ])
    expect(readdirSync(cwd)).toEqual(['large', 'out.lh'])
    expect(readFileSync(join(cwd, 'out.lh'), 'utf8')).toBe('old')
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('%s in the middle: exit 4', async (signal) => {
    const cwd = folder()
    sparse(join(cwd, 'large'), 30_000_000_000)
    writeFileSync(join(cwd, 'out.lh'), 'old')
    const changes = watch(cwd)
    const child = spawn(process.execPath, [main, 'encrypt', 'large', '-R', recipient, '-o', 'out.lh', '-f'], {
      cwd,
    })
    const closed = once(child, 'close')
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    await once(changes, 'change')
    changes.close()
    child.kill(signal)
    await closed
    expect(child.exitCode).toBe(4)
    expect(stderr).toMatch(/^longhold: error: interrupted\nlonghold: hint: /u)
    expect(readdirSync(cwd)).toEqual(['large', 'out.lh'])
    expect(readFileSync(join(cwd, 'out.lh'), 'utf8')).toBe('old')
  })
})
