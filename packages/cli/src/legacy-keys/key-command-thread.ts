/** The thread that waits for a private key command while the one that asks is blocked: see external-private-key.ts. */

import { workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'

import { KeyCommand } from './key-command.ts'
import type { UnwrapRequest } from './key-command.ts'

export interface KeyCommandThread {
  readonly command: readonly string[]
  readonly port: MessagePort
  /** Counts the answers; whoever asks waits for it to change. */
  readonly answers: Int32Array<SharedArrayBuffer>
}

export type ThreadAnswer =
  | { readonly unwrapped: Uint8Array | undefined }
  /** Of a KeyCommandError. */
  | { readonly error: string }

// Only external-private-key.ts starts this file, with data of this type.
const { command, port, answers } = workerData as KeyCommandThread
const keyCommand = new KeyCommand(command)

async function answer(request: UnwrapRequest): Promise<void> {
  const message: ThreadAnswer = await keyCommand.unwrap(request).then(
    (unwrapped) => ({ unwrapped }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : 'failed' }),
  )
  port.postMessage(message)
  Atomics.add(answers, 0, 1)
  Atomics.notify(answers, 0)
}

port.on('message', (request: UnwrapRequest) => void answer(request))
