/** Files of identities protected by a passphrase: the library's, with errors that name the file. */

import { LongholdError } from '@longhold/core'

import { CliError, exit, usage } from './errors.ts'

/** Whether the text claims to be protected. Asked of every key file, so that the library's part is loaded for those alone. */
export function isProtected(text: string): boolean {
  return text.trimStart().startsWith('-----BEGIN LONGHOLD ')
}

/** @returns The protected text, with a newline at its end. Salt and nonce are fresh each time. */
export async function protect(text: string, passphrase: string): Promise<string> {
  const { protectIdentityText } = await import('@longhold/core/passphrase')
  return await protectIdentityText(text, passphrase)
}

/**
 * @param path For messages.
 * @throws CliError with exit code 2 when the text is damaged or asks for too much, and `wrong_passphrase` when it
 * does not open.
 */
export async function unprotect(text: string, passphrase: string, path: string): Promise<string> {
  const { openProtectedIdentityText } = await import('@longhold/core/passphrase')
  try {
    return await openProtectedIdentityText(text, passphrase)
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    const details = { hint: error.hint, cause: error }
    if (error.code !== 'cannot_open') throw usage(`${path}: ${error.message}`, details)
    const message = `${path}: wrong passphrase, or the file was altered`
    throw new CliError('wrong_passphrase', exit.usage, message, details)
  }
}
