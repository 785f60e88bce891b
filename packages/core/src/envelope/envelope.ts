/** Self-contained encryption, the wrapped key in front: `encrypt`, `decrypt` (SPEC §6). */

import { copyBytes } from '../bytes.ts'
import { badInput } from '../errors.ts'
import { decodeEnvelope, decodeRecord, encodeContainer } from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { DataKey, checkPlaintextLength, openBodyOf, sealRecord } from '../keys/data-key.ts'
import type { Identity } from '../keys/identity.ts'
import type { Recipient } from '../keys/recipient.ts'
import { suiteTable } from '../keys/suite.ts'
import type { SuitesOption } from '../keys/suite.ts'
import { openHeader, sealHeader } from '../keys/wrapped-key.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { plaintextLength } from '../primitives/cobblestone.ts'

/** What `encrypt` and `encryptStream` are told. */
export interface EncryptOptions extends SuitesOption {
  /** 1 to 32, no one twice. */
  readonly recipients: readonly Recipient[]
  /** Bound to the wrapped key and to the data; the same must be given to decrypt. */
  readonly context?: ContextInput
  /** By default every envelope gets a data key of its own. */
  readonly dataKey?: DataKey
}

/** What `decrypt`, `decryptStream` and `openEncrypted` are told. */
export interface DecryptOptions extends SuitesOption {
  /** The first stanza addressed to one of them is opened; if that fails nothing else is tried. */
  readonly identities: readonly Identity[]
  /** What was given to `encrypt`. */
  readonly context?: ContextInput
}

/**
 * Encrypts up to 64 MiB for recipients (SPEC §5.2, §6.1).
 *
 * @returns An envelope: for one recipient of the default suite 1,317 bytes, and 16 for each full 16 KiB, more
 * than the plaintext.
 * @throws LongholdError `bad_input`, `bad_context`, `limit_exceeded`; `unavailable` from a recipient that asks a
 * service.
 */
export async function encrypt(
  plaintext: Uint8Array,
  options: EncryptOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  checkOptions(options, ['recipients', 'context', 'dataKey', 'suites'], 'encrypt')
  checkBytes(plaintext, 'encrypt: plaintext')
  checkPlaintextLength(plaintext.length)
  const { recipients, context, dataKey } = options
  if (dataKey !== undefined && !(dataKey instanceof DataKey))
    throw badInput('encrypt: dataKey must be a DataKey')
  const suites = suiteTable(options.suites)
  const bound = canonicalize(context).pairs
  const key = dataKey ?? DataKey.generate()
  try {
    // Sealed before anything is awaited: what callers do with their plaintext or context meanwhile changes nothing.
    const { body } = decodeRecord(sealRecord(key, plaintext, bound))
    const header = await sealHeader(key, recipients, bound, suites)
    return encodeContainer('envelope', header, body)
  } finally {
    if (dataKey === undefined) key.wipe()
  }
}

/**
 * Decrypts an envelope of up to 64 MiB (SPEC §5.3, §6.3); nothing is returned before its last chunk was checked.
 *
 * @throws LongholdError `malformed`, `unsupported`, `not_a_recipient`, `limit_exceeded`, `bad_context`,
 * `unavailable`; `cannot_open` when the key or the context is another, or bytes were altered.
 */
export async function decrypt(
  envelope: Uint8Array,
  options: DecryptOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  checkOptions(options, ['identities', 'context', 'suites'], 'decrypt')
  checkBytes(envelope, 'decrypt: envelope')
  const suites = suiteTable(options.suites)
  checkPlaintextLength(plaintextLength(decodeEnvelope(envelope, suites.stanzaLength).body.length) ?? 0)
  // A copy, once its size is known to be allowed: callers may use their buffers again while an identity is asked.
  const { header, body } = decodeEnvelope(copyBytes(envelope), suites.stanzaLength)
  const bound = canonicalize(options.context).pairs
  const dataKey = await openHeader(header, options.identities, bound, suites)
  try {
    return openBodyOf(dataKey, header.keyId, body, bound)
  } finally {
    dataKey.wipe()
  }
}
