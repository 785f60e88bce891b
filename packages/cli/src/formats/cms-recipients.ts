/** Which private key opens which wrapped key of a message: nothing is tried where nothing would tell a wrong one. */

import type { RsaWrapping } from './cms-algorithms.ts'
import { isNamed, recipientName } from './cms-certificate.ts'
import type { CmsMessage, KeyTransport, RecipientId } from './cms-message.ts'
import { LegacyError } from './legacy-format.ts'
import type { PrivateKey, PrivateKeys } from './legacy-format.ts'

/** One private key for one wrapped key. */
interface Attempt {
  readonly key: PrivateKey
  readonly wrapping: RsaWrapping
  readonly encryptedKey: Uint8Array
}

/**
 * Data keys in the order in which they are to be tried, the caller's to wipe. A wrong private key shows itself with OAEP;
 * with RSAES-PKCS1-v1_5 it yields another data key.
 *
 * @param dataKeyBytes Others are left out.
 * @param telling What tells a wrong data key: `retry` the body, which can be read again for the next one;
 *   `end` the body, at its end; `nothing`. With the latter two the first data key is the only one.
 * @throws LegacyError `unsupported`, `no_private_key`, `unauthenticated`; once the last one failed `cannot_open` is the
 *   caller's.
 */
export function* unwrapDataKeys(
  message: Pick<CmsMessage, 'recipients' | 'otherRecipients'>,
  keys: PrivateKeys,
  dataKeyBytes: number,
  telling: 'retry' | 'end' | 'nothing',
): Generator<Uint8Array, void, void> {
  for (const { key, wrapping, encryptedKey } of attempts(message, keys, telling)) {
    const dataKey =
      wrapping.oaep === undefined
        ? key.unwrapPkcs1(encryptedKey)
        : key.unwrapOaep(encryptedKey, wrapping.oaep)
    if (dataKey?.length === dataKeyBytes) {
      yield dataKey
      if (telling !== 'retry') return
    } else dataKey?.fill(0)
  }
}

function attempts(
  { recipients, otherRecipients }: Pick<CmsMessage, 'recipients' | 'otherRecipients'>,
  keys: PrivateKeys,
  telling: 'retry' | 'end' | 'nothing',
): Attempt[] {
  const readable = recipients.flatMap(({ id, wrapping, encryptedKey }) =>
    'error' in wrapping ? [] : [{ id, wrapping, encryptedKey }],
  )
  if (readable.length === 0) throw notRead(recipients, otherRecipients)
  const telltale: Attempt[] = []
  const silent: Attempt[] = []
  let isAmbiguous = false
  for (const { id, wrapping, encryptedKey } of readable) {
    const { found, areNamed } = meantKeys(keys, id, encryptedKey.length)
    const made = found.map((key) => ({ key, wrapping, encryptedKey }))
    if (wrapping.oaep !== undefined || telling === 'retry') telltale.push(...made)
    else if (areNamed && made.length === 1) {
      // Certain, and the only one that is needed.
      return [...telltale, ...made]
    } else {
      isAmbiguous ||= areNamed
      silent.push(...made)
    }
  }
  if (silent.length === 0) {
    if (telltale.length > 0) return telltale
    throw new LegacyError('no_private_key', 'no private key is meant by its recipients')
  }
  // One key that nothing speaks against, for the one wrapped key there is; of a body that tells at its end, any one.
  const [only] = silent
  if (silent.length === 1 && only !== undefined && !isAmbiguous) {
    if (telling === 'end' || (readable.length === 1 && !speaksAgainst(only.key, readable[0]?.id))) {
      return [...telltale, only]
    }
    if (telltale.length > 0) return telltale
    throw new LegacyError('no_private_key', 'the private key has no certificate that its recipients name')
  }
  if (telltale.length > 0) return telltale
  throw new LegacyError(
    'unauthenticated',
    'several private keys could be meant, and nothing would tell a wrong one: key-ids or certificates say which',
  )
}

/** A subject key identifier is nearly always made of the key, and a key with certificates is named by one of these. */
function speaksAgainst(key: PrivateKey, id: RecipientId | undefined): boolean {
  return id?.kind === 'subject-key' || key.certificates.length > 0
}

/**
 * The keys that a recipient may mean. Named: somebody said so, or certificate or key itself fit. Not named: nothing fits,
 * which is so with bare keys, and with certificates that were renewed.
 */
function meantKeys(
  keys: PrivateKeys,
  id: RecipientId,
  wrappedBytes: number,
): { found: readonly PrivateKey[]; areNamed: boolean } {
  const fits = ({ modulusBytes }: PrivateKey): boolean => modulusBytes === wrappedBytes
  const candidates = keys.candidates(recipientName(id))
  const unsaid = keys.candidates(undefined)
  const isSaid = candidates.length !== unsaid.length || candidates.some((key) => !unsaid.includes(key))
  const fitting = distinct(candidates.filter(fits))
  if (isSaid) return { found: fitting, areNamed: true }
  const named = fitting.filter((key) => isNamed(key, id))
  return named.length > 0 ? { found: named, areNamed: true } : { found: fitting, areNamed: false }
}

/** The same key may have been given twice. */
function distinct(keys: readonly PrivateKey[]): readonly PrivateKey[] {
  if (keys.length < 2) return keys
  return [...new Map(keys.map((key) => [Buffer.from(key.publicKey).toString('hex'), key])).values()]
}

function notRead(recipients: readonly KeyTransport[], others: readonly string[]): LegacyError {
  const [first] = recipients
  if (first !== undefined && 'error' in first.wrapping) return first.wrapping.error
  if (others.length === 0) return new LegacyError('malformed', 'it has no recipient')
  return new LegacyError('unsupported', `a recipient by ${others[0] ?? 'unknown'} is not read, only RSA keys`)
}
