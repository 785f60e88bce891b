/** One message sealed, or opened, as a web stream (SPEC §6.4). */

import { MessageOpener, MessageSealer } from './message-pieces.ts'
import type { Opening, Sealing } from './message-pieces.ts'

/** Bytes in, bytes out: `source.pipeThrough(…)`. Node's own streams have `@longhold/core/node`. */
export type ByteTransform = TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>

/** Transformers learn of a cancelled stream by `cancel`, which TypeScript's types do not have yet. A stream that failed
 *  is not told to cancel. */
type CancellableTransformer = Transformer<Uint8Array, Uint8Array<ArrayBuffer>> & { cancel(): void }

/** Seals one message. */
export function sealing(how: Sealing): ByteTransform {
  const message = new MessageSealer(how)
  const transformer: CancellableTransformer = {
    async start(controller) {
      controller.enqueue(await message.begin()) // throws when the stream was cancelled meanwhile
    },
    // A promise where one is needed: one for each piece would cost as much as a chunk.
    transform(bytes, controller) {
      const seal = (): void => {
        for (const sealed of message.push(bytes)) controller.enqueue(sealed)
      }
      const admitted = message.admit(bytes)
      return admitted === undefined ? seal() : admitted.then(seal)
    },
    flush(controller) {
      controller.enqueue(message.finish())
    },
    cancel: () => message.end(),
  }
  return new TransformStream(transformer)
}

/** Opens one message. */
export function opening(how: Opening): ByteTransform {
  const message = new MessageOpener(how)
  const transformer: CancellableTransformer = {
    transform(bytes, controller) {
      const open = (sealed: Uint8Array): void => {
        for (const opened of message.push(sealed)) controller.enqueue(opened)
      }
      return message.isOpen ? open(bytes) : message.begin(bytes).then(open)
    },
    flush(controller) {
      const last = message.finish()
      if (last.length > 0) controller.enqueue(last)
    },
    cancel: () => message.end(),
  }
  return new TransformStream(transformer)
}
