/** What a body is bound to besides its data key (SPEC §6). */

import { utf8 } from '../bytes.ts'
import type { CanonicalContext } from '../format/context.ts'

/** `data` for raw bytes, `value` for typed values: neither opens as the other. */
export type BodyKind = 'data' | 'value'

const labels: Readonly<Record<BodyKind, Uint8Array>> = {
  data: utf8('longhold/v1/data\0'),
  value: utf8('longhold/v1/value\0'),
}

/** label ‖ 0x00 ‖ key_id ‖ canonical(record context), in parts. */
export function bodyContext(
  kind: BodyKind,
  keyId: Uint8Array,
  recordContext: CanonicalContext,
): Uint8Array[] {
  return [labels[kind], keyId, recordContext.bytes]
}
