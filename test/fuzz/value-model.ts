/** A second opinion on typed values, by SPEC §9. The output is the one spelling of the value. */

import { opened, refused } from './trial.ts'
import type { End } from './trial.ts'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function modelOfValue(bytes: Uint8Array): End {
  if (bytes.length === 0) return refused('no bytes', 'bad_value')
  const payload = Buffer.from(bytes.subarray(1))
  const check = checks[bytes[0] ?? 0]
  if (check === undefined) return refused('unknown type', 'bad_value')
  const spelling = check(payload)
  if (spelling === undefined) return refused(`payload of type ${bytes[0]}`, 'bad_value', true)
  return opened(Buffer.concat([bytes.subarray(0, 1), spelling]))
}

/** By type. `undefined` for what no writer makes. */
const checks: readonly ((payload: Buffer) => Uint8Array | undefined)[] = [
  (payload) => payload,
  (payload) => (textOf(payload) === undefined ? undefined : payload),
  (payload) => {
    const text = textOf(payload)
    try {
      // The one type with several spellings: JSON.stringify has its own.
      return text === undefined ? undefined : Buffer.from(JSON.stringify(JSON.parse(text)))
    } catch {
      return undefined
    }
  },
  (payload) => (payload.equals(Buffer.of(0)) || payload.equals(Buffer.of(1)) ? payload : undefined),
  (payload) => {
    if (payload.length !== 8) return undefined
    const isNaN =
      (payload.readUInt16BE(0) & 0x7ff0) === 0x7ff0 && (payload.readBigUInt64BE() & (2n ** 52n - 1n)) > 0n
    return isNaN && payload.toString('hex') !== '7ff8000000000000' ? undefined : payload
  },
  (payload) => {
    if (payload.length === 0) return undefined
    const [first = 0, second] = payload
    const redundant = second !== undefined && (first === 0 ? second < 128 : first === 255 && second >= 128)
    return redundant ? undefined : payload
  },
  (payload) => {
    if (payload.length !== 8) return undefined
    const ms = payload.readBigUInt64BE() - (1n << 63n)
    return ms <= 8640000000000000n && ms >= -8640000000000000n ? payload : undefined
  },
]

function textOf(payload: Uint8Array): string | undefined {
  try {
    return strict.decode(payload)
  } catch {
    return undefined
  }
}
