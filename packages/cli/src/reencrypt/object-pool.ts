/** Worker threads that work on objects, several at a time each: while one object is brought to the disk, another is opened. */

import { Worker } from 'node:worker_threads'

import type { ObjectAnswer, ObjectTask } from './object-transform.ts'

export interface ObjectRequest {
  readonly id: number
  readonly task: ObjectTask
}

export type ObjectResponse =
  | { readonly id: number; readonly answer: ObjectAnswer }
  | { readonly id: number; readonly error: unknown }

/** Whoever works on objects. */
export interface ObjectWorkers {
  work(task: ObjectTask): Promise<ObjectAnswer>
  close(): Promise<void>
}

interface Waiting {
  readonly resolve: (answer: ObjectAnswer) => void
  readonly reject: (error: unknown) => void
}

interface Member {
  readonly worker: Worker
  readonly waiting: Map<number, Waiting>
}

/** Objects a thread works on at a time. */
const depth = 2

export class ObjectPool implements ObjectWorkers {
  readonly #members: readonly Member[]
  readonly #queue: { readonly task: ObjectTask; readonly waiting: Waiting }[] = []
  #lastId = 0
  #failure: unknown

  /** @param settings The `workerData` of each. */
  constructor(url: URL, settings: object, workers: number) {
    this.#members = Array.from({ length: workers }, () => {
      const worker = new Worker(url, { workerData: settings })
      const member: Member = { worker, waiting: new Map() }
      worker.on('message', (response: ObjectResponse) => {
        const waiting = member.waiting.get(response.id)
        member.waiting.delete(response.id)
        if ('answer' in response) waiting?.resolve(response.answer)
        else waiting?.reject(response.error)
        this.#next()
      })
      worker.on('error', (error) => this.#fail(error))
      worker.on('exit', () => this.#fail(new Error('a worker thread ended unexpectedly')))
      return member
    })
  }

  work(task: ObjectTask): Promise<ObjectAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      this.#queue.push({ task, waiting: { resolve, reject } })
      this.#next()
    })
  }

  async close(): Promise<void> {
    this.#failure ??= new Error('the worker threads have been stopped')
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()))
  }

  #next(): void {
    for (;;) {
      const free = this.#members.reduce((best, one) => (one.waiting.size < best.waiting.size ? one : best))
      if (free.waiting.size >= depth) return
      const next = this.#queue.shift()
      if (next === undefined) return
      const id = ++this.#lastId
      free.waiting.set(id, next.waiting)
      const request: ObjectRequest = { id, task: next.task }
      // A worker thread has no origin to name.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      free.worker.postMessage(request)
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    for (const { waiting } of this.#queue.splice(0)) waiting.reject(this.#failure)
    for (const { waiting } of this.#members) {
      for (const { reject } of waiting.values()) reject(this.#failure)
      waiting.clear()
    }
  }
}
