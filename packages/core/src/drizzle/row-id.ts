/** The `id` of a record context, as `longhold reencrypt` writes it too. */

import { toHex } from '../bytes.ts'
import { badInput } from '../errors.ts'

/**
 * Decimal for whole numbers, the text itself, lower case for UUIDs, hexadecimal of bytes; several columns as a JSON array
 * of those.
 *
 * @throws LongholdError `bad_input` for what has no such form; never with the value.
 */
export function rowIdText(
  parts: readonly { readonly key: string; readonly value: unknown; readonly isUuid: boolean }[],
): string {
  const forms = parts.map(({ key, value, isUuid }) => {
    const form = formOf(value)
    if (form === undefined) {
      throw badInput(
        value === undefined || value === null
          ? `the row has no ${key}, to which its encrypted values are bound`
          : `${key} is no whole number, text or bytes that a row could be named by`,
        value === undefined
          ? 'select it too; where the database makes it, take ids that the application makes, or insert first and update then'
          : undefined,
      )
    }
    return isUuid ? form.toLowerCase() : form
  })
  const [only] = forms
  return forms.length === 1 && only !== undefined ? only : JSON.stringify(forms)
}

function formOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.isWellFormed() ? value : undefined
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined
  return value instanceof Uint8Array ? toHex(value) : undefined
}
