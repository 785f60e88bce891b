import { describe, expect, test } from 'vitest'

import { concat, toBase64url, u16, utf8 } from '../../src/bytes.ts'
import { generateIdentity, parseIdentity, parseRecipient } from '../../src/index.ts'
import { mlKem1024P384Suite } from '../../src/keys/suite-mlkem1024-p384.ts'
import { backend } from '../../src/primitives/backend.ts'
import { describeBackends } from '../backends.ts'
import { refusalOf, syncCodeOf } from '../refusals.ts'
import { changed, filled, identityOf } from '../samples.ts'

const prefixes = { recipient: 'lhrecipient1-', identity: 'LONGHOLD-IDENTITY-1-' }
type What = keyof typeof prefixes
const whats = Object.keys(prefixes) as What[] // its keys are these
const parsers = { recipient: parseRecipient, identity: parseIdentity }

const seed = Uint8Array.from({ length: 32 }, (_, i) => 3 * i + 1)
const identity = identityOf(7)
const texts = { recipient: identity.recipient.toString(), identity: identity.exportText() }
const keys = { recipient: identity.recipient.publicKey, identity: filled(7) }

/** A text with a right check, whatever it holds. */
function textOf(what: What, bytes: Uint8Array, prefix = prefixes[what]): string {
  const check = backend()
    .sha256(concat(utf8(prefix), bytes))
    .subarray(0, 4)
  return prefix + toBase64url(concat(bytes, check))
}
const checked = (what: What, kemId: number, key: Uint8Array, prefix = prefixes[what]) =>
  textOf(what, concat(u16(kemId), key), prefix)
const otherCase = (text: string) => (text.startsWith('l') ? text.toUpperCase() : text.toLowerCase())
const codeOfText = (what: What, text: string) => syncCodeOf(() => parsers[what](text))

describeBackends(() => {
  test('an identity and its recipient come back from their texts', () => {
    const parsed = parseIdentity(texts.identity)
    parsed.useSeed((bytes) => expect([...bytes]).toEqual([...filled(7)]))
    expect(parsed.exportText()).toBe(texts.identity)
    expect(parsed.recipient.toString()).toBe(texts.recipient)
    const recipient = parseRecipient(texts.recipient)
    expect(recipient.publicKey).toEqual(identity.recipient.publicKey)
    expect(recipient.recipientId).toEqual(identity.recipientId)
    expect(recipient.toString()).toBe(texts.recipient)
  })
})

test('the texts are those of SPEC §7', () => {
  expect(texts.recipient).toMatch(/^lhrecipient1-[\w-]{1630}$/)
  expect(texts.identity).toMatch(/^LONGHOLD-IDENTITY-1-[\w-]{51}$/)
  for (const what of whats) expect(texts[what]).toBe(checked(what, 0x647a, keys[what]))
})

describe.each(whats)('refused as the text of a key: %s', (what) => {
  const text = texts[what]
  const other = what === 'recipient' ? 'identity' : 'recipient'

  test.each([
    ['nothing', ''],
    ['the prefix alone', prefixes[what]],
    ['another prefix', `x${text}`],
    ['the prefix in the other case', otherCase(prefixes[what]) + text.slice(prefixes[what].length)],
    ['the prefix of the next version', text.replace(/1-/, '2-')],
    ['the other kind of key', texts[other]],
    ['the other prefix before this key', prefixes[other] + text.slice(prefixes[what].length)],
    ['a space in front', ` ${text}`],
    ['a newline at the end', `${text}\n`],
    ['a carriage return and newline', `${text}\r\n`],
    ['padding', `${text}=`],
    ['the other alphabet', `${text.slice(0, 30)}+/${text.slice(32)}`],
    ['a text cut by one character', text.slice(0, -1)],
    ['a text cut by four', text.slice(0, -4)],
    ['a text and a half', text + text.slice(prefixes[what].length, -7)],
    ['a right check of nothing', textOf(what, new Uint8Array())],
    ['a right check of half a KEM id', textOf(what, filled(0x64, 1))],
    ['five bytes', prefixes[what] + toBase64url(filled(1, 5))],
    ['a key of one byte less', checked(what, 0x647a, keys[what].subarray(1))],
    ['a key of one byte more', checked(what, 0x647a, concat(keys[what], filled(0, 1)))],
    [
      'a check made for the other prefix',
      prefixes[what] + checked(what, 0x647a, keys[what], prefixes[other]).slice(prefixes[other].length),
    ],
    ['no key at all', checked(what, 0x647a, new Uint8Array())],
  ])('%s', (_, wrong) => {
    expect(codeOfText(what, wrong)).toBe('bad_text')
  })

  test('every change of one character', () => {
    const codes = new Set<string>()
    for (let at = 0; at < text.length; at += what === 'recipient' ? 13 : 1) {
      const digit = text[at] === 'A' ? 'B' : 'A'
      codes.add(codeOfText(what, text.slice(0, at) + digit + text.slice(at + 1)))
      codes.add(codeOfText(what, `${text.slice(0, at)} ${text.slice(at)}`))
    }
    expect([...codes]).toEqual(['bad_text'])
  })

  test.each([0x0000, 0x0020, 0x7777, 0xffff])('KEM 0x%s with a right check is unsupported', (kemId) => {
    expect(codeOfText(what, checked(what, kemId, keys[what]))).toBe('unsupported')
    expect(codeOfText(what, checked(what, kemId, new Uint8Array()))).toBe('unsupported')
  })

  test.each([undefined, null, 7, utf8(text), { text }])('what is no string', (wrong) => {
    expect(codeOfText(what, wrong as never)).toBe('bad_input')
  })
})

test('a recipient text with a right check and a public key that fails its checks is bad_key', () => {
  const unreduced = changed(keys.recipient, 0, 0xff, 0xff)
  const lowOrder = changed(keys.recipient, 1184, ...filled(0))
  expect(codeOfText('recipient', checked('recipient', 0x647a, unreduced))).toBe('bad_key')
  expect(codeOfText('recipient', checked('recipient', 0x647a, lowOrder))).toBe('bad_key')
})

test('no error repeats the text of an identity, or any part of it', async () => {
  const secret = checked('identity', 0x647a, seed)
  const wrongs = [
    secret.slice(0, -1),
    `${secret}\n`,
    ` ${secret}`,
    secret.toLowerCase(),
    secret.replace('-1-', '-2-'),
    `${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`,
    checked('identity', 0x7777, seed),
    checked('identity', 0x647a, seed.subarray(1)),
  ]
  for (const text of wrongs) {
    for (const what of whats) {
      const { message, hint = '', cause, stack = '' } = await refusalOf(() => parsers[what](text))
      const said = `${message} ${hint} ${stack}`.toLowerCase()
      for (let at = 20; at + 6 <= text.length; at++) {
        expect(said).not.toContain(text.slice(at, at + 6).toLowerCase())
      }
      expect(cause).toBeUndefined()
    }
  }
})

test('the hint names the mistake', async () => {
  const hintOf = async (what: What, text: string) => (await refusalOf(() => parsers[what](text))).hint
  expect(await hintOf('recipient', texts.identity)).toMatch(/identity, which is secret/)
  expect(await hintOf('identity', texts.recipient)).toMatch(/recipient; it can only encrypt/)
  expect(await hintOf('recipient', `\n${texts.recipient}`)).toMatch(/white space/)
  expect(await hintOf('identity', `${texts.identity}\n`)).toMatch(/newline at the end of a file/)
  expect(await hintOf('identity', `${texts.identity}!`)).toBeUndefined()
  const strong = generateIdentity({ suite: mlKem1024P384Suite })
  expect(await hintOf('identity', strong.exportText())).toMatch(/option "suites"/)
  expect(await hintOf('recipient', strong.recipient.toString())).toMatch(/option "suites"/)
  expect(await hintOf('identity', '-----BEGIN LONGHOLD PROTECTED IDENTITY-----\n')).toMatch(
    /openProtectedIdentities/,
  )
})
