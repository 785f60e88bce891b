/**
 * Text protected by a passphrase, as text: AES-256-GCM (NIST SP 800-38D) under a key that Argon2id (RFC 9106) makes of
 * the passphrase. docs/cli.md describes the format for who wants to read it without longhold.
 */

import { argon2, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

import { CliError, exit, usage } from './errors.ts'

const begin = '-----BEGIN LONGHOLD PROTECTED IDENTITY-----'
const end = '-----END LONGHOLD PROTECTED IDENTITY-----'
const saltBytes = 16
const nonceBytes = 12
const tagBytes = 16
const lineLength = 64

interface Cost {
  /** KiB. */
  readonly memory: number
  readonly passes: number
  readonly lanes: number
}

/** RFC 9106 §4, the second recommended option. */
const writtenCost: Cost = { memory: 65_536, passes: 3, lanes: 4 }

/** What a file may ask for: 1 GiB, and no more work than 4 GiB filled once. A stranger may have written it. */
const maxMemory = 1024 * 1024
const maxLanes = 16
const maxWork = 4 * maxMemory

/** Whether the text claims to be protected. */
export function isProtected(text: string): boolean {
  return text.trimStart().startsWith('-----BEGIN LONGHOLD ')
}

/** @returns The protected text, with a newline at its end. Salt and nonce are fresh each time. */
export async function protect(text: string, passphrase: string): Promise<string> {
  const salt = randomBytes(saltBytes)
  const nonce = randomBytes(nonceBytes)
  const head = headOf(writtenCost, salt, nonce)
  const key = await keyFrom(passphrase, salt, writtenCost)
  try {
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(head))
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    const lines = sealed.toString('base64url').match(new RegExp(`.{1,${lineLength}}`, 'gu')) ?? []
    return `${head}${lines.join('\n')}\n${end}\n`
  } finally {
    key.fill(0)
  }
}

/**
 * @param path For messages.
 * @throws CliError with exit code 2 when the text is damaged or asks for too much, and `wrong_passphrase` when it
 * does not open.
 */
export async function unprotect(text: string, passphrase: string, path: string): Promise<string> {
  const { cost, salt, nonce, sealed } = parse(text, path)
  const key = await keyFrom(passphrase, salt, cost)
  try {
    const at = sealed.length - tagBytes
    // What was read is authenticated in the form it is written in: everything in front of the ciphertext.
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
    decipher.setAAD(Buffer.from(headOf(cost, salt, nonce))).setAuthTag(sealed.subarray(at))
    const opened = [decipher.update(sealed.subarray(0, at)), decipher.final()]
    const plain = Buffer.concat(opened)
    for (const part of opened) part.fill(0)
    const result = plain.toString('utf8')
    plain.fill(0)
    return result
  } catch (error) {
    throw new CliError('wrong_passphrase', exit.usage, `${path}: wrong passphrase, or the file was altered`, {
      hint: 'try again; capitals and the layout of the keyboard matter',
      cause: error,
    })
  } finally {
    key.fill(0)
  }
}

function headOf({ memory, passes, lanes }: Cost, salt: Uint8Array, nonce: Uint8Array): string {
  const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  return (
    `${begin}\nversion: 1\nkdf: argon2id memory=${memory} passes=${passes} lanes=${lanes}\n` +
    `salt: ${base64url(salt)}\ncipher: aes-256-gcm\nnonce: ${base64url(nonce)}\n\n`
  )
}

const form = new RegExp(
  `^${begin}\\nversion: 1\\nkdf: argon2id memory=([1-9]\\d{0,9}) passes=([1-9]\\d{0,9}) lanes=([1-9]\\d{0,9})\\n` +
    `salt: ([\\w-]{22})\\ncipher: aes-256-gcm\\nnonce: ([\\w-]{16})\\n\\n((?:[\\w-]+\\n)+)${end}$`,
  'u',
)

interface Parts {
  readonly cost: Cost
  readonly salt: Buffer
  readonly nonce: Buffer
  readonly sealed: Buffer
}

function parse(text: string, path: string): Parts {
  // Mail and some editors change line ends and what surrounds the lines.
  const normal = text.replaceAll('\r\n', '\n').trim()
  const version = /^.*\nversion: ([^\n]{1,20})\n/u.exec(normal)?.[1]
  if (version !== undefined && version !== '1') {
    throw usage(`${path} is protected in version ${version}, which this longhold does not know`, {
      hint: 'a newer one may',
    })
  }
  const [, memory, passes, lanes, salt = '', nonce = '', body = ''] = form.exec(normal) ?? []
  const sealed = Buffer.from(body.replaceAll('\n', ''), 'base64url')
  if (memory === undefined || sealed.length < tagBytes) {
    throw usage(`${path} is a protected identity that was damaged`, {
      hint: 'it must be whole, as keygen wrote it: take it from a backup',
    })
  }
  const cost = { memory: Number(memory), passes: Number(passes), lanes: Number(lanes) }
  checkCost(cost, path)
  return { cost, salt: Buffer.from(salt, 'base64url'), nonce: Buffer.from(nonce, 'base64url'), sealed }
}

/** Before memory is taken. */
function checkCost({ memory, passes, lanes }: Cost, path: string): void {
  const isRight =
    lanes <= maxLanes && memory >= 8 * lanes && memory <= maxMemory && memory * passes <= maxWork
  if (isRight) return
  throw usage(`${path} asks for Argon2id with memory=${memory} passes=${passes} lanes=${lanes}`, {
    hint: `at most ${maxMemory} KiB, ${maxWork} KiB for all passes, ${maxLanes} lanes of at least 8 KiB: who wrote it?`,
  })
}

async function keyFrom(
  passphrase: string,
  salt: Uint8Array,
  { memory, passes, lanes }: Cost,
): Promise<Buffer> {
  // The same characters may come as different bytes from another system.
  const message = Buffer.from(passphrase.normalize('NFC'))
  const parameters = { message, nonce: salt, memory, passes, parallelism: lanes, tagLength: 32 }
  try {
    return await promisify(argon2)('argon2id', parameters)
  } finally {
    message.fill(0)
  }
}
