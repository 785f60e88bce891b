/**
 * Identities protected by a passphrase, as text: what `longhold keygen --passphrase` writes, and `docs/cli.md` describes.
 * AES-256-GCM (NIST SP 800-38D) under a key that Argon2id (RFC 9106) makes of the passphrase.
 *
 * @module @longhold/core/passphrase
 */

import { fromBase64url, fromUtf8, toBase64url, utf8 } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { checkOptions } from '../options.ts'
import { argon2id } from '../primitives/argon2.ts'
import type { Argon2Cost } from '../primitives/argon2.ts'
import { backend } from '../primitives/backend.ts'
import { randomBytes } from '../primitives/random.ts'
import { LocalIdentity } from './identity.ts'
import { parseIdentity } from './key-parsing.ts'
import type { SuitesOption } from './suite.ts'

const begin = '-----BEGIN LONGHOLD PROTECTED IDENTITY-----'
const end = '-----END LONGHOLD PROTECTED IDENTITY-----'
const saltBytes = 16
const nonceBytes = 12
const tagBytes = 16
const lineLength = 64

/** RFC 9106 §4, the second recommended option. */
const writtenCost: Argon2Cost = { memory: 65_536, passes: 3, lanes: 4 }
/** What a text may ask for: 1 GiB, and no more work than 4 GiB filled once. A stranger may have written it. */
const maxMemory = 1024 * 1024
const maxLanes = 16
const maxWork = 4 * maxMemory

/**
 * Protects identities by a passphrase (RFC 9106). Takes some tenths of a second and 64 MiB, without the platform's Argon2
 * some seconds.
 *
 * @param passphrase Not empty. It is as strong as that: whoever has the text can try passphrases.
 * @returns Lines of text, for a file.
 * @throws LongholdError `bad_input` for no identity, or one that was wiped, and for no passphrase.
 */
export async function protectIdentities(
  identities: readonly LocalIdentity[],
  passphrase: string,
): Promise<string> {
  if (!Array.isArray(identities) || identities.length === 0)
    throw badInput('protectIdentities: identities must be a list that is not empty')
  if (!identities.every((identity) => identity instanceof LocalIdentity))
    throw badInput('protectIdentities: one is no LocalIdentity')
  return await protectIdentityText(
    identities.map((identity) => `${identity.exportText()}\n`).join(''),
    passphrase,
  )
}

/**
 * The identities in a protected text (RFC 9106).
 *
 * @param text As `protectIdentities` or `longhold keygen` wrote it; other line ends and space around it are taken.
 * @throws LongholdError what `openProtectedIdentityText` throws; `bad_text` also when it holds no identity, `unsupported`
 * for a suite that is not in use; `bad_key`.
 */
export async function openProtectedIdentities(
  text: string,
  passphrase: string,
  options: SuitesOption = {},
): Promise<LocalIdentity[]> {
  checkOptions(options, ['suites'], 'openProtectedIdentities')
  const plain = await openProtectedIdentityText(text, passphrase)
  // As in a file of the command line: one identity a line, comments and empty lines between them.
  const lines = plain.split(/\r?\n/u).filter((line) => !/^(?:#|\s*$)/u.test(line))
  if (lines.length === 0) throw new LongholdError('bad_text', 'the protected text holds no identity')
  return lines.map((line) => parseIdentity(line.trim(), options))
}

/**
 * Protects the text of an identity file by a passphrase (RFC 9106), comments and all; as `protectIdentities`.
 *
 * @returns Lines of text, for a file.
 * @throws LongholdError `bad_input` for what is no text, and for no passphrase.
 */
export async function protectIdentityText(text: string, passphrase: string): Promise<string> {
  if (typeof text !== 'string' || !text.isWellFormed())
    throw badInput('protectIdentityText: text must be a string without lone surrogates')
  const plaintext = utf8(text)
  const [salt, nonce] = [randomBytes(saltBytes), randomBytes(nonceBytes)]
  const head = headOf(writtenCost, salt, nonce)
  const key = await keyFrom(passphrase, salt, writtenCost)
  try {
    const sealed = new Uint8Array(plaintext.length + tagBytes)
    backend().aes256gcm(key).seal(nonce, plaintext, utf8(head), sealed)
    const lines = toBase64url(sealed).match(new RegExp(`.{1,${lineLength}}`, 'gu')) ?? []
    return `${head}${lines.join('\n')}\n${end}\n`
  } finally {
    key.fill(0)
    plaintext.fill(0)
  }
}

/**
 * The text of an identity file that was protected by a passphrase (RFC 9106).
 *
 * @throws LongholdError `bad_text` when it is none or was damaged; `unsupported` for another version; `limit_exceeded` when it
 * asks for more than 1 GiB of memory, 16 lanes or 4 GiB in all passes, before memory is taken; `cannot_open` for another
 * passphrase, or a text that was altered; `bad_input`.
 */
export async function openProtectedIdentityText(text: string, passphrase: string): Promise<string> {
  if (typeof text !== 'string') throw badInput('a protected identity must be a string')
  const { cost, salt, nonce, sealed } = parse(text)
  const key = await keyFrom(passphrase, salt, cost)
  let plaintext: Uint8Array | undefined
  try {
    // What was read is authenticated in the form it is written in: everything in front of the ciphertext.
    const aead = backend().aes256gcm(key)
    plaintext = aead.open(nonce, sealed, utf8(headOf(cost, salt, nonce)))
    const opened = plaintext && fromUtf8(plaintext)
    if (opened === undefined) throw wrongPassphrase()
    return opened
  } finally {
    key.fill(0)
    plaintext?.fill(0)
  }
}

const passphraseHint =
  'try again; capitals and the layout of the keyboard matter. Should it be lost, another recipient has to rewrap what there is ' +
  'for a new identity'

function wrongPassphrase(): LongholdError {
  return new LongholdError('cannot_open', 'wrong passphrase, or the protected identity was altered', {
    hint: passphraseHint,
  })
}

function headOf({ memory, passes, lanes }: Argon2Cost, salt: Uint8Array, nonce: Uint8Array): string {
  return (
    `${begin}\nversion: 1\nkdf: argon2id memory=${memory} passes=${passes} lanes=${lanes}\n` +
    `salt: ${toBase64url(salt)}\ncipher: aes-256-gcm\nnonce: ${toBase64url(nonce)}\n\n`
  )
}

const form = new RegExp(
  `^${begin}\\nversion: 1\\nkdf: argon2id memory=([1-9]\\d{0,9}) passes=([1-9]\\d{0,9}) lanes=([1-9]\\d{0,9})\\n` +
    `salt: ([\\w-]{22})\\ncipher: aes-256-gcm\\nnonce: ([\\w-]{16})\\n\\n((?:[\\w-]+\\n)+)${end}$`,
  'u',
)

interface Parts {
  readonly cost: Argon2Cost
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
  readonly sealed: Uint8Array
}

function parse(text: string): Parts {
  // Mail and some editors change line ends and what surrounds the lines.
  const normal = text.replaceAll('\r\n', '\n').trim()
  const version = /^.*\nversion: ([^\n]{1,20})\n/u.exec(normal)?.[1]
  if (normal.startsWith(begin) && version !== undefined && version !== '1')
    throw new LongholdError('unsupported', `version ${version} of a protected identity`, {
      hint: 'it was written by a newer release: update this one',
    })
  const [, memory, passes, lanes, salt = '', nonce = '', body = ''] = form.exec(normal) ?? []
  const [saltOf, nonceOf, sealed] = [salt, nonce, body.replaceAll('\n', '')].map(fromBase64url)
  if (saltOf === undefined || nonceOf === undefined || sealed === undefined || sealed.length < tagBytes)
    throw new LongholdError('bad_text', 'not a protected identity, or one that was damaged', {
      hint: 'it must be whole, as it was written: take it from a backup',
    })
  const cost = { memory: Number(memory), passes: Number(passes), lanes: Number(lanes) }
  checkCost(cost)
  return { cost, salt: saltOf, nonce: nonceOf, sealed }
}

/** Before memory is taken. */
function checkCost({ memory, passes, lanes }: Argon2Cost): void {
  const isRight =
    lanes <= maxLanes && memory >= 8 * lanes && memory <= maxMemory && memory * passes <= maxWork
  if (isRight) return
  throw new LongholdError(
    'limit_exceeded',
    `the protected identity asks for Argon2id with memory=${memory} passes=${passes} lanes=${lanes}`,
    {
      hint: `at most ${maxMemory} KiB, ${maxWork} KiB for all passes, ${maxLanes} lanes of at least 8 KiB: who wrote it?`,
    },
  )
}

async function keyFrom(passphrase: string, salt: Uint8Array, cost: Argon2Cost): Promise<Uint8Array> {
  if (typeof passphrase !== 'string' || passphrase === '' || !passphrase.isWellFormed())
    throw badInput('passphrase must be a string that is not empty')
  // The same characters may come as different bytes from another system.
  const message = utf8(passphrase.normalize('NFC'))
  try {
    return await argon2id(message, salt, cost)
  } finally {
    message.fill(0)
  }
}
