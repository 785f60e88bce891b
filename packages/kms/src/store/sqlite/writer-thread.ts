/** The main thread's side of the writer: a write waits for its disk without holding up anybody else. */

import { Worker } from 'node:worker_threads'

import { ServiceError } from '../../service/errors.ts'
import type { Commit, Outcome } from '../../service/key-store.ts'
import { storageUnavailable } from './connection.ts'
import { pack } from './writer-messages.ts'
import type { Forgetting, WriteReply, WriteRequest, WriterOptions } from './writer-messages.ts'

export class WriterThread {
  readonly #worker: Worker
  readonly #waiting = new Map<
    number,
    { resolve(outcome: Outcome | number): void; reject(error: ServiceError): void }
  >()
  readonly #ended: Promise<void>
  #isOver = false
  #lastId = 0

  constructor(options: WriterOptions) {
    // Sources run as they are; built files stand beside built files.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    this.#worker = new Worker(new URL(`./writer.${extension}`, import.meta.url), { workerData: options })
    this.#worker.on('message', (reply: WriteReply) => this.#settle(reply))
    // 'exit' follows, and settles what waits.
    this.#worker.on('error', () => undefined)
    this.#ended = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#isOver = true
        for (const waiting of this.#waiting.values()) waiting.reject(writerEnded())
        this.#waiting.clear()
        resolve()
      })
    })
  }

  get isAlive(): boolean {
    return !this.#isOver
  }

  /** @throws ServiceError `storage_unavailable`. */
  async write(commit: Commit): Promise<Outcome> {
    // What the writer answers to a commit.
    return (await this.#ask((id) => ({ id, packed: pack(commit) }))) as Outcome
  }

  /** @returns How many entries there were. Throws as `write`. */
  async forget(forget: Forgetting): Promise<number> {
    return Number(await this.#ask((id) => ({ id, forget })))
  }

  /** After the writes that wait. */
  async close(): Promise<void> {
    if (!this.#isOver) this.#worker.postMessage('close', [])
    await this.#ended
  }

  async #ask(requestOf: (id: number) => WriteRequest): Promise<Outcome | number> {
    if (this.#isOver) throw writerEnded()
    const id = ++this.#lastId
    return await new Promise<Outcome | number>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage(requestOf(id), [])
    })
  }

  #settle({ id, outcome, failure }: WriteReply): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (outcome !== undefined) waiting?.resolve(outcome)
    else {
      const { message = 'the write failed', hint } = failure ?? {}
      waiting?.reject(new ServiceError('storage_unavailable', message, hint === undefined ? {} : { hint }))
    }
  }
}

/** Whether the last write was made is not known. */
function writerEnded(): ServiceError {
  return storageUnavailable('its writer has ended; restart the service')
}
