/** The demo as a newcomer runs it, with fewer letters. */

import { execFile } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { compactDecrypt } from 'jose'
import { expect, test } from 'vitest'

import { letterText, revisionOf } from '../src/letters.ts'
import { asJavaColumns, asJwe } from '../src/old-application.ts'

const main = join(import.meta.dirname, '../src/main.ts')

test('it migrates, is killed, goes on, rotates, reads, and loses nothing', async () => {
  // A temporary directory of its own shows what it leaves behind.
  const temporary = mkdtempSync(join(tmpdir(), 'longhold-demo-test-'))
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [main, '--letters', '4000', '--updates-per-second', '300'],
      {
        env: { ...process.env, TMPDIR: temporary },
      },
    )
    expect(stdout).toMatch(/killed with SIGKILL/)
    expect(stdout).toMatch(/\nrecords +4,000\n/)
    expect(stdout).toMatch(/\nnot opened +0\n/)
    expect(stdout).toMatch(/\nlost +0\n/)
    expect(stdout).toMatch(/letter 1 posing as letter 2: cannot open/)
    expect(readdirSync(temporary)).toEqual([])
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}, 120_000)

test('a letter that is not what it should be counts as lost', () => {
  expect(revisionOf(7, letterText(7, 3))).toBe(3)
  expect(revisionOf(7, letterText(8, 3))).toBeUndefined()
  expect(revisionOf(7, '')).toBeUndefined()
})

test('the old application writes what jose opens, and two columns beside the body', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { body } = await asJwe('a letter', publicKey)
  const { plaintext } = await compactDecrypt(
    body,
    createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  )
  expect(new TextDecoder().decode(plaintext)).toBe('a letter')
  const java = asJavaColumns('a letter', publicKey)
  expect(Buffer.from(java.wrapped_key ?? '', 'base64')).toHaveLength(256)
  expect(Buffer.from(java.iv ?? '', 'base64')).toHaveLength(12)
})
