/** The keys in a bundle. */

import { fromBase64url, toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import { parseRecipient } from '../keys/key-parsing.ts'
import type { PublicKeyRecipient } from '../keys/recipient.ts'
import type { SuitesOption } from '../keys/suite.ts'
import type { KmsClient } from './client.ts'
import { strangeAnswer } from './problems.ts'
import type { PublicKeyBundle } from './wire.ts'

/** @throws LongholdError `unsupported` when it is of none of the suites, `unavailable` for what is no bundle. */
export function recipientOf(
  client: KmsClient,
  bundle: PublicKeyBundle,
  options: SuitesOption,
): PublicKeyRecipient {
  let recipient: PublicKeyRecipient
  try {
    recipient = parseRecipient(bundle.recipient, options)
  } catch (error) {
    if (!(error instanceof LongholdError) || error.code !== 'unsupported') throw strangeAnswer(client.url)
    const hint = 'name the suites to be used in the option "suites"'
    throw new LongholdError('unsupported', `key ${bundle.key} is ${error.message}`, { hint })
  }
  const id = toHex(recipient.recipientId)
  if (!recipientIdsOf(client, bundle).some((one) => toHex(one) === id)) throw strangeAnswer(client.url)
  return recipient
}

/** 16 bytes each. */
export function recipientIdsOf(client: KmsClient, { recipient_ids: texts }: PublicKeyBundle): Uint8Array[] {
  if (!Array.isArray(texts)) throw strangeAnswer(client.url)
  return texts.map((text) => {
    const id = fromBase64url(text)
    if (id?.length !== 16) throw strangeAnswer(client.url)
    return id
  })
}
