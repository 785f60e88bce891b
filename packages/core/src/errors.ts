/** The one error class of the library and its closed list of codes (SPEC §11). */

/**
 * What went wrong (SPEC §11), stable across releases:
 *
 * - `malformed`: syntax, lengths, counts, trailing bytes, duplicates; found before any key is touched
 * - `unsupported`: another version, or no known suite
 * - `not_a_recipient`: known suites, but none of the identities is a recipient
 * - `cannot_open`: anything cryptographic; never says which
 * - `limit_exceeded`: a size or count above its limit
 * - `bad_context`, `bad_key`, `bad_text`, `bad_value`, `bad_input`: the caller's context, key, text form,
 *   value, or any other argument
 * - `unavailable`: the holder of a key could not be asked
 * - `no_data_key`: a record's data key is not in the store of wrapped keys, which never heard of it
 * - `destroyed`: its data key was destroyed on purpose
 */
export type ErrorCode =
  | 'malformed'
  | 'unsupported'
  | 'not_a_recipient'
  | 'cannot_open'
  | 'limit_exceeded'
  | 'bad_context'
  | 'bad_key'
  | 'bad_text'
  | 'bad_value'
  | 'bad_input'
  | 'unavailable'
  | 'no_data_key'
  | 'destroyed'

/** What an error has besides its code and its message. */
export interface LongholdErrorOptions {
  /** What to do next, for people. */
  readonly hint?: string
  /** For operators; never shown to the caller's caller. */
  readonly cause?: unknown
}

/** Every error this library throws on purpose. Switch on `code`; `message` and `hint` are for people. */
export class LongholdError extends Error {
  override readonly name = 'LongholdError'
  readonly code: ErrorCode
  /** What to do next, for people. */
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, { hint, cause }: LongholdErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.hint = hint
  }
}

/**
 * The one answer to everything that depends on a secret: tag, point, key id, MAC, commitment, chunk, missing
 * end. Its text never differs, so that it tells an attacker nothing (SPEC §5.4).
 */
export function cannotOpen(): LongholdError {
  return new LongholdError(
    'cannot_open',
    'cannot open: the key is another, the context is not the one given when encrypting, or bytes were altered or cut off',
  )
}

/** Bytes that break the format, found before any key is touched. */
export function malformed(what: string): LongholdError {
  return new LongholdError('malformed', `malformed: ${what}`)
}

/** A caller's argument that cannot be meant. */
export function badInput(what: string, hint?: string): LongholdError {
  return new LongholdError('bad_input', what, hint === undefined ? {} : { hint })
}
