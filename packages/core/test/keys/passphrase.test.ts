import { describe, expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { defaultSuite, generateIdentity } from '../../src/index.ts'
import {
  openProtectedIdentities,
  openProtectedIdentityText,
  protectIdentities,
  protectIdentityText,
} from '../../src/keys/passphrase.ts'
import { mlKem1024P384Suite } from '../../src/keys/suite-mlkem1024-p384.ts'
import { argon2id } from '../../src/primitives/argon2.ts'
import { codeOf, refusalOf } from '../refusals.ts'
import { filled, identityOf } from '../samples.ts'

const alice = identityOf(1)
const words = 'correct horse battery staple'
const text = await protectIdentities([alice], words)
const lines = text.split('\n')
/** The text with a line in place of one. */
const withLine = (at: number, line: string) => lines.with(at, line).join('\n')

describe('protected identities', () => {
  test('open with the passphrase, as they were', async () => {
    const strong = generateIdentity({ suite: mlKem1024P384Suite })
    const both = await protectIdentities([alice, strong], words)
    const suites = [defaultSuite, mlKem1024P384Suite]
    const opened = await openProtectedIdentities(both, words, { suites })
    expect(opened.map((one) => one.exportText())).toEqual([alice.exportText(), strong.exportText()])
    expect(await codeOf(() => openProtectedIdentities(both, words))).toBe('unsupported')
  })

  test('are text in the form of docs/cli.md, which shows nothing of them', () => {
    expect(text).toMatch(
      /^-----BEGIN LONGHOLD PROTECTED IDENTITY-----\nversion: 1\nkdf: argon2id memory=65536 passes=3 lanes=4\nsalt: [\w-]{22}\ncipher: aes-256-gcm\nnonce: [\w-]{16}\n\n(?:[\w-]{64}\n)*[\w-]{1,64}\n-----END LONGHOLD PROTECTED IDENTITY-----\n$/u,
    )
    expect(text).not.toContain(alice.exportText().slice(20, 40))
  })

  test('are other bytes each time', async () => {
    const again = (await protectIdentities([alice], words)).split('\n')
    expect([again[3], again[5], again[7]]).not.toEqual([lines[3], lines[5], lines[7]])
  })

  test.each([
    ['line ends of another system', text.replaceAll('\n', '\r\n')],
    ['space around it', `\n  ${text}\n\n`],
    ['no line end at its end', text.trimEnd()],
  ])('open with %s', async (_, changed) => {
    expect(await openProtectedIdentities(changed, words)).toHaveLength(1)
  })

  test('open with a passphrase whose characters were composed otherwise', async () => {
    const composed = await protectIdentities([alice], 'gr\u00fc\u00dfe')
    expect(await openProtectedIdentities(composed, 'gru\u0308\u00dfe')).toHaveLength(1)
  })

  test('do not open with another passphrase, nor when anything was altered', async () => {
    const changed = (line: string | undefined) =>
      (line ?? '').replace(/.$/u, (last) => (last === 'A' ? 'Q' : 'A'))
    const attempts: [string, string][] = [
      [text, `${words} `],
      [text, 'Correct horse battery staple'],
      [withLine(2, 'kdf: argon2id memory=65536 passes=2 lanes=4'), words],
      [withLine(3, changed(lines[3])), words],
      [withLine(5, changed(lines[5])), words],
      [
        withLine(
          7,
          (lines[7] ?? '').replace(/^./u, (first) => (first === 'A' ? 'Q' : 'A')),
        ),
        words,
      ],
    ]
    for (const [altered, passphrase] of attempts)
      expect(await codeOf(() => openProtectedIdentities(altered, passphrase))).toBe('cannot_open')
  })

  test('say what to do next when they do not open', async () => {
    const refusal = await refusalOf(() => openProtectedIdentities(text, 'another'))
    expect(refusal.message).toBe('wrong passphrase, or the protected identity was altered')
    expect(refusal.hint).toMatch(/try again.*rewrap/u)
  })

  test('may be the text of a whole file, comments and all', async () => {
    const file = `# created: today, Gr\u00fc\u00dfe\n${alice.exportText()}\n`
    const guarded = await protectIdentityText(file, words)
    expect(await openProtectedIdentityText(guarded, words)).toBe(file)
    expect(await openProtectedIdentities(guarded, words)).toHaveLength(1)
    expect(await openProtectedIdentityText(text, words)).toBe(`${alice.exportText()}\n`)
    expect(await codeOf(() => protectIdentityText('\ud800', words))).toBe('bad_input')
    expect(await codeOf(() => protectIdentityText(7 as never, words))).toBe('bad_input')
    const nobody = await protectIdentityText('# nothing\n', words)
    expect(await codeOf(() => openProtectedIdentities(nobody, words))).toBe('bad_text')
  })

  test.each([
    ['another version', withLine(1, 'version: 2'), 'unsupported'],
    ['something else', 'LONGHOLD-IDENTITY-1-abc', 'bad_text'],
    ['nothing', '', 'bad_text'],
    ['no end', lines.slice(0, -2).join('\n'), 'bad_text'],
    ['a body of another alphabet', withLine(7, 'AAAA+AAA'), 'bad_text'],
    [
      'a body too short for its tag',
      [...lines.slice(0, 7), 'AAAA', ...lines.slice(-2)].join('\n'),
      'bad_text',
    ],
    ['unused bits that are set', withLine(3, `salt: ${'A'.repeat(21)}B`), 'bad_text'],
    ['another cipher', withLine(4, 'cipher: aes-128-gcm'), 'bad_text'],
    ['more memory', withLine(2, 'kdf: argon2id memory=1048577 passes=1 lanes=1'), 'limit_exceeded'],
    ['more work', withLine(2, 'kdf: argon2id memory=1048576 passes=5 lanes=1'), 'limit_exceeded'],
    ['more lanes', withLine(2, 'kdf: argon2id memory=65536 passes=1 lanes=17'), 'limit_exceeded'],
    ['lanes without memory', withLine(2, 'kdf: argon2id memory=31 passes=1 lanes=4'), 'limit_exceeded'],
    ['endless passes', withLine(2, 'kdf: argon2id memory=8 passes=9999999999 lanes=1'), 'limit_exceeded'],
  ])('with %s are refused before anything is computed', async (_, changed, code) => {
    const refusal = await refusalOf(() => openProtectedIdentities(changed, words))
    expect(refusal.code).toBe(code)
    expect(refusal.message).not.toContain(words)
  })

  test.each([
    ['no passphrase', [[alice], '']],
    ['no text for a passphrase', [[alice], 7]],
    ['a lone surrogate', [[alice], 'a\ud800']],
    ['no identity', [[], words]],
    ['a recipient', [[alice.recipient], words]],
    ['no list', [alice, words]],
    ['nothing', []],
  ])('%s is refused', async (_, args) => {
    expect(await codeOf(() => protectIdentities(...(args as [never, never])))).toBe('bad_input')
  })

  test('wrong arguments of opening are refused', async () => {
    expect(await codeOf(() => openProtectedIdentities(7 as never, words))).toBe('bad_input')
    expect(await codeOf(() => openProtectedIdentities(text, ''))).toBe('bad_input')
    expect(await codeOf(() => openProtectedIdentities(text, words, { suite: [] } as object))).toBe(
      'bad_input',
    )
    const wiped = identityOf(2)
    wiped.wipe()
    expect(await codeOf(() => protectIdentities([wiped], words))).toBe('bad_input')
  })
})

describe('Argon2id', () => {
  const small = { memory: 64, passes: 2, lanes: 4 }

  test('is the same on both backends', async () => {
    for (const cost of [
      small,
      { memory: 1024, passes: 1, lanes: 1 },
      { memory: 128, passes: 3, lanes: 16 },
    ]) {
      const [a, b] = await Promise.all(
        (['native', 'noble'] as const).map((which) => argon2id(filled(1, 11), filled(2, 16), cost, which)),
      )
      expect(toHex(a ?? filled(0))).toBe(toHex(b ?? filled(1)))
    }
  })

  // test.c of the reference implementation:
  // argon2id, version 0x13, t=2, m=256 KiB, p=2, "password", "somesalt".
  test('is that of the reference implementation', async () => {
    const encoder = new TextEncoder()
    const cost = { memory: 256, passes: 2, lanes: 2 }
    for (const which of ['native', 'noble'] as const) {
      const key = await argon2id(encoder.encode('password'), encoder.encode('somesalt'), cost, which)
      expect(toHex(key)).toBe('6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037')
    }
  })
})
