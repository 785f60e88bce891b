/** What HPKE binds a wrap to (SPEC §5.2). */

import { concat, utf8 } from '../bytes.ts'
import { canonicalize } from '../format/context.ts'
import type { EncryptionContext } from '../format/context.ts'

const label = utf8('longhold/v1/wrap\0')

/** label ‖ 0x00 ‖ key_id ‖ recipient_id ‖ canonical(key context). */
export function wrapInfo(
  keyId: Uint8Array,
  recipientId: Uint8Array,
  keyContext: EncryptionContext,
): Uint8Array {
  return concat(label, keyId, recipientId, canonicalize(keyContext).bytes)
}
