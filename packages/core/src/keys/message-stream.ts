/** One message sealed, or opened, as a web stream (SPEC §6.4). */

import { MessageOpener, MessageSealer } from './message-pieces.ts'
import type { Opening, Sealing } from './message-pieces.ts'

/** Bytes in, bytes out: `source.pipeThrough(…)`. Node's own streams have `@longhold/core/node`. */
export type ByteTransform = TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>

/** Transformers learn of a cancelled stream by `cancel`, which TypeScript's types do not have yet. */
type CancellableTransformer = Transformer<Uint8Array, Uint8Array<ArrayBuffer>> & { cancel(): void }

/** Seals one message. */
export function sealing(how: Sealing): ByteTransform {
  const message = new MessageSealer(how)
  const transformer: CancellableTransformer = {
    async start(controller) {
      controller.enqueue(await message.begin()) // throws when the stream was cancelled meanwhile
    },
    transform(bytes, controller) {
      return endingOnError(message, () => {
        const admitted = message.admit(bytes)
        return admitted === undefined ? seal() : admitted.then(seal)
      })
      function seal(): void {
        for (const sealed of message.push(bytes)) controller.enqueue(sealed)
      }
    },
    flush: (controller) => controller.enqueue(message.finish()),
    cancel: () => message.end(),
  }
  return new TransformStream(transformer)
}

/** Opens one message. */
export function opening(how: Opening): ByteTransform {
  const message = new MessageOpener(how)
  const transformer: CancellableTransformer = {
    transform(bytes, controller) {
      return endingOnError(message, () => (message.isOpen ? open(bytes) : message.begin(bytes).then(open)))
      function open(sealed: Uint8Array): void {
        for (const opened of message.push(sealed)) controller.enqueue(opened)
      }
    },
    flush(controller) {
      const last = message.finish()
      if (last.length > 0) controller.enqueue(last)
    },
    cancel: () => message.end(),
  }
  return new TransformStream(transformer)
}

/**
 * A stream that failed is not told to cancel. A promise is made only where one is needed: one for each piece would cost as much as
 * a chunk.
 */
function endingOnError(message: { end(): void }, step: () => Promise<void> | void): Promise<void> | void {
  const fail = (error: unknown): never => {
    message.end()
    throw error
  }
  try {
    return step()?.catch(fail)
  } catch (error) {
    return fail(error)
  }
}
