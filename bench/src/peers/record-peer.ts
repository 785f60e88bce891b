/** What every competitor offers to the benchmark of records: small messages under a key that is there already. */

import { expectBytes } from './peer.ts'

/** What all bind to a record, where they can bind anything: three pairs. */
export const recordContext = { table: 'people', column: 'email', id: '4711' }

/** One record, ready to be made and opened again and again. */
export interface RecordOperations {
  readonly encrypt: () => unknown
  readonly decrypt: () => unknown
  /** Bytes of the record, as it would be stored. */
  readonly recordBytes: number
}

export interface RecordPeer {
  /** As printed; the package and what of it is used. */
  readonly name: string
  readonly kind: 'ours' | 'floor' | 'peer'
  /** The key of its row among the bundle sizes. */
  readonly library: string
  /** What is timed where that is not the plain operation. */
  readonly note?: string
  /** Called before each slot, outside the clock. */
  readonly before?: () => void
  /** Checks that what it encrypts comes back before it hands anything out. */
  prepare(plaintext: Uint8Array): Promise<RecordOperations>
}

/** A plaintext that is text, since one of the competitors encrypts only that: `length` letters and digits. */
export function makePlaintext(length: number): Uint8Array {
  const alphabet = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_'
  const random = new Uint8Array(length)
  // The platform gives 64 KiB at once.
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(random.subarray(at, at + 65_536))
  return random.map((byte) => alphabet.charCodeAt(byte % 64))
}

/** Round trip, and twice the same plaintext must not give the same record: else a key or nonce is stuck. */
export async function checkRecord<Made extends Uint8Array | string>(
  name: string,
  plaintext: Uint8Array,
  encrypt: () => Made | Promise<Made>,
  decrypt: (record: Made) => Uint8Array | string | Promise<Uint8Array | string>,
): Promise<Made> {
  const [record, other] = [await encrypt(), await encrypt()]
  const texts = [record, other].map((made) => Buffer.from(made).toString('latin1'))
  if (texts[0] === texts[1]) throw new Error(`${name} made the same record twice`)
  for (const made of [record, other]) {
    const opened = await decrypt(made)
    expectBytes(typeof opened === 'string' ? Buffer.from(opened) : opened, plaintext, `${name} decrypts`)
  }
  return record
}
