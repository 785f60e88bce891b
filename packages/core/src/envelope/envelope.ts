/** Self-contained encryption, the wrapped key in front: `encrypt`, `decrypt` (SPEC §6). */

import { badInput } from '../errors.ts'
import { decodeEnvelope } from '../format/container.ts'
import type { ContextInput } from '../format/context.ts'
import { DataKey, checkPlaintextLength, openBodyOf, sealContainer } from '../keys/data-key.ts'
import type { Identity } from '../keys/identity.ts'
import type { Recipient } from '../keys/recipient.ts'
import { stanzaLength } from '../keys/suite.ts'
import { openHeader, sealHeader } from '../keys/wrapped-key.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { plaintextLength } from '../primitives/cobblestone.ts'

export interface EncryptOptions {
  /** 1 to 32, no one twice. */
  readonly recipients: readonly Recipient[]
  /** Bound to the wrapped key and to the data; the same must be given to decrypt. */
  readonly context?: ContextInput
  /** By default every envelope gets a data key of its own. */
  readonly dataKey?: DataKey
}

export interface DecryptOptions {
  /** The first stanza addressed to one of them is opened; if that fails nothing else is tried. */
  readonly identities: readonly Identity[]
  /** What was given to `encrypt`. */
  readonly context?: ContextInput
}

/**
 * Encrypts up to 64 MiB for recipients.
 *
 * @returns An envelope: for one recipient of the default suite 1,317 bytes, and 16 for each full 16 KiB, more
 * than the plaintext.
 * @throws LongholdError `bad_input`, `bad_context`, `limit_exceeded`; `unavailable` from a recipient that asks a
 * service.
 */
export async function encrypt(plaintext: Uint8Array, options: EncryptOptions): Promise<Uint8Array> {
  checkOptions(options, ['recipients', 'context', 'dataKey'], 'encrypt')
  checkBytes(plaintext, 'encrypt: plaintext')
  checkPlaintextLength(plaintext.length)
  const { recipients, context, dataKey } = options
  if (dataKey !== undefined && !(dataKey instanceof DataKey))
    throw badInput('encrypt: dataKey must be a DataKey')
  const key = dataKey ?? DataKey.generate()
  try {
    const header = await sealHeader(key, recipients, context)
    return sealContainer('envelope', key, header, plaintext, context)
  } finally {
    if (dataKey === undefined) key.wipe()
  }
}

/**
 * Decrypts an envelope of up to 64 MiB; nothing is returned before its last chunk was checked.
 *
 * @throws LongholdError `malformed`, `unsupported`, `not_a_recipient`, `limit_exceeded`, `bad_context`,
 * `unavailable`; `cannot_open` when the key or the context is another, or bytes were altered.
 */
export async function decrypt(envelope: Uint8Array, options: DecryptOptions): Promise<Uint8Array> {
  checkOptions(options, ['identities', 'context'], 'decrypt')
  checkBytes(envelope, 'decrypt: envelope')
  const { header, body } = decodeEnvelope(envelope, stanzaLength)
  checkPlaintextLength(plaintextLength(body.length) ?? 0)
  const dataKey = await openHeader(header, options.identities, options.context)
  try {
    return openBodyOf(dataKey, header.keyId, body, options.context)
  } finally {
    dataKey.wipe()
  }
}
