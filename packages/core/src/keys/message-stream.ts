/** One message sealed, or opened, as a stream in constant memory (SPEC §6.4). */

import { concat } from '../bytes.ts'
import { minBodyBytes } from '../format/container.ts'
import { checkBytes } from '../options.ts'
import { preambleBytes } from '../primitives/cobblestone.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'
import { ChunkOpener, ChunkSealer } from './chunk-stream.ts'

/** Bytes in, bytes out: `source.pipeThrough(…)`, or `Duplex.fromWeb(…)` for Node's streams. */
export type ByteTransform = TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>

/** What stands in front of a body, and the cipher of the body. */
export interface NewMessage {
  readonly head: Uint8Array
  readonly cipher: MessageCipher
}

/** Transformers learn of a cancelled stream by `cancel`, which TypeScript's types do not have yet. */
type CancellableTransformer = Transformer<Uint8Array, Uint8Array<ArrayBuffer>> & { cancel(): void }

/** What a message is sealed with, and who counts what goes into it. */
export interface Sealing {
  readonly begin: () => Promise<NewMessage>
  /** Asked before that many bytes are sealed, and before the message ends. What it throws fails the stream. */
  readonly admit?: (bytes: number) => Promise<void> | undefined
  readonly admitEnd?: () => void
  /** Called once for a message that was begun, however it ended. */
  readonly over?: () => void
}

/** Seals one message. */
export function sealing({ begin, admit, admitEnd, over }: Sealing): ByteTransform {
  let message: (NewMessage & { readonly sealer: ChunkSealer }) | undefined
  let isOver = false

  function end(): void {
    isOver = true
    if (message === undefined) return
    message.cipher.wipe()
    message = undefined
    over?.()
  }
  /** A stream that failed is not told to cancel. */
  function endingOnError<T>(step: () => T): T {
    try {
      return step()
    } catch (error) {
      end()
      throw error
    }
  }

  const transformer: CancellableTransformer = {
    async start(controller) {
      const { head, cipher } = await begin()
      message = { head, cipher, sealer: new ChunkSealer(cipher) }
      if (isOver) end() // it was cancelled meanwhile
      else endingOnError(() => controller.enqueue(concat(head, cipher.preamble)))
    },
    transform(bytes, controller) {
      const seal = () =>
        endingOnError(() => {
          for (const sealed of message?.sealer.push(bytes) ?? []) controller.enqueue(sealed)
        })
      const admitted = endingOnError(() => {
        checkBytes(bytes, 'a piece of the stream')
        return admit?.(bytes.length)
      })
      if (admitted === undefined) return seal()
      return admitted.then(seal, (error: unknown) => {
        end()
        throw error
      })
    },
    flush(controller) {
      endingOnError(() => {
        admitEnd?.()
        if (message !== undefined) controller.enqueue(message.sealer.end())
      })
      end()
    },
    cancel: end,
  }
  return new TransformStream(transformer)
}

/** Bytes that come in pieces, perhaps one by one: room doubles, so that no byte is copied more than twice on average. */
class Collected {
  #room: Uint8Array = new Uint8Array()
  #length = 0

  /** All bytes so far, a view. */
  add(bytes: Uint8Array): Uint8Array {
    const length = this.#length + bytes.length
    if (length > this.#room.length) {
      const room = new Uint8Array(Math.max(length, 2 * this.#room.length))
      room.set(this.#room.subarray(0, this.#length))
      this.#room = room
    }
    this.#room.set(bytes, this.#length)
    this.#length = length
    return this.#room.subarray(0, length)
  }

  /** Views given out stay as they are. */
  forget(): void {
    this.#room = new Uint8Array()
    this.#length = 0
  }
}

/** How a message is found behind what stands in front of it. */
export interface Opening {
  /** Bytes in front of the body, as soon as they can be told. Throws what is wrong with them. */
  readonly measure: (bytes: Uint8Array) => number | undefined
  readonly open: (head: Uint8Array, preamble: Uint8Array) => Promise<MessageCipher>
  readonly tooShort: () => Error
}

/** A stream that failed is not told to cancel. */
function wipingOnError(cipher: MessageCipher | undefined, step: () => void): void {
  try {
    step()
  } catch (error) {
    cipher?.wipe()
    throw error
  }
}

/** Opens one message. */
export function opening({ measure, open, tooShort }: Opening): ByteTransform {
  const beginning = new Collected()
  let cipher: MessageCipher | undefined
  let opener: ChunkOpener | undefined
  let isCancelled = false

  /** Opens the message once the smallest body is there (SPEC §5.3 step 6); gives the bytes behind the preamble. */
  async function begin(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    const collected = beginning.add(bytes)
    const headLength = measure(collected)
    if (headLength === undefined || collected.length < headLength + minBodyBytes) return undefined
    const bodyAt = headLength + preambleBytes
    cipher = await open(collected.subarray(0, headLength), collected.subarray(headLength, bodyAt))
    opener = new ChunkOpener(cipher)
    beginning.forget()
    return collected.subarray(bodyAt)
  }

  const transformer: CancellableTransformer = {
    async transform(bytes, controller) {
      wipingOnError(cipher, () => checkBytes(bytes, 'a piece of the stream'))
      const sealed = opener === undefined ? await begin(bytes) : bytes
      if (opener === undefined || sealed === undefined) return
      if (isCancelled) {
        cipher?.wipe() // made while it was cancelled
        return
      }
      const chunks = opener.push(sealed)
      wipingOnError(cipher, () => {
        for (const opened of chunks) controller.enqueue(opened)
      })
    },
    flush(controller) {
      if (opener === undefined) throw tooShort()
      try {
        const last = opener.end()
        if (last.length > 0) controller.enqueue(last)
      } finally {
        cipher?.wipe()
      }
    },
    cancel() {
      isCancelled = true
      cipher?.wipe()
    },
  }
  return new TransformStream(transformer)
}
