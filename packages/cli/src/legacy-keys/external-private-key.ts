/**
 * A private key whose operation a program does, as a `PrivateKey` that answers at once: formats read values in one go, and
 * the thread that works on a batch has nothing else to do. A thread of its own talks to the program.
 */

import { createPublicKey } from 'node:crypto'
import { extname } from 'node:path'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'

import type { OaepParameters, PrivateKey } from '../formats/legacy-format.ts'
import type { KeyCommandThread, ThreadAnswer } from './key-command-thread.ts'
import { KeyCommandError } from './key-command.ts'
import type { KeyCommandFacts, UnwrapRequest } from './key-command.ts'

/** A module that needs longer than this for one operation is taken to hang. */
const patienceMs = 60_000

export class ExternalPrivateKey implements PrivateKey {
  readonly name: string
  readonly modulusBytes: number
  readonly publicKey: Uint8Array
  readonly certificates: readonly Uint8Array[]
  readonly #command: readonly string[]
  readonly #answers = new Int32Array(new SharedArrayBuffer(4))
  #port: MessagePort | undefined

  /** @param facts What the program said when it was asked first. */
  constructor(name: string, command: readonly string[], { publicKey, certificates }: KeyCommandFacts) {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
    this.name = name
    this.modulusBytes = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
    this.publicKey = publicKey
    this.certificates = certificates
    this.#command = command
  }

  /** @throws KeyCommandError when the program cannot be asked. */
  unwrapOaep(wrapped: Uint8Array, parameters: OaepParameters): Uint8Array | undefined {
    return this.#ask({ algorithm: 'RSA-OAEP', wrapped, ...parameters })
  }

  /** @throws KeyCommandError when the program cannot be asked. */
  unwrapPkcs1(wrapped: Uint8Array): Uint8Array | undefined {
    return this.#ask({ algorithm: 'RSA1_5', wrapped })
  }

  #ask(request: UnwrapRequest): Uint8Array | undefined {
    if (request.wrapped.length !== this.modulusBytes) return undefined
    const port = (this.#port ??= this.#start())
    const before = Atomics.load(this.#answers, 0)
    port.postMessage(request)
    if (Atomics.wait(this.#answers, 0, before, patienceMs) === 'timed-out') {
      throw new KeyCommandError(`the private key command ${this.name} has not answered for a minute`)
    }
    // The thread posts before it counts, and gives one answer for each question.
    const received = receiveMessageOnPort(port) as { readonly message: ThreadAnswer }
    const { message } = received
    if ('error' in message) throw new KeyCommandError(message.error)
    return message.unwrapped
  }

  #start(): MessagePort {
    const { port1, port2 } = new MessageChannel()
    const workerData: KeyCommandThread = { command: this.#command, port: port2, answers: this.#answers }
    // Beside this file, in the form this file runs in: source or compiled.
    const url = new URL(`./key-command-thread${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(url, { workerData, transferList: [port2] })
    worker.unref()
    port1.unref()
    return port1
  }
}
