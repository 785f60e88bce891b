/** Messages of any size through Node's own streams, without the adapters of web streams, which are slow (SPEC §6.4). */

import { Duplex } from 'node:stream'

import type { DecryptOptions, EncryptOptions } from '../envelope/envelope.ts'
import { envelopeOpening, envelopeSealing } from '../envelope/stream.ts'
import type { DataKey, RecordOptions } from '../keys/data-key.ts'
import type { KeyringRecordOptions } from '../keys/keyring-options.ts'
import { keyringOpening, keyringSealing } from '../keys/keyring-stream.ts'
import type { KeyringStreamOptions } from '../keys/keyring-stream.ts'
import { sourceOf } from '../keys/keyring.ts'
import type { Keyring } from '../keys/keyring.ts'
import { MessageOpener, MessageSealer } from '../keys/message-pieces.ts'
import { recordOpening, recordSealing } from '../keys/record-stream.ts'

/**
 * As `encryptStream`, for `pipeline` of `node:stream` (SPEC §5.2, §6.1). Pieces of any size: what a large one becomes is made as
 * it is read. A string that is written is text in the encoding it is written with, UTF-8 if none is named.
 *
 * @throws LongholdError Here for wrong options; the stream fails with what `encrypt` throws.
 */
export function encryptTransform(options: EncryptOptions): Duplex {
  return sealing(new MessageSealer(envelopeSealing(options, 'encryptTransform')))
}

/**
 * As `decryptStream`, for `pipeline` of `node:stream` (SPEC §5.3, §6.4): a chunk is released once its own tag was right, and what was cut off
 * ends with an error after its beginning, never with `end`. Destroyed it forgets the key.
 *
 * @throws LongholdError Here for wrong options; the stream fails with what `decrypt` throws.
 */
export function decryptTransform(options: DecryptOptions): Duplex {
  return opening(new MessageOpener(envelopeOpening(options, 'decryptTransform')))
}

/**
 * As `encryptRecordStream`, for `pipeline` of `node:stream` (SPEC §6.1).
 *
 * @throws LongholdError `bad_input`, `bad_context`.
 */
export function encryptRecordTransform(dataKey: DataKey, options: RecordOptions): Duplex {
  return sealing(new MessageSealer(recordSealing(dataKey, options, 'encryptRecordTransform')))
}

/**
 * As `decryptRecordStream`, for `pipeline` of `node:stream` (SPEC §6.4); what `decryptTransform` says holds here too.
 *
 * @throws LongholdError `bad_input`, `bad_context`; the stream fails with what `DataKey.decrypt` throws.
 */
export function decryptRecordTransform(dataKey: DataKey, options: RecordOptions): Duplex {
  return opening(new MessageOpener(recordOpening(dataKey, options, 'decryptRecordTransform')))
}

/**
 * As `Keyring.encryptStream`, for `pipeline` of `node:stream` (SPEC §6.1).
 *
 * @throws LongholdError what `Keyring.encryptStream` throws.
 */
export function encryptKeyringTransform(
  keyring: Keyring,
  name: string,
  options: KeyringStreamOptions,
): Duplex {
  const how = keyringSealing(sourceOf(keyring), name, options, 'encryptKeyringTransform')
  return sealing(new MessageSealer(how))
}

/**
 * As `Keyring.decryptStream`, for `pipeline` of `node:stream` (SPEC §6.4); what `decryptTransform` says holds here too.
 *
 * @throws LongholdError what `Keyring.decryptStream` throws.
 */
export function decryptKeyringTransform(keyring: Keyring, options: KeyringRecordOptions): Duplex {
  return opening(new MessageOpener(keyringOpening(sourceOf(keyring), options, 'decryptKeyringTransform')))
}

type Done = (error?: Error | null) => void

/** Bytes that were put out and that nobody has read: below this it goes on. */
const readableHighWaterMark = 256 * 1024

function sealing(message: MessageSealer): Duplex {
  const pace = new Pace()
  return new Duplex({
    readableHighWaterMark,
    construct(done) {
      const begun = (beginning: Uint8Array): void => {
        this.push(beginning) // whether or not somebody reads: a stream that is given up now waits for `done`
        done()
      }
      message.begin().then(begun, done)
    },
    write(piece: Uint8Array, _encoding, done) {
      const seal = (): void => pace.putOut(this, () => message.push(piece), done)
      const admitted = attempt(() => ({ wait: message.admit(piece) }), done)
      if (admitted?.wait !== undefined) admitted.wait.then(seal, done)
      else if (admitted !== undefined) seal()
    },
    final(done) {
      pace.putOut(this, () => [message.finish(), null], done)
    },
    read: () => pace.goOn(),
    destroy: endOf(message),
  })
}

function opening(message: MessageOpener): Duplex {
  const pace = new Pace()
  return new Duplex({
    readableHighWaterMark,
    write(piece: Uint8Array, _encoding, done) {
      const open = (sealed: Uint8Array): void => pace.putOut(this, () => message.push(sealed), done)
      if (message.isOpen) open(piece)
      else message.begin(piece).then(open, done)
    },
    final(done) {
      pace.putOut(this, () => [message.finish(), null], done)
    },
    read: () => pace.goOn(),
    destroy: endOf(message),
  })
}

/** Ended, failed or given up: every stream is destroyed at last. */
function endOf(message: MessageSealer | MessageOpener) {
  return (error: Error | null, done: Done): void => {
    message.end()
    done(error)
  }
}

/** Puts out what a piece becomes no faster than it is read: a piece may be larger than all that may wait. */
class Pace {
  #resume: (() => void) | undefined

  /** @param make What to put out, perhaps made on the way; null is the end. */
  putOut(to: Duplex, make: () => Iterable<Uint8Array | null>, done: Done): void {
    const made = attempt(() => make()[Symbol.iterator](), done)
    if (made !== undefined) this.#putNext(to, made, done)
  }

  /** Somebody reads. */
  goOn(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  #putNext(to: Duplex, made: Iterator<Uint8Array | null>, done: Done): void {
    for (;;) {
      const next = attempt(() => made.next(), done)
      if (next === undefined) return
      if (next.done === true) break
      if (to.push(next.value) || next.value === null) continue
      this.#resume = () => this.#putNext(to, made, done)
      return
    }
    done()
  }
}

/** Not around `push` and `done`, which call the code of others. */
function attempt<T>(step: () => T, done: Done): T | undefined {
  try {
    return step()
  } catch (error) {
    done(asError(error))
    return undefined
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('the stream failed', { cause: error })
}
