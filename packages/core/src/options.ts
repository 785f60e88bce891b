/** Refuses option names a function does not have: a misspelt security option must not become an omitted one. */

import { isBytes, isShared } from './bytes.ts'
import { badInput } from './errors.ts'

/**
 * @throws LongholdError `bad_input` when `options` has a name outside `known`, is missing, or is no object; and when
 * Object.prototype has a known name, which every object without it would seem to have.
 */
export function checkOptions(options: object, known: readonly string[], where: string): void {
  if (typeof options !== 'object' || options === null) throw badInput(`${where}: options must be an object`)
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      throw badInput(`${where}: unknown option "${name}"`, `known: ${known.join(', ')}`)
  }
  for (const name of known) {
    if (name in Object.prototype)
      throw badInput(
        `${where}: something put "${name}" onto Object.prototype, which would be an option everywhere`,
      )
  }
}

/**
 * @throws LongholdError `bad_input` when `value` is not a Uint8Array, its memory was transferred away or shrunk below it, or
 * other threads may write to it: what they change between the check of a tag and the decryption would pass for authentic.
 */
export function checkBytes(value: unknown, what: string): asserts value is Uint8Array {
  if (!isBytes(value)) throw badInput(`${what} must be a Uint8Array`)
  if (isShared(value)) throw badInput(`${what} must not be in shared memory`, 'copy it first')
  if (value.length > 0) return
  try {
    value.values() // throws without the memory: nothing would be encrypted in place of what was there
  } catch {
    throw badInput(`${what} was transferred to another owner, or cut off`)
  }
}
